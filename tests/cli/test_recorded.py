"""What the command line decides by itself is in the trail of the policy that is in force."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from safehold.errors import TrailError
from safehold.observe.trail import Trail

SOURCE = "import pickle\nwith open('models/m.pkl', 'rb') as file:\n    value = pickle.load(file)\n"


class Marker:
    def __reduce__(self):
        return os.mkdir, ("marker",)


def events(folder, action):
    lines = [json.loads(line) for file in sorted((folder / "trail").glob("2*/*.jsonl"))
             for line in file.read_text().splitlines()]  # fmt: skip
    lines.sort(key=lambda line: line["t"])
    return [line["e"] for line in lines if line["e"]["action"] == action]


@pytest.fixture
def attacked(folder):
    Path("models/bad.pkl").write_bytes(pickle.dumps(Marker()))
    return folder


def test_scan_with_findings_is_one_event(attacked, call):
    assert call("scan", "models").code == 1
    (event,) = events(attacked, "scan")
    assert event["outcome"] == "done"
    assert event["rule"].startswith("SH1")
    assert event["artifact"] == "models/bad.pkl"
    assert event["detail"]["severity"] == "critical"
    assert event["detail"]["verdicts"]["malicious"] == 1
    assert event["detail"]["rules"][event["rule"]] == 1
    assert not Path("marker").exists()


def test_scan_without_findings_records_nothing(folder, call):
    assert call("scan", "models").code == 0
    assert not (folder / "trail").exists()


def test_scan_without_a_policy_records_nothing(attacked, call, monkeypatch):
    monkeypatch.delenv("SAFEHOLD_POLICY")
    assert call("scan", "models").code == 1
    assert not (attacked / "trail").exists()
    assert not (attacked / "var").exists()


def test_scan_that_has_no_keys_says_that_it_is_not_recorded(attacked, call, monkeypatch):
    monkeypatch.delenv("THE_KEY")
    done = call("scan", "models")
    assert done.code == 1
    assert "not recorded in the trail" in done.err
    assert "not recorded" not in call("scan", "models", "--quiet").err


def test_scan_that_cannot_be_recorded_is_an_error(attacked, call):
    Path("trail").write_text("no directory")
    done = call("scan", "models")
    assert done.code == 2
    assert "trail" in done.err


def test_migration_is_recorded_before_it_changes_sources(folder, call):
    Path("app.py").write_text(SOURCE)
    Path("trail").write_text("no directory")
    assert call("migrate", "app.py", "--write").code == 2
    assert Path("app.py").read_text() == SOURCE
    Path("trail").unlink()
    call("migrate", "app.py", "--write")
    assert Path("app.py").read_text() != SOURCE
    (event,) = events(folder, "migrate")
    assert event["outcome"] == "allowed"
    assert event["detail"] == {"files": 1, "edits": 1}


def test_migration_that_writes_nothing_records_nothing(folder, call):
    Path("app.py").write_text(SOURCE)
    call("migrate", "app.py")
    assert not (folder / "trail").exists()


def test_key_of_a_policy_that_only_lies_in_the_checkout_is_not_asked_for(folder, call, monkeypatch):
    monkeypatch.delenv("SAFEHOLD_POLICY")
    Path("app.py").write_text(SOURCE)
    text = Path("safehold.toml").read_text()
    Path("safehold.toml").write_text(text.replace("env:THE_KEY", "cmd:touch marker"))
    call("migrate", "app.py", "--write")
    assert Path("app.py").read_text() != SOURCE
    assert not Path("marker").exists()


def test_rotation_of_keys_is_recorded_for_each_file(folder, call, monkeypatch):
    from safehold.keys import generate_key

    assert call("seal", "models/m.pkl").code == 0
    monkeypatch.setenv("NEW", generate_key())
    text = Path("safehold.toml").read_text()
    new = '[keys]\nsource = "env:NEW"\nid = "k2027"\n[[keys.previous]]\nsource = "env:THE_KEY"\n'
    text = text.replace('[keys]\nsource = "env:THE_KEY"\n', new)
    Path("safehold.toml").write_text(text)
    assert call("rotate", "k2026", "k2027", "models/m.pkl").code == 0
    assert [event["artifact"] for event in events(folder, "rotate")] == ["models/m.pkl"]
    loaded = {event["key"] for event in events(folder, "policy.load")}
    assert loaded == {"k2026", "k2027"}


def told(folder, action):
    return [(event["outcome"], event.get("detail", {})) for event in events(folder, action)]


def test_rollback_is_recorded_before_and_after(folder, call):
    Path("app.py").write_text(SOURCE)
    call("migrate", "app.py", "--write")
    assert call("migrate", ".", "--rollback").code == 0
    assert Path("app.py").read_text() == SOURCE
    (before, _), (after, detail) = told(folder, "rollback")
    assert (before, after) == ("allowed", "done")
    assert detail["restored"] == 1
    assert len(detail["runs"]) == 1


def test_rollback_that_cannot_be_recorded_restores_nothing(folder, call):
    Path("app.py").write_text(SOURCE)
    call("migrate", "app.py", "--write")
    migrated = Path("app.py").read_text()
    Path("trail").rename("kept")
    Path("trail").write_text("no directory")
    assert call("migrate", ".", "--rollback").code == 2
    assert Path("app.py").read_text() == migrated


def test_rollback_goes_on_without_a_policy_that_can_be_read(folder, call):
    Path("app.py").write_text(SOURCE)
    call("migrate", "app.py", "--write")
    Path(os.environ["SAFEHOLD_POLICY"]).write_text("version = ")
    done = call("migrate", ".", "--rollback")
    assert done.code == 0
    assert "not recorded in the trail" in done.err
    assert Path("app.py").read_text() == SOURCE


def test_end_of_runs_is_recorded_before_and_after(folder, call):
    Path("app.py").write_text(SOURCE)
    Path("models/m.pkl").write_bytes(pickle.dumps({"a": 1}))
    assert call("migrate", ".", "--write", "--data", "models").code == 0
    assert call("migrate", ".", "--finalize").code == 0
    (before, _), (after, detail) = told(folder, "finalize")
    assert (before, after) == ("allowed", "done")
    assert (len(detail["runs"]), detail["problems"]) == (1, 0)


def test_each_writer_that_is_pruned_is_recorded_before_it_goes(folder, call):
    call("seal", "models")
    (old,) = (path.name for path in (folder / "trail").glob("2*"))
    assert call("trail", "prune", "--keep-days", "0").code == 0
    (event,) = events(folder, "prune")
    assert (event["outcome"], event["artifact"], event["detail"]["days"]) == ("allowed", old, 0)
    assert not (folder / "trail" / old).exists()
    assert call("trail", "verify").code == 0


def test_prune_that_cannot_be_recorded_removes_nothing(folder, call, monkeypatch):
    call("seal", "models")
    (old,) = (folder / "trail").glob("2*")

    def refuse(self, event):
        raise TrailError("full")

    monkeypatch.setattr(Trail, "export", refuse)
    assert call("trail", "prune", "--keep-days", "0").code == 2
    assert old.exists()


def test_prune_that_removes_nothing_records_nothing(folder, call):
    call("seal", "models")
    before = sorted((folder / "trail").glob("2*"))
    assert call("trail", "prune", "--keep-days", "1").code == 0
    assert sorted((folder / "trail").glob("2*")) == before


def test_checkpoint_is_recorded_and_what_a_witness_did_not_take_as_well(folder, call):
    call("seal", "models")
    assert call("trail", "checkpoint", "--to", "file:kept").code == 0
    assert call("trail", "checkpoint", "--to", "file:missing/kept").code == 2
    (first, _), (second, _), (third, detail) = told(folder, "checkpoint")
    assert (first, second, third) == ("allowed", "allowed", "failed")
    assert detail["to"] == "file:missing/kept"
    assert call("trail", "verify", "--witness", "kept").code == 0


def test_checkpoint_that_is_printed_records_nothing(folder, call):
    call("seal", "models")
    assert json.loads(call("trail", "checkpoint").out)["v"] == 1
    assert events(folder, "checkpoint") == []


def test_age_that_the_policy_names_is_what_prune_leaves(folder, call):
    call("seal", "models")
    assert call("trail", "prune").code == 2
    path = Path(os.environ["SAFEHOLD_POLICY"])
    text = path.read_text()
    assert "[trail]\n" in text
    path.write_text(text.replace("[trail]\n", "[trail]\nkeep_days = 30\n"))
    assert call("trail", "prune").code == 0
    assert len(list((folder / "trail").glob("2*"))) == 1
