from __future__ import annotations

import copy
import itertools
import json
import logging
import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.context import Context
from safehold.errors import ConfigError, UnknownKey, WeakKey
from safehold.keys import Key, Keyring, generate_key
from safehold.keys.sources import cmd
from tests.keys.exposing import exposed

# Weak on purpose where a test needs a refusal; the mark is what must never show.
MARK = "mY-vErY-oWn-mArK"
WEAK = f"{MARK}-changeme-changeme-changeme-changeme-changeme-changeme-changeme-changeme-changeme"


def strong():
    return f"{MARK}-{generate_key()}".encode()


def script(tmp_path, after):
    (tmp_path / "the.key").write_text(WEAK)
    (tmp_path / "run").write_text(f"cat the.key\n{after}\n")
    return "cmd:sh run"


class Odd(dict):
    """Environment whose value is no string."""

    def get(self, name, default=None):
        return WEAK.encode()

    __getitem__ = get


def weak_variable(tmp_path):
    Keyring.load([("k1", "env:THE_KEY")], tmp_path, {"THE_KEY": WEAK})


def weak_second_key(tmp_path):
    environ = {"A": strong().decode(), "B": WEAK}
    Keyring.load([("k2", "env:A"), ("k1", "env:B")], tmp_path, environ)


def weak_variable_of_the_process(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THE_KEY", WEAK)
        Keyring.load([("k1", "env:THE_KEY")], tmp_path)


def other_variable_missing(tmp_path):
    Keyring.load([("k1", "env:THE_KEY"), ("k2", "env:NONE")], tmp_path, {"THE_KEY": WEAK * 2})


def variable_with_surrogates(tmp_path):
    Keyring.load([("k1", "env:THE_KEY")], tmp_path, {"THE_KEY": WEAK + "\ud800"})


def variable_that_is_no_string(tmp_path):
    Keyring.load([("k1", "env:THE_KEY")], tmp_path, Odd())


def weak_file(tmp_path):
    (tmp_path / "the.key").write_text(WEAK)
    Keyring.load([("k1", "file:the.key")], tmp_path)


def file_missing(tmp_path):
    Keyring.load([("k1", "env:A"), ("k2", "file:none")], tmp_path, {"A": strong().decode()})


def weak_command(tmp_path):
    Keyring.load([("k1", script(tmp_path, "true"))], tmp_path)


def failing_command(tmp_path):
    Keyring.load([("k1", script(tmp_path, "exit 3"))], tmp_path)


def hanging_command(tmp_path):
    Keyring.load([("k1", script(tmp_path, "exec sleep 60"))], tmp_path)


def flooding_command(tmp_path):
    Keyring.load([("k1", script(tmp_path, "exec cat /dev/zero"))], tmp_path)


def command_that_does_not_start(tmp_path):
    Keyring.load([("k1", "cmd:no-such-command")], tmp_path, {"A": WEAK})


def weak_key(tmp_path):
    Key("k1", WEAK.encode())


def key_without_its_extra(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "blake3", None)
        Keyring.load([("k1", "env:A", "BLAKE3")], tmp_path, {"A": strong().decode()})


def short_key(tmp_path):
    Key("k1", MARK.encode())


def key_of_text(tmp_path):
    Key("k1", WEAK)


def key_with_impossible_id(tmp_path):
    Key("\ud800", strong())


def same_id_twice(tmp_path):
    Keyring(Key("k1", strong()), Key("k1", strong()))


def derivation_that_is_too_long(tmp_path):
    Key("k1", strong()).derive(b"info", length=10**6)


def context_with_weak_key(tmp_path):
    (tmp_path / "safehold.toml").write_text('version = 1\n[keys]\nsource = "env:THE_KEY"\n')
    Context.load(tmp_path / "safehold.toml", environ={"THE_KEY": WEAK})


FAILURES = [
    weak_variable,
    weak_second_key,
    weak_variable_of_the_process,
    other_variable_missing,
    variable_with_surrogates,
    variable_that_is_no_string,
    weak_file,
    file_missing,
    weak_command,
    failing_command,
    hanging_command,
    flooding_command,
    command_that_does_not_start,
    weak_key,
    key_without_its_extra,
    short_key,
    key_of_text,
    key_with_impossible_id,
    same_id_twice,
    derivation_that_is_too_long,
    context_with_weak_key,
]


@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)
def test_no_error_shows_a_secret(fail, tmp_path, monkeypatch, caplog, capfd):
    monkeypatch.setattr(cmd, "_SECONDS", 0.5)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Exception) as caught:  # noqa: PT011  which error it is, other tests ask
        fail(tmp_path)
    assert MARK not in exposed(caught.value)
    assert MARK not in caplog.text + "".join(capfd.readouterr())


def test_the_test_would_see_a_leak():
    def fail(secret):
        raise ValueError

    scope = {}
    code = compile("def outer(inner, secret): inner(secret)", "elsewhere.py", "exec")
    exec(code, scope)  # noqa: S102  a frame of another file
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        scope["outer"](fail, WEAK)
    assert MARK in exposed(caught.value)


