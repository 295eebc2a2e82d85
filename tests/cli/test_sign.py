from __future__ import annotations

from pathlib import Path

import pytest

from tests.artifacts.test_bundle import write_pair


@pytest.fixture
def keys(folder):
    return write_pair(folder)


def test_a_sealed_file_is_signed_and_the_signature_seals_its_copy(folder, call, keys):
    private, public = keys
    call("seal", "--sidecar", "models/m.pkl")
    done = call("sign", "models/m.pkl", "--key-file", private)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("models/m.pkl: signed: models/m.pkl.sig: zone models")
    Path("models/copy").mkdir()
    for name in ("good.pkl", "bad.pkl"):
        Path("models/copy", name).write_bytes(Path("models/m.pkl").read_bytes())
    Path("models/copy/bad.pkl").write_bytes(b"N.")
    options = ("--signature", "models/m.pkl.sig", "--signature-key", public)
    assert call("seal", *options, "models/copy/good.pkl").code == 0
    done = call("seal", *options, "models/copy/bad.pkl")
    assert done.code == 1
    assert "not those that were signed" in done.err
    assert Path("models/copy/bad.pkl").read_bytes() == b"N."


def test_what_is_not_sealed_is_refused_and_an_existing_file_kept(folder, call, keys):
    done = call("sign", "models/m.pkl", "--key-file", keys[0])
    assert done.code == 1
    assert "not sealed" in done.err
    call("seal", "models/m.pkl")
    Path("there").write_text("there")
    assert call("sign", "models/m.pkl", "--key-file", keys[0], "--output", "there").code == 2
    assert Path("there").read_text() == "there"


def test_the_two_options_of_seal_go_together(folder, call, keys):
    for options in (("--signature", "a"), ("--signature-key", "b")):
        done = call("seal", *options, "models/m.pkl")
        assert done.code == 2
        assert "go together" in done.err


def test_a_key_that_is_none_is_an_error_with_the_mending_command(folder, call):
    call("seal", "models/m.pkl")
    done = call("sign", "models/m.pkl", "--key-file", "safehold.toml")
    assert done.code == 2
    assert "openssl genpkey" in done.err
