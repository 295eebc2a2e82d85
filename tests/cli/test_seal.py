from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from safehold.artifacts.container import MAGIC


class Evil:
    def __reduce__(self):
        return os.system, ("touch sealed-evil-ran",)


def is_sealed(path):
    return Path(path).read_bytes().startswith(MAGIC)


def test_seals_a_file_and_gives_it_back(folder, call):
    before = Path("models/m.pkl").read_bytes()
    done = call("seal", "models/m.pkl")
    assert done.code == 0
    assert done.out == "models/m.pkl: sealed: zone models, codec pickle, generation 1\n"
    assert is_sealed("models/m.pkl")
    done = call("unseal", "models/m.pkl")
    assert (done.code, done.out) == (0, "models/m.pkl: unsealed\n")
    assert Path("models/m.pkl").read_bytes() == before


def test_below_a_directory_takes_plain_files_with_a_codec_s_suffix(folder, call):
    done = call("seal", "models")
    assert done.code == 0
    assert sorted(line.partition(":")[0] for line in done.out.splitlines()) == [
        "models/deep/n.pickle",
        "models/m.pkl",
    ]
    assert Path("models/README.txt").read_text() == "not an artifact"
    again = call("seal", "models")
    assert (again.code, again.out) == (0, "")
    assert again.err == "models: no file to act on\n"


def test_named_file_that_is_sealed_is_an_error_with_the_mending_command(folder, call):
    call("seal", "models/m.pkl")
    for name in ("models/m.pkl", "./models/m.pkl", "models//m.pkl"):
        done = call("seal", name)
        assert done.code == 2
        assert "safehold seal --renew" in done.err


def test_renew_gives_the_next_generation_to_sealed_files_alone(folder, call):
    call("seal", "models/m.pkl")
    done = call("seal", "--renew", "models")
    assert done.code == 0
    assert done.out == "models/m.pkl: sealed: zone models, codec pickle, generation 2\n"
    assert not is_sealed("models/deep/n.pickle")


def test_unseal_below_a_directory_leaves_plain_files(folder, call):
    call("seal", "models/m.pkl")
    done = call("unseal", "models")
    assert (done.code, done.out) == (0, "models/m.pkl: unsealed\n")


def test_what_is_not_clean_is_refused_and_left_as_it_is(folder, call):
    evil = pickle.dumps(Evil())
    Path("models/m.pkl").write_bytes(evil)
    done = call("seal", "models")
    assert done.code == 1
    assert "models/m.pkl: refused: TypeNotAllowed" in done.err
    assert Path("models/m.pkl").read_bytes() == evil
    assert is_sealed("models/deep/n.pickle")
    assert not Path("sealed-evil-ran").exists()


def test_one_error_does_not_stop_the_rest_and_wins_over_refusals(folder, call):
    Path("models/m.pkl").write_bytes(pickle.dumps(Evil()))
    done = call("seal", "models/missing.pkl", "models/m.pkl", "models/deep/n.pickle")
    assert done.code == 2
    assert "models/missing.pkl: error: FileNotFoundError" in done.err
    assert "models/m.pkl: refused" in done.err
    assert is_sealed("models/deep/n.pickle")


@pytest.mark.parametrize("order", [1, -1])
def test_refusal_after_an_error_keeps_the_error_s_code(folder, call, order):
    Path("models/m.pkl").write_bytes(pickle.dumps(Evil()))
    assert call("seal", *["models/missing.pkl", "models/m.pkl"][::order]).code == 2


