from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def sealed(folder, call):
    assert call("seal", "models/m.pkl").code == 0
    return folder


def test_gives_a_file_another_name(sealed, call):
    done = call("rename", "models/m.pkl", "models/new.pkl")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "models/m.pkl: renamed to models/new.pkl: zone models, key k2026, generation 2\n"
    )
    assert not Path("models/m.pkl").exists()
    assert call("verify", "models/new.pkl").code == 0


def test_json_is_the_metadata_of_the_new_file(sealed, call):
    done = call("rename", "models/m.pkl", "models/new.pkl", "--format", "json")
    shown = json.loads(done.out)
    assert shown == json.loads(call("inspect", "models/new.pkl", "--format", "json").out)
    assert (shown["schema"], shown["name"]) == (1, "models/new.pkl")


def test_a_refusal_is_1_and_an_error_2(sealed, call):
    plain = call("rename", "models/deep/n.pickle", "models/new.pkl")
    assert plain.code == 1
    assert "safehold: refused: not sealed" in plain.err
    for old, new, message in (
        ("models/m.pkl", "models/deep/n.pickle", "File exists"),
        ("models/m.pkl", "data/m.pkl", "does not have the codec"),
        ("models/none.pkl", "models/new.pkl", "No such file"),
    ):
        done = call("rename", old, new)
        assert (done.code, done.out) == (2, "")
        assert message in done.err
    assert call("verify", "models/m.pkl").code == 0


def test_names_are_printed_harmlessly(sealed, call):
    done = call("rename", "models/m.pkl", "models/\x1b[31m\n.pkl")
    assert done.code == 0
    assert done.out.strip().isprintable()
