"""The table `[revoked]`, and the file that a fleet distributes."""

from __future__ import annotations

import os

import pytest

from safehold.context import Context
from safehold.errors import ConfigError
from safehold.keys import generate_key
from safehold.policy import Policy
from safehold.policy.revoked import Revocations

ARTIFACT = "00112233445566778899aAbBcCdDeEfF"
POLICY = 'version = 1\n[keys]\nsource = "env:THE_KEY"\nid = "new"\n'


def loaded(tmp_path, table):
    path = tmp_path / "safehold.toml"
    path.write_text(POLICY + table)
    return Policy.load(path)


def test_without_the_table_nothing_is_revoked(tmp_path):
    assert loaded(tmp_path, "").revoked.with_file(tmp_path) == Revocations()


def test_lists_of_the_policy(tmp_path):
    table = f'[revoked]\nkeys = ["k2024", "k2023"]\nartifacts = ["{ARTIFACT}"]\n'
    assert loaded(tmp_path, table).revoked == Revocations(("k2024", "k2023"), (ARTIFACT,))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('keys = "k2024"', "revoked.keys must be a list of strings"),
        ("keys = [1]", "revoked.keys must be a list of strings"),
        ('keys = [""]', "revoked.keys has an id that is empty"),
        ('artifacts = ["0123"]', "revoked.artifacts has '0123'; an artifact id has 32 hex"),
        (f'artifacts = ["{ARTIFACT}00"]', "32 hexadecimal digits"),
        (f'artifacts = ["{ARTIFACT[:-1]}g"]', "32 hexadecimal digits"),
        (f'artifacts = ["{ARTIFACT} "]', "32 hexadecimal digits"),
        ('file = ""', "revoked.file must be a string that is not empty"),
        ("file = []", "revoked.file must be a string"),
        ('key = ["k2024"]', "revoked.key is not a policy key; allowed: keys, artifacts, file"),
    ],
)
def test_anything_else_is_refused_with_its_line(tmp_path, line, what):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"[revoked]\n{line}\n")
    assert what in str(caught.value)
    assert f"{tmp_path}/safehold.toml:6: " in str(caught.value)


def test_a_file_adds_to_the_lists(tmp_path):
    (tmp_path / "fleet.toml").write_text(f'keys = ["a", "b"]\nartifacts = ["{ARTIFACT}"]\n')
    revoked = loaded(tmp_path, '[revoked]\nkeys = ["b", "c"]\nfile = "fleet.toml"\n').revoked
    found = revoked.with_file(tmp_path)
    assert (found.keys, found.artifacts) == (("b", "c", "a"), (ARTIFACT,))
    assert revoked.keys == ("b", "c")  # what is written back is what was there


def test_an_empty_file_is_a_list_without_entries(tmp_path):
    (tmp_path / "fleet.toml").write_text("")
    assert Revocations(file="fleet.toml").with_file(tmp_path).keys == ()


def missing(path):
    pass


def directory(path):
    path.mkdir()


def fifo(path):
    os.mkfifo(path)


def dangling(path):
    path.symlink_to("nowhere")


def writing(data):
    def make(path):
        path.write_bytes(data)

    return make


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (missing, "cannot be read.*put it there"),
        (directory, "cannot be read"),
        (fifo, "cannot be read.*not a regular file"),
        (dangling, "cannot be read"),
        (writing(b"\xff"), "cannot be read"),
        (writing(b"keys = ["), "not valid TOML"),
        (writing(b"#" * 300_000), "more than 256 KiB"),
        (writing(b'keys = ["a"]\n[revoked]\n'), "'revoked' is no list of revocations; allowed: k"),
        (writing(b'keys = "a"'), "keys must be a list of strings"),
        (writing(b"keys = [1]"), "keys must be a list of strings"),
        (writing(b'keys = [""]'), "keys has an id that is empty"),
        (writing(b'artifacts = ["a"]'), "32 hexadecimal digits"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error_and_not_an_empty_list(tmp_path, make, what):
    make(tmp_path / "fleet.toml")
    policy = loaded(tmp_path, '[revoked]\nfile = "fleet.toml"\n')
    with pytest.raises(ConfigError, match=what) as caught:
        Context.load(policy, environ={"THE_KEY": generate_key()})
    assert "fleet.toml" in str(caught.value)


def test_a_name_with_nul_is_a_typed_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Revocations(file="a\0b").with_file(tmp_path)


@pytest.mark.parametrize("place", ["keys", "file"])
@pytest.mark.parametrize("key_id", ["new", "here"])
def test_a_revoked_key_cannot_be_in_use(tmp_path, place, key_id):
    (tmp_path / "fleet.toml").write_text(f'keys = ["{key_id}"]\n')
    table = '[keys.local]\nsource = "env:OWN"\nid = "here"\n[revoked]\n'
    table += f'keys = ["{key_id}"]\n' if place == "keys" else 'file = "fleet.toml"\n'
    policy = loaded(tmp_path, table)
    environ = {"THE_KEY": generate_key(), "OWN": generate_key()}
    with pytest.raises(ConfigError, match=rf"'{key_id}' is revoked.*safehold keygen"):
        Context.load(policy, environ=environ)
    assert not (tmp_path / "var").exists()


def test_a_context_knows_what_was_revoked_when_it_was_made(tmp_path):
    (tmp_path / "fleet.toml").write_text('keys = ["old"]\n')
    policy = loaded(tmp_path, '[revoked]\nkeys = ["older"]\nfile = "fleet.toml"\n')
    with Context.load(policy, environ={"THE_KEY": generate_key()}) as hold:
        (tmp_path / "fleet.toml").unlink()
        assert hold.revoked.keys == ("older", "old")
