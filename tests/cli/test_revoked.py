"""Revocation as an operator meets it: the key of a service was published, a model is poisoned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safehold.keys import generate_key


@pytest.fixture
def sealed(folder, call, monkeypatch):
    """Two sealed models, then a policy that signs with another key and revokes the first."""
    assert call("seal", "models").code == 0
    monkeypatch.setenv("NEW_KEY", generate_key())
    text = Path("safehold.toml").read_text()
    text = text.replace('"env:THE_KEY"\nid = "k2026"', '"env:NEW_KEY"\nid = "k2027"')
    text += '[[keys.previous]]\nsource = "env:THE_KEY"\nid = "k2026"\n'
    Path("safehold.toml").write_text(text)
    assert call("verify", "models").code == 0
    return folder


def revoke(lines):
    with open("safehold.toml", "a") as file:
        file.write(f"[revoked]\n{lines}\n")


@pytest.mark.parametrize("verb", ["verify", "inspect", "unseal"])
def test_files_of_a_revoked_key_are_refused_with_what_to_do(sealed, call, verb):
    revoke('keys = ["k2026"]')
    before = Path("models/m.pkl").read_bytes()
    done = call(verb, "models/m.pkl")
    assert done.code == 1
    assert "refused: " in done.err
    assert "sealed with key 'k2026', which is revoked" in done.err
    assert "safehold rotate --rekey k2026 NEW PATH" in done.err
    assert Path("models/m.pkl").read_bytes() == before


def test_what_the_operator_is_sure_of_is_sealed_anew(sealed, call):
    revoke('keys = ["k2026"]')
    assert call("rotate", "k2026", "k2027", "models/m.pkl").code != 0
    assert call("rotate", "k2026", "k2027", "models/m.pkl", "--rekey").code == 0
    text = Path("safehold.toml").read_text()
    old = '[[keys.previous]]\nsource = "env:THE_KEY"\nid = "k2026"\n'
    assert old in text
    Path("safehold.toml").write_text(text.replace(old, ""))
    done = call("verify", "models")
    assert done.out == "models/m.pkl: ok\n"
    assert "models/deep/n.pickle: refused: UnknownKey" in done.err


def test_an_artifact_is_revoked_by_the_id_that_inspect_shows(sealed, call):
    shown = json.loads(call("inspect", "models/m.pkl", "--format", "json").out)
    artifact = shown["artifact"]
    Path("fleet.toml").write_text(f'artifacts = ["{artifact}"]\n')
    revoke('file = "fleet.toml"')
    done = call("verify", "models")
    assert done.code == 1
    assert f"models/m.pkl: refused: Revoked: artifact {artifact} is revoked" in done.err
    assert done.out == "models/deep/n.pickle: ok\n"


def test_policy_show_tells_all_that_is_revoked(sealed, call):
    Path("fleet.toml").write_text('keys = ["k2020"]\n')
    revoke('keys = ["k2026"]\nfile = "fleet.toml"')
    done = call("policy", "show", "--format", "json")
    rows = {row["key"]: row for row in json.loads(done.out)["values"]}
    assert rows["revoked.keys"]["value"] == ["k2026", "k2020"]
    assert rows["revoked.artifacts"]["value"] == []
    assert rows["revoked.file"]["value"] == "fleet.toml"
    assert rows["revoked.keys"]["origin"].startswith("safehold.toml:")


@pytest.mark.parametrize("command", [("verify", "models"), ("policy", "show"), ("trail", "verify")])
def test_a_list_that_is_missing_stops_everything(sealed, call, command):
    revoke('file = "fleet.toml"')
    done = call(*command)
    assert done.code == 2
    assert "fleet.toml" in done.err
    assert "put it there" in done.err


def test_the_trail_of_a_revoked_key_is_a_problem(sealed, call):
    assert call("trail", "verify").code == 0
    revoke('keys = ["k2026"]')
    done = call("trail", "verify")
    assert done.code == 1
    assert "key 'k2026' is revoked: whoever has it" in done.out
    assert done.out.count(": key: ") == 1  # not what was recorded under the new key


@pytest.mark.parametrize("command", [("verify", "models"), ("trail", "verify")])
def test_the_key_in_use_cannot_be_revoked(sealed, call, command):
    revoke('keys = ["k2027"]')
    done = call(*command)
    assert done.code == 2
    assert "'k2027' is revoked and cannot be the one in use" in done.err


def test_the_list_of_a_found_policy_lies_below_it(sealed, call, tmp_path, monkeypatch):
    monkeypatch.delenv("SAFEHOLD_POLICY")
    revoke('file = "/etc/hostname"')
    (sealed / "app.py").write_text("import pickle\n\npickle.dumps(1)\n")
    done = call("harden", sealed, "--write")
    assert done.code == 2
    assert "revocation list lies outside the tree" in done.err
