from __future__ import annotations

import pickle
from pathlib import Path

import pytest


@pytest.fixture
def sealed(folder, call):
    assert call("seal", "models").code == 0
    return folder


def test_sealed_files_are_ok(sealed, call):
    done = call("verify", "models")
    assert done.code == 0
    assert done.out == "models/m.pkl: ok\nmodels/deep/n.pickle: ok\n"
    assert done.err == ""


@pytest.mark.parametrize("name", ["models/m.pkl", "./models/m.pkl", "models/../models/m.pkl"])
def test_named_file_without_a_seal_is_refused_however_it_is_written(folder, call, name):
    done = call("verify", name)
    assert done.code == 1
    assert f"{name}: refused: NotSealed" in done.err
    assert done.out == ""


def test_named_file_of_any_suffix_is_checked(folder, call):
    assert call("verify", "models/README.txt").code == 1


def test_sealed_file_that_was_replaced_by_a_plain_one_is_refused(sealed, call):
    Path("models/m.pkl").write_bytes(pickle.dumps({"weights": "evil"}))
    done = call("verify", "models")
    assert done.code == 1
    assert "models/m.pkl: refused: NotSealed" in done.err
    assert done.out == "models/deep/n.pickle: ok\n"


def test_changed_file_is_refused(sealed, call):
    data = bytearray(Path("models/m.pkl").read_bytes())
    data[-40] ^= 1
    Path("models/m.pkl").write_bytes(data)
    done = call("verify", "models")
    assert done.code == 1
    assert "models/m.pkl: refused: Tampered" in done.err


def test_swapped_files_are_refused(sealed, call):
    Path("models/m.pkl").rename("models/other.pkl")
    done = call("verify", "models/other.pkl")
    assert done.code == 1
    assert "WrongContext" in done.err


def test_older_generation_than_asked_for_is_refused(sealed, call):
    assert call("verify", "models", "--min-generation", "1").code == 0
    done = call("verify", "models", "--min-generation", "2")
    assert done.code == 1
    assert "Rollback" in done.err


def test_missing_file_is_an_error(sealed, call):
    assert call("verify", "models/none.pkl").code == 2
    assert call("verify", "none").code == 2


def test_unknown_key_is_a_refusal(sealed, call):
    text = Path("safehold.toml").read_text()
    Path("safehold.toml").write_text(text.replace("k2026", "k2027"))
    done = call("verify", "models/m.pkl")
    assert done.code == 1
    assert "UnknownKey" in done.err
    assert "[[keys.previous]]" in done.err


def test_nothing_to_verify_is_said(folder, call):
    done = call("verify", "data")
    assert (done.code, done.out, done.err) == (0, "", "data: no file to act on\n")


def test_usage_errors(folder, call):
    for arguments in (["verify"], ["verify", "x", "--min-generation", "many"]):
        with pytest.raises(SystemExit) as stop:
            call(*arguments)
        assert stop.value.code == 2
