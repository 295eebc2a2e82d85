"""The verb `report` on a small tree."""

from __future__ import annotations

import json

import pytest

from safehold.prove.tree import digest_of

pytestmark = pytest.mark.extras


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "app.py").write_text("import pickle\n\ndef f(x):\n    return pickle.loads(x)\n")
    (root / ".env").write_text("DEBUG=true\n")
    return root


def test_does_nothing_to_the_tree_and_ends_with_0_where_nothing_is_found(call, tmp_path):
    root = tmp_path / "clean"
    root.mkdir()
    (root / "notes.txt").write_text("nothing\n")
    before = digest_of(root)
    done = call("report", root)
    assert (done.code, digest_of(root)) == (0, before)
    assert "open risk: 0.0" in done.out
    assert "not looked at: SH302" in done.out


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html", "sarif"])
def test_says_what_is_open_in_each_format(form, call, tree, tmp_path):
    output = tmp_path / "out"
    done = call("report", tree, "--format", form, "--output", output)
    assert done.code == 1
    assert "SH151" in output.read_text()
    assert "SH302" in output.read_text()


@pytest.mark.parametrize(("least", "code"), [("info", 1), ("high", 1), ("critical", 0)])
def test_fails_on_what_is_as_bad_as_asked(least, code, call, tree):
    (tree / "app.py").unlink()
    assert call("report", tree, "--fail-on", least).code == code


def test_closes_what_was_mended_and_keeps_what_was_only_left_out(call, tree, tmp_path):
    old = tmp_path / "old.json"
    call("report", tree, "--format", "json", "--output", old)
    hidden = call("report", tree, "--baseline", old, "--exclude", "app.py")
    assert "its file was not read" in hidden.out
    (tree / "app.py").write_text("print(1)\n")
    mended = call("report", tree, "--baseline", old, "--format", "json")
    assert [one["rule"] for one in json.loads(mended.out)["closed"]] == ["SH151"]


def test_a_proof_counts_for_the_tree_it_is_of_and_no_other(call, tree, tmp_path):
    probe = {"id": "planted-pickle", "rule": "SH151", "title": "x", "outcome": "held"}
    path = tmp_path / "proof.json"
    path.write_text(json.dumps({"schema": 1, "tree": digest_of(tree), "probes": [probe]}))
    done = call("report", tree, "--prove", path)
    assert "its probes held on this tree" in done.out
    (tree / "app.py").write_text((tree / "app.py").read_text() + "\n")
    done = call("report", tree, "--prove", path)
    assert "proves nothing here" in done.out
    assert "residual risk: not measured" in done.out


def test_takes_the_acceptances_of_the_tree(call, tree):
    (tree / "accepted.toml").write_text(
        '[[accepted]]\nrule = "SH151"\npath = "app.py"\nowner = "Ann"\nreason = "soon"\n'
        "expires = 2999-01-01\n"
    )
    done = call("report", tree, "--fail-on", "critical")
    assert done.code == 0
    assert "accepted by Ann until 2999-01-01: soon" in done.out


def test_a_broken_document_is_an_error(call, tree, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    assert call("report", tree, "--baseline", tmp_path / "x.json").code == 2
    assert call("report", tree / "none").code == 2
