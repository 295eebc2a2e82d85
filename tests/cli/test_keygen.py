from __future__ import annotations

import os
from pathlib import Path

import pytest

from safehold.keys import Key, Keyring


def test_prints_a_new_strong_key_and_nothing_else(call):
    first, second = call("keygen"), call("keygen")
    assert first.code == second.code == 0
    assert first.out != second.out
    assert first.err == ""
    assert first.out == first.out.strip() + "\n"
    Key("k1", first.out.strip().encode())


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_writes_a_file_that_only_its_owner_can_read(call, tmp_path, mask):
    old = os.umask(mask)
    try:
        done = call("keygen", "--output", tmp_path / "the.key")
    finally:
        os.umask(old)
    assert done.code == 0
    assert done.out == ""
    key = (tmp_path / "the.key").read_text()
    assert key.strip() not in done.err
    assert (tmp_path / "the.key").stat().st_mode & 0o777 == 0o600
    source = done.err.partition('source = "')[2].partition('"')[0]
    assert Keyring.load([("k1", source)], tmp_path / "elsewhere").signing.id == "k1"


def test_names_the_whole_path_since_sources_start_from_the_policy(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f'"file:{tmp_path}/the.key"' in call("keygen", "--output", "the.key").err


@pytest.mark.parametrize("kind", ["file", "directory", "link", "dangling"])
def test_overwrites_nothing(call, tmp_path, kind):
    target, path = tmp_path / "target", tmp_path / "the.key"
    if kind != "dangling":
        target.write_text("precious")
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(target)
    done = call("keygen", "--output", path)
    assert done.code == 2
    assert "exists and is not overwritten; name another file" in done.err
    assert target.exists() == (kind != "dangling")
    assert kind == "dangling" or target.read_text() == "precious"


@pytest.mark.parametrize("name", ["no/such/directory/key", "a\x00b", "x" * 300])
def test_impossible_file_is_an_error(call, tmp_path, name):
    done = call("keygen", "--output", f"{tmp_path}/{name}")
    assert done.code == 2
    assert done.err.startswith("safehold: error: ")
    assert len(done.err.splitlines()) == 1


def test_full_disk_leaves_no_half_key(call, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = call("keygen", "--output", tmp_path / "the.key")
    assert done.code == 2
    assert "No space left" in done.err
    assert list(tmp_path.iterdir()) == []


def test_hostile_name_is_printed_harmlessly(call, tmp_path):
    done = call("keygen", "--output", f"{tmp_path}/\x1b[31m\nred")
    assert done.code == 0
    assert "\x1b" not in done.err
    assert "\\x1b[31m\\x0ared" in done.err
    assert Path(f"{tmp_path}/\x1b[31m\nred").exists()


@pytest.mark.parametrize("suite", ["HS256", "GMAC", "AES256GCM", "BLAKE3"])
def test_a_suite_with_one_secret_gets_one_key(call, suite):
    Key("k1", call("keygen", "--suite", suite).out.strip().encode(), suite)


def test_a_pair_is_two_lines(call):
    private, public = call("keygen", "--suite", "ED25519").out.splitlines()
    signature = Key("k1", private.encode(), "ED25519").sign(b"x")
    assert Key("k1", public.encode(), "ED25519").is_signature(signature, b"x")


def test_a_pair_is_two_files_of_which_one_is_secret(call, tmp_path):
    done = call("keygen", "--suite", "ED25519", "--output", tmp_path / "the.key")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "the.key").stat().st_mode & 0o777 == 0o600
    assert done.err.count('suite = "ED25519"') == 2
    halves = [
        Keyring.load([("k1", f"file:{tmp_path}/{name}", "ED25519")], tmp_path).by_id("k1")
        for name in ("the.key", "the.key.pub")
    ]
    assert [half.is_public for half in halves] == [False, True]
    assert halves[1].is_signature(halves[0].sign(b"x"), b"x")


def test_half_a_pair_is_not_left(call, tmp_path):
    (tmp_path / "the.key.pub").write_text("precious")
    done = call("keygen", "--suite", "ED25519", "--output", tmp_path / "the.key")
    assert done.code == 2
    assert "the.key.pub' exists and is not overwritten" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["the.key.pub"]