@pytest.mark.parametrize(
    "show",
    [repr, str, ascii, "{}".format, "{!r:>100}".format, lambda key: f"{[key]} {(key, {key})}"],
)
def test_key_and_keyring_show_ids_alone(show):
    key = Key("k1", strong())
    for value in (key, Keyring(key, Key("k0", strong()))):
        assert MARK not in show(value)
        assert "k1" in show(value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_key_cannot_be_pickled(protocol):
    key = Key("k1", strong())
    for value in (key, Keyring(key), [key], {"hold": Keyring(key)}):
        with pytest.raises(TypeError, match="pickled or copied") as caught:
            pickle.dumps(value, protocol)
        assert MARK not in exposed(caught.value)


@pytest.mark.parametrize(
    "take",
    [
        copy.copy,
        copy.deepcopy,
        vars,
        lambda value: value.__getstate__(),
        lambda value: value.__reduce_ex__(4),
        lambda value: copy.deepcopy([value]),
        json.dumps,
    ],
)
def test_key_cannot_be_copied_or_taken_apart(take):
    key = Key("k1", strong())
    for value in (key, Keyring(key)):
        with pytest.raises(TypeError) as caught:
            take(value)
        assert MARK not in exposed(caught.value)


def test_keys_are_not_compared_by_secret():
    secret = strong()
    first, second = Key("k1", secret), Key("k1", secret)
    assert first != second
    assert len({first, second}) == 2
    assert first == first  # noqa: PLR0124
    with pytest.raises(TypeError):
        sorted([first, second])


def test_derived_keys_differ_by_purpose_salt_and_secret_and_are_never_the_secret():
    secret = strong()
    one, same, other = Key("k1", secret), Key("other id", secret), Key("k1", strong())
    found = [
        one.derive(b"a"),
        one.derive(b"b"),
        one.derive(b"a", salt=b"s" * 16),
        one.derive(b"a", length=64),
        other.derive(b"a"),
    ]
    assert len(set(found)) == len(found)
    assert all(secret not in one and one not in secret for one in found)
    assert same.derive(b"a") == found[0]


def test_derivation_is_hkdf_of_rfc_5869():
    # Test case 3 has the inputs that a key here can have: 22 bytes are too short for a Key,
    # so the expected value is computed by the two steps of section 2.
    import hashlib
    import hmac

    secret = strong()
    extracted = hmac.digest(b"\x00" * 32, secret, hashlib.sha256)
    expected = hmac.digest(extracted, b"purpose\x01", hashlib.sha256)
    assert Key("k1", secret).derive(b"purpose") == expected


@pytest.mark.parametrize("secret", [WEAK, bytearray(b"x" * 32), memoryview(b"x" * 32), 64, None])
def test_secret_must_be_bytes(secret):
    with pytest.raises(TypeError, match="must be bytes"):
        Key("k1", secret)


@pytest.mark.parametrize("secret", [b"", b"x" * 31, b"changeme" * 8, b"x" * 64])
def test_weak_key_is_refused_with_the_command_that_makes_one(secret):
    with pytest.raises(WeakKey, match="safehold keygen") as caught:
        Key("k1", secret)
    assert isinstance(caught.value, ConfigError)
    assert "'k1'" in str(caught.value)


def test_refusal_names_the_source(tmp_path):
    with pytest.raises(WeakKey, match=r"env:THE_KEY"):
        Keyring.load([("k1", "env:THE_KEY")], tmp_path, {"THE_KEY": "changeme"})


def test_first_listed_key_signs_and_all_are_found(tmp_path):
    environ = {name: generate_key() for name in "ABC"}
    ring = Keyring.load(
        [("new", "env:A"), ("old", "env:B"), ("oldest", "env:C")], tmp_path, environ
    )
    assert ring.signing.id == "new"
    for name in ("new", "old", "oldest"):
        assert ring.by_id(name).id == name
        assert ring.by_tag(ring.by_id(name).tag) is ring.by_id(name)


def test_unknown_key_names_the_known_ids():
    ring = Keyring(Key("k1", strong()), Key("k0", strong()))
    for look_up in (lambda: ring.by_id("k9"), lambda: ring.by_tag(b"12345678")):
        with pytest.raises(UnknownKey, match="k1, k0"):
            look_up()


def test_id_is_used_once():
    with pytest.raises(ConfigError, match="not unique"):
        Keyring(Key("k1", strong()), Key("k2", strong()), Key("k1", strong()))


@given(st.lists(st.text(max_size=20), min_size=2, max_size=20, unique=True))
def test_tags_tell_ids_apart(ids):
    secret = strong()
    tags = {
        Key(name, secret).tag for name in ids if not any("\ud800" <= c <= "\udfff" for c in name)
    }
    plain = [name for name in ids if not any("\ud800" <= c <= "\udfff" for c in name)]
    assert len(tags) == len(plain)


def test_generated_keys_are_accepted_and_differ():
    keys = [generate_key() for _ in range(100)]
    assert len(set(keys)) == 100
    assert all(len(key) == 64 for key in keys)
    for number, key in zip(itertools.count(), keys[:10], strict=False):
        Key(f"k{number}", key.encode())