def test_directory_that_cannot_be_listed_is_an_error(folder, call, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    done = call("seal", "models")
    assert done.code == 2
    assert "models/deep: error: PermissionError" in done.err
    assert is_sealed("models/m.pkl")


def test_codec_of_another_zone_is_an_error_that_names_those_it_has(folder, call):
    done = call("seal", "--codec", "joblib", "models/m.pkl")
    assert done.code == 2
    assert "it has: pickle, json" in done.err


def test_missing_key_is_an_error_with_the_mending_command(folder, call, monkeypatch):
    monkeypatch.delenv("THE_KEY")
    done = call("seal", "models/m.pkl")
    assert done.code == 2
    assert 'export THE_KEY="$(safehold keygen)"' in done.err


def test_weak_key_is_an_error_with_the_mending_command(folder, call, monkeypatch):
    monkeypatch.setenv("THE_KEY", "my-own-changeme")
    done = call("seal", "models/m.pkl")
    assert done.code == 2
    assert "env:THE_KEY" in done.err
    assert "safehold keygen" in done.err
    assert "my-own-changeme" not in done.err


def test_trail_that_cannot_be_written_is_an_error(folder, call):
    Path("trail").write_text("in the way")
    done = call("seal", "models/m.pkl")
    assert (done.code, done.out) == (2, "")
    assert "TrailError" in done.err
    assert "writable [trail] path" in done.err


def test_hostile_file_name_is_printed_harmlessly(folder, call):
    name = "models/\x1b[31mred\n\u202ename.pkl"
    Path(name).write_bytes(pickle.dumps([1]))
    bad = "models/\x1b]0;title\x07.pkl"
    Path(bad).write_bytes(pickle.dumps(Evil()))
    done = call("seal", "models")
    assert done.code == 1
    text = done.out + done.err
    assert all(line.isprintable() for line in text.splitlines())
    assert "models/\\x1b[31mred\\x0a\\u202ename.pkl: sealed" in done.out
    assert len(done.out.splitlines()) == 3


def test_name_that_is_not_utf_8(folder, call):
    name = os.fsdecode(b"models/\xff\xfe.pkl")
    Path(name).write_bytes(pickle.dumps([1]))
    assert call("seal", name).code == 0
    assert call("verify", name).code == 0
    assert call("verify", "models").code == 1  # the others are plain


def test_sidecars_below_a_directory(folder, call):
    before = Path("models/m.pkl").read_bytes()
    done = call("seal", "--sidecar", "models")
    assert done.code == 0
    assert sorted(done.out.splitlines()) == [
        "models/deep/n.pickle: sealed with a sidecar: zone models, codec pickle, generation 1",
        "models/m.pkl: sealed with a sidecar: zone models, codec pickle, generation 1",
    ]
    assert Path("models/m.pkl").read_bytes() == before
    assert Path("models/m.pkl.sfh").exists()
    assert call("seal", "models").err == "models: no file to act on\n"  # as they are sealed
    done = call("verify", "models")
    assert (done.code, sorted(done.out.splitlines())) == (
        0,
        ["models/deep/n.pickle: ok", "models/m.pkl: ok"],
    )
    assert json.loads(call("inspect", "--format", "json", "models/m.pkl").out)["sidecar"] is True
    assert "generation 2" in call("seal", "--renew", "models/m.pkl").out
    assert call("unseal", "models").code == 0
    assert not list(Path("models").rglob("*.sfh"))
    assert Path("models/m.pkl").read_bytes() == before


def test_a_file_that_was_changed_on_purpose_is_sealed_by_name(folder, call):
    call("seal", "--sidecar", "models/m.pkl")
    Path("models/m.pkl").write_bytes(pickle.dumps("changed"))
    done = call("verify", "models/m.pkl")
    assert done.code == 1
    assert "safehold seal --sidecar PATH" in done.err
    assert "generation 2" in call("seal", "--sidecar", "models/m.pkl").out
    assert call("verify", "models/m.pkl").code == 0
    assert call("seal", "--sidecar", "models/m.pkl").code == 2


def test_a_zone_that_wants_sidecars(folder, call):
    text = Path("safehold.toml").read_text()
    Path("safehold.toml").write_text(
        text.replace('codecs = ["pickle", "json"]', 'codecs = ["pickle", "json"]\nsidecar = true')
    )
    assert "sealed with a sidecar" in call("seal", "models/m.pkl").out
    assert not is_sealed("models/m.pkl")


def test_a_sidecar_itself_is_refused(folder, call):
    call("seal", "--sidecar", "models/m.pkl")
    done = call("verify", "models/m.pkl.sfh")
    assert done.code == 1
    assert "is a sidecar" in done.err
