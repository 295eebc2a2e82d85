from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest

from safehold.artifacts import Store
from safehold.context import Context


@pytest.fixture
def sealed(folder):
    with Context.load("safehold.toml") as hold:
        meta = {"dataset": "v7\x1b[31m\n\u202e", "score": float("inf"), "rows": [1, 2]}
        Store(hold).dump({"a": 1}, "models/x.pkl", meta=meta)
    return folder


def test_shows_verified_metadata(sealed, call):
    done = call("inspect", "models/x.pkl")
    assert done.code == 0
    shown = dict(line.split(":", 1) for line in done.out.splitlines())
    assert shown["zone"].strip() == "models"
    assert shown["name"].strip() == "models/x.pkl"
    assert shown["key"].strip() == "k2026"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", shown["created"].strip())
    assert all(line.isprintable() for line in done.out.splitlines())


def test_json_is_valid_whatever_the_metadata_holds(sealed, call):
    done = call("inspect", "models/x.pkl", "--format", "json")
    assert done.code == 0
    assert all(line.isprintable() and line.isascii() for line in done.out.splitlines())
    document = json.loads(done.out, parse_constant=pytest.fail)
    assert document["schema"] == 1
    assert document["meta"] == {"dataset": "v7\x1b[31m\n\u202e", "score": "inf", "rows": [1, 2]}
    assert document["generation"] == 1
    assert document["size"] == Path("models/x.pkl").stat().st_size


def test_plain_and_changed_files_are_refused(sealed, call):
    done = call("inspect", "models/m.pkl")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("safehold: refused: ")
    data = Path("models/x.pkl").read_bytes()
    Path("models/x.pkl").write_bytes(data.replace(b"v7", b"v8"))
    assert call("inspect", "models/x.pkl").code == 1


def test_missing_file_is_an_error_printed_harmlessly(sealed, call):
    done = call("inspect", "models/\x1b[31m\n")
    assert done.code == 2
    assert done.err.strip().isprintable()


def test_payload_is_not_decoded(sealed, call, monkeypatch):
    monkeypatch.setattr(pickle, "loads", pytest.fail)
    monkeypatch.setattr(pickle, "Unpickler", pytest.fail)
    assert call("inspect", "models/x.pkl").code == 0
