"""``safehold inspect --suggest-allow``, with plain and sealed files, with a policy and without."""

from __future__ import annotations

import json
import os
import pickle
import tomllib
from pathlib import Path

import pytest


class Own:
    """Of the service."""


class Runs:
    def __reduce__(self):
        return os.system, ("touch ran",)


NAME = f"{__name__}.Own"


def test_the_line_is_ready_for_the_policy(folder, call):
    Path("models/own.pkl").write_bytes(pickle.dumps(Own()))
    done = call("inspect", "--suggest-allow", "models/own.pkl", "models/m.pkl")
    assert (done.code, done.err) == (0, "")
    assert tomllib.loads(done.out) == {"allow": [NAME]}
    policy = Path("safehold.toml")
    text = policy.read_text().replace('["pickle", "json"]', '["pickle", "json"]\n' + done.out)
    assert call("seal", "models/own.pkl").code == 1
    policy.write_text(text)
    assert call("seal", "models/own.pkl").code == 0
    assert call("inspect", "--suggest-allow", "models").out == done.out


def test_plain_files_need_no_policy_and_sealed_ones_do(folder, call, monkeypatch):
    call("seal", "models/m.pkl")
    monkeypatch.delenv("SAFEHOLD_POLICY")
    done = call("inspect", "--suggest-allow", "models/deep/n.pickle")
    assert (done.code, done.out) == (0, "allow = []\n")
    done = call("inspect", "--suggest-allow", "models")
    assert done.code == 2
    assert "no policy" in done.err


def test_what_runs_code_is_named_and_not_proposed(folder, call):
    Path("models/bad.pkl").write_bytes(pickle.dumps([Own(), Runs()]))
    done = call("inspect", "--suggest-allow", "models/bad.pkl")
    assert done.code == 1
    assert tomllib.loads(done.out) == {"allow": [NAME]}
    assert "not proposed: allow: 'posix.system' cannot be allowed: it starts programs" in done.err
    assert "models/bad.pkl: " in done.err
    assert not Path("ran").exists()


def test_json(folder, call):
    Path("models/bad.pkl").write_bytes(pickle.dumps([Own(), Runs()]))
    call("seal", "models/m.pkl")
    done = call("inspect", "--suggest-allow", "models", "--format", "json")
    assert done.code == 1
    shown = json.loads(done.out)
    assert (shown["schema"], shown["allow"]) == (1, [NAME])
    assert [row["name"] for row in shown["refused"]] == ["posix.system"]
    files = {row["path"]: row for row in shown["files"]}
    assert set(files) == {"models/bad.pkl", "models/m.pkl", "models/deep/n.pickle"}
    assert set(files["models/bad.pkl"]["names"]) == {NAME, "posix.system"}
    assert files["models/bad.pkl"]["findings"]
    assert files["models/m.pkl"] == {
        "path": "models/m.pkl", "sealed": True, "names": [], "findings": [],
    }  # fmt: skip


def test_a_changed_file_is_refused_and_a_missing_one_an_error(folder, call):
    call("seal", "models/m.pkl")
    data = Path("models/m.pkl").read_bytes()
    Path("models/m.pkl").write_bytes(data[:-1])
    done = call("inspect", "--suggest-allow", "models/m.pkl")
    assert (done.code, done.out) == (1, "")
    assert call("inspect", "--suggest-allow", "models/none.pkl").code == 2


def test_metadata_is_of_one_file(folder, call):
    call("seal", "models")
    done = call("inspect", "models/m.pkl", "models/deep/n.pickle")
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize("name", ["a\x1b[31m.pkl", "b\n.pkl"])
def test_names_are_printed_harmlessly(name, folder, call):
    Path("models", name).write_bytes(pickle.dumps(Runs()))
    done = call("inspect", "--suggest-allow", f"models/{name}")
    assert all(line.isprintable() for line in done.err.splitlines())
