from __future__ import annotations

import os
import secrets
import time

import pytest

from safehold.errors import ConfigError
from safehold.keys import Environment
from safehold.keys import sources as module

KEY = "9c1d5e27f0a8b3466e72c49b10fd85a3e9d6174b8820c5fe3a917f5d06b4e2c8"


def read(source, root, **environ):
    environ.setdefault("PATH", os.environ["PATH"])
    return module.read_source("k1", source, root, Environment(environ))


def test_reads_a_variable(tmp_path):
    assert read("env:THE_KEY", tmp_path, THE_KEY=KEY) == KEY.encode()


def test_reads_a_file_below_the_root(tmp_path):
    (tmp_path / "the.key").write_text(KEY)
    assert read("file:the.key", tmp_path) == KEY.encode()
    assert read(f"file:{tmp_path}/the.key", tmp_path / "elsewhere") == KEY.encode()


def test_follows_a_link_as_mounted_secrets_are(tmp_path):
    (tmp_path / "real").write_text(KEY)
    (tmp_path / "link").symlink_to("real")
    assert read("file:link", tmp_path) == KEY.encode()


def test_home_is_written_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "the.key").write_text(KEY)
    assert read("file:~/the.key", tmp_path / "elsewhere") == KEY.encode()


def test_runs_a_command_in_the_root(tmp_path):
    (tmp_path / "the.key").write_text(KEY + "\n")
    assert read("cmd:cat the.key", tmp_path) == KEY.encode()


def test_command_sees_the_given_environment(tmp_path):
    assert read("cmd:sh -c 'echo $THE_KEY'", tmp_path, THE_KEY=KEY) == KEY.encode()


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", " \n\n", "\t"])
@pytest.mark.parametrize("before", ["", "\ufeff", " "])
def test_white_space_around_a_text_does_not_count(tmp_path, before, ending):
    (tmp_path / "the.key").write_bytes((before + KEY + ending).encode())
    assert read("file:the.key", tmp_path) == KEY.encode()
    assert read("env:THE_KEY", tmp_path, THE_KEY=before + KEY + ending) == KEY.encode()


@pytest.mark.parametrize("edge", [b"\n", b" ", b"\r", b"\x00", b"\x0c", b"\t"], ids=repr)
def test_random_bytes_stay_as_they_are(tmp_path, edge):
    key = edge + b"\xfe" + secrets.token_bytes(30) + edge
    (tmp_path / "the.key").write_bytes(key)
    assert read("file:the.key", tmp_path) == key
    assert read("cmd:cat the.key", tmp_path) == key


def test_variable_that_is_not_utf_8_gives_its_bytes(tmp_path):
    key = b"\xff\xfe" + KEY.encode()
    assert read("env:THE_KEY", tmp_path, THE_KEY=os.fsdecode(key)) == key


@pytest.mark.parametrize("source", ["", "env:", "file: ", "cmd:", "vault:x", KEY, "ENV:X", "env"])
def test_source_of_no_known_kind_is_refused_without_showing_it(tmp_path, source):
    with pytest.raises(ConfigError, match="env:, file:, cmd:") as caught:
        read(source, tmp_path)
    assert KEY not in str(caught.value)


def test_missing_variable_names_the_command_that_mends_it(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read("env:MY_KEY", tmp_path)
    assert 'export MY_KEY="$(safehold keygen)"' in str(caught.value)


@pytest.mark.parametrize("name", ["A B", "A=B", "$(id)", "A\x1b[31m", "A\nB", "1A", "A;id"])
def test_odd_variable_name_makes_no_command_to_copy(tmp_path, name):
    with pytest.raises(ConfigError) as caught:
        read(f"env:{name}", tmp_path)
    assert "export" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_missing_file_names_the_command_that_mends_it(tmp_path):
    with pytest.raises(ConfigError, match="safehold keygen --output 'my key'") as caught:
        read("file:my key", tmp_path)
    assert "No such file" in str(caught.value)


@pytest.mark.parametrize("name", ["nul\x00byte", "x" * 5000, "~no-such-user-here/key"])
def test_impossible_file_name_is_a_typed_error(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot be read"):
        read(f"file:{name}", tmp_path)


def test_directory_and_device_are_no_key_files(tmp_path):
    for place in (tmp_path, "/dev/zero", "/dev/null"):
        with pytest.raises(ConfigError, match="regular file"):
            read(f"file:{place}", tmp_path)


def test_fifo_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="regular file"):
        read("file:fifo", tmp_path)


def test_huge_file_is_not_read(tmp_path):
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ConfigError, match="regular file"):
        read("file:huge", tmp_path)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("false", "exit code 1"),
        ("no-such-command-here --flag", "did not start"),
        ("'unclosed", "split into words"),
        ("sh -c 'kill -9 $$'", "exit code -9"),
        ("''", "did not start"),
    ],
)
def test_failing_command_says_how(tmp_path, command, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read(f"cmd:{command}", tmp_path)
    assert repr(command) in str(caught.value)


@pytest.mark.parametrize("command", [" ", "\t "])
def test_no_command_at_all(tmp_path, command):
    with pytest.raises(ConfigError):
        read(f"cmd:{command}", tmp_path)


def test_command_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_COMMAND_SECONDS", 0.3)
    start = time.monotonic()
    with pytest.raises(ConfigError, match="longer than"):
        read("cmd:sh -c 'echo begin; exec sleep 60'", tmp_path)
    with pytest.raises(ConfigError, match="longer than"):
        read("cmd:sh -c 'exec >&-; exec sleep 60'", tmp_path)
    assert time.monotonic() - start < 20


def test_command_that_prints_without_end_is_stopped(tmp_path):
    with pytest.raises(ConfigError, match="which is no key"):
        read("cmd:cat /dev/zero", tmp_path)


def test_command_gets_no_input(tmp_path):
    with pytest.raises(ConfigError, match="exit code 7"):
        read("cmd:sh -c 'read line || exit 7'", tmp_path)


def test_environment_shows_no_value():
    environ = Environment({"THE_KEY": KEY})
    assert environ["THE_KEY"] == KEY
    assert list(environ) == ["THE_KEY"]
    assert KEY not in repr(environ) + str(environ) + f"{environ}"


def test_environment_is_the_process_s_own_by_default(monkeypatch):
    environ = Environment()
    monkeypatch.setenv("SAFEHOLD_TEST_VARIABLE", "later")
    assert environ["SAFEHOLD_TEST_VARIABLE"] == "later"
    assert len(environ) == len(os.environ)
