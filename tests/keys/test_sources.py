from __future__ import annotations

import os
import secrets
import sys

import pytest

from safehold.context import Context
from safehold.errors import ConfigError, MissingExtra
from safehold.keys import Environment, Key, Keyring
from safehold.keys import sources as module
from safehold.keys.sources import cmd
from tests.keys.exposing import exposed
from tests.keys.service import serving

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


def test_file_that_everybody_can_read_is_taken_as_secrets_are_mounted_so(tmp_path):
    (tmp_path / "the.key").write_text(KEY)
    (tmp_path / "the.key").chmod(0o444)
    assert read("file:the.key", tmp_path) == KEY.encode()


@pytest.mark.parametrize("mode", [0o666, 0o602, 0o777])
def test_file_that_everybody_can_change_is_refused(tmp_path, mode):
    (tmp_path / "the key").write_text(KEY)
    (tmp_path / "the key").chmod(mode)
    (tmp_path / "link").symlink_to("the key")
    for name in ("the key", "link"):
        with pytest.raises(ConfigError, match=r"changed by everybody.*chmod o-w") as caught:
            read(f"file:{name}", tmp_path)
        assert KEY not in str(caught.value)


@pytest.mark.parametrize("size", [module.MAX_BYTES, module.MAX_BYTES + 1])
def test_size_of_a_key_file_has_a_limit(tmp_path, size):
    (tmp_path / "the.key").write_bytes(b"\xff" * size)
    if size <= module.MAX_BYTES:
        assert len(read("file:the.key", tmp_path)) == size
    else:
        with pytest.raises(ConfigError, match="at most 65536 bytes"):
            read("file:the.key", tmp_path)


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
    monkeypatch.setattr(cmd, "_SECONDS", 0.3)
    for begin in ("echo begin", "exec >&-"):
        program = tmp_path / "program"
        program.write_text(f"echo $$ > number; {begin}; exec sleep 3600")
        with pytest.raises(ConfigError, match="longer than"):
            read("cmd:sh program", tmp_path)
        number = tmp_path / "number"
        if number.exists() and number.read_text():  # else it had not even begun
            with pytest.raises(ProcessLookupError):
                os.kill(int(number.read_text()), 0)


def test_command_that_prints_without_end_is_stopped(tmp_path):
    with pytest.raises(ConfigError, match="which is no key"):
        read("cmd:cat /dev/zero", tmp_path)


def test_command_gets_no_input(tmp_path):
    with pytest.raises(ConfigError, match="exit code 7"):
        read("cmd:sh -c 'read line || exit 7'", tmp_path)


def test_command_is_no_line_of_a_shell(tmp_path):
    assert read("cmd:echo $(id) > out; `touch out`", tmp_path).startswith(b"$(id) > out; `touch")
    assert list(tmp_path.iterdir()) == []


def test_command_has_a_limit_of_what_it_prints(tmp_path):
    (tmp_path / "the.key").write_bytes(b"\xff" * module.MAX_BYTES)
    assert len(read("cmd:cat the.key", tmp_path)) == module.MAX_BYTES
    with pytest.raises(ConfigError, match="printed more than"):
        read("cmd:cat the.key the.key", tmp_path)


def test_variable_has_a_limit(tmp_path):
    with pytest.raises(ConfigError, match="more than 65536 bytes"):
        read("env:THE_KEY", tmp_path, THE_KEY="x" * 65537)


# --- a source that is added ------------------------------------------------------------------


@pytest.fixture
def service(monkeypatch):
    """Register `tests.keys.service`, as a row of the table would, and serve it on loopback."""
    monkeypatch.setitem(module.SOURCES, "service", "tests.keys.service")
    with serving(KEY.encode(), token="t0ken") as address:
        yield address


def test_an_added_source_has_id_place_root_and_environment(tmp_path, service):
    (tmp_path / "audience").write_text("root-of-the-policy")
    found = read(f"service:{service}/v1", tmp_path, SERVICE_TOKEN="t0ken")
    assert found == KEY.encode()
    ring = Keyring.load(
        [("k7", f"service:{service}/v1")],
        tmp_path,
        {"SERVICE_TOKEN": "t0ken"},
    )
    assert ring.signing.derive(b"x") == Key("other", KEY.encode()).derive(b"x")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"SERVICE_TOKEN": "wrong"}, "401.*set SERVICE_TOKEN"),
        ({}, "401.*set SERVICE_TOKEN"),
        ({"path": "/missing"}, "404"),
        ({"path": "/large"}, "gave more than 65536 bytes"),
        ({"path": "/text"}, "gave str"),
        ({"path": "/raises"}, r"failed \(KeyError\)"),
    ],
)
def test_an_added_source_refuses_with_a_typed_error(tmp_path, service, changes, what):
    (tmp_path / "audience").write_text("root-of-the-policy")
    environ = {"SERVICE_TOKEN": "t0ken"} if "path" in changes else changes
    source = f"service:{service}{changes.get('path', '/v1')}"
    with pytest.raises(ConfigError, match=what) as caught:
        read(source, tmp_path, **environ)
    assert KEY not in exposed(caught.value)


def test_a_source_is_imported_when_it_is_used_and_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(module.SOURCES, "lazy", "tests.keys.absent_client")
    assert "tests.keys.absent_client" not in sys.modules
    with pytest.raises(MissingExtra, match=r"safehold\[joblib\]"):
        read("lazy:anything", tmp_path)


def test_a_policy_names_an_added_source(tmp_path, service):
    (tmp_path / "audience").write_text("root-of-the-policy")
    policy = tmp_path / "safehold.toml"
    policy.write_text(f'version = 1\n[keys]\nid = "k7"\nsource = "service:{service}/v1"\n')
    with Context.load(policy, environ={"SERVICE_TOKEN": "t0ken"}) as hold:
        assert hold.keyring.signing.id == "k7"


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
