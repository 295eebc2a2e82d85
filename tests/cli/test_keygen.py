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
