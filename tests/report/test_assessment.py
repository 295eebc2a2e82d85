"""What one look at a tree finds, and that looking changes nothing."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

import safehold
from safehold.keys import generate_key
from safehold.policy import Policy, Zone, default_policy
from safehold.report.assessment import assess


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    return tmp_path


def ids(assessment) -> list[str]:
    return [finding.rule.id for finding in assessment.findings]


def test_nothing_is_found_in_an_empty_tree(tree):
    assessment = assess(default_policy(tree))

    assert assessment.findings == ()
    assert assessment.worst is None
    assert set(assessment.counts.values()) == {0}


def test_a_pickle_is_judged_by_its_zone(tree):
    (tree / "models" / "a.pkl").write_bytes(pickle.dumps([1]))
    (tree / "data" / "b.pkl").write_bytes(pickle.dumps([1]))

    found = {
        finding.location.path: finding.rule.id for finding in assess(default_policy(tree)).findings
    }

    assert found == {"models/a.pkl": "SH111", "data/b.pkl": "SH114"}


def test_a_neighbour_with_the_zones_name_as_prefix_is_external(tree):
    (tree / "models_evil").mkdir()
    (tree / "models_evil" / "a.pkl").write_bytes(pickle.dumps([1]))

    assert ids(assess(default_policy(tree))) == ["SH114"]


def test_environments_journals_and_quarantined_files_are_not_artifacts(tree):
    for name in (".venv", ".safehold", "node_modules"):
        (tree / name).mkdir()
        (tree / name / "a.pkl").write_bytes(pickle.dumps([1]))
    (tree / "models" / "bad.pkl.quarantined").write_bytes(b"cposix\nsystem\n(S'x'\ntR.")

    assert ids(assess(default_policy(tree))) == ["SH112"]


def test_a_broken_seal_is_found_when_keys_are_there(tree):
    policy = Policy(root=tree, zones=(Zone("m", ("models/**",), "internal", ("pickle",)),))
    hold = safehold.Context.load(policy, environ={"SAFEHOLD_SECRET_KEY": generate_key()})
    path = tree / "models" / "a.pkl"
    safehold.Store(hold).dump([1, 2, 3], path)
    assert ids(assess(policy, hold=hold)) == []
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    (finding,) = assess(policy, hold=hold).findings

    assert finding.rule.id == "SH113"
    assert "Tampered" in finding.message


def test_the_policys_own_findings_are_part_of_it(tree):
    zone = Zone("m", ("models/**",), "internal", ("pickle",), ("*",))

    assert ids(assess(Policy(root=tree, zones=(zone,)))) == ["SH115"]


def test_a_pipe_is_reported_and_does_not_hold_the_scan_up(tree):
    os.mkfifo(tree / "models" / "pipe.pkl")

    assert ids(assess(default_policy(tree))) == ["SH106"]


def test_the_worst_finding_is_the_one_with_the_highest_score(tree):
    (tree / "models" / "a.pkl").write_bytes(pickle.dumps([1]))
    (tree / "app.py").write_text("import pickle\npickle.loads(b'')\n")

    assessment = assess(default_policy(tree))

    assert assessment.worst is not None
    assert assessment.worst.rule.score == max(f.rule.score for f in assessment.findings) == 10.0


def test_a_finding_below_its_rules_severity_does_not_show_the_rules_score(tree):
    (tree / "app.py").write_text("import pickle\npickle.dumps(1)\n")

    assessment = assess(default_policy(tree))

    assert [finding.severity.label for finding in assessment.findings] == ["medium"]
    assert assessment.worst_score == "medium"


def test_a_file_with_a_sidecar_is_sealed_and_the_sidecar_no_artifact(tree):
    zone = Zone("models", ("models/**",), "internal", ("pickle",))
    policy = Policy(root=tree, zones=(zone,))
    hold = safehold.Context.load(policy, environ={"SAFEHOLD_SECRET_KEY": generate_key()})
    path = tree / "models" / "a.pkl"
    safehold.Store(hold).dump([1], path, sidecar=True)

    assessment = assess(policy, hold=hold)
    assert assessment.findings == ()
    assert [report.path for report in assessment.sealed] == ["models/a.pkl"]
    assert assessment.artifacts == ()

    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    assert set(ids(assess(policy, hold=hold))) >= {"SH101", "SH113"}
    assert "SH101" in ids(assess(policy))

    path.write_bytes(pickle.dumps([1]))
    path.with_name("a.pkl.sfh").write_bytes(b"rubbish")
    assert ids(assess(policy, hold=hold)) == ["SH111"]
