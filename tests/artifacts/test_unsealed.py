"""Plain files that are listed: read by digest, for a time, with the zone's list, and recorded."""

from __future__ import annotations

import collections
import gzip
import hashlib
import hmac
import io
import os
import pickle
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from safehold.artifacts import Packing
from safehold.artifacts.pins import Pin, merged, render
from safehold.errors import (
    ConfigError,
    NotSealed,
    Rollback,
    Tampered,
    TypeNotAllowed,
    UnknownKey,
    WrongContext,
)
from safehold.keys import Key, Keyring, generate_pair
from tests.holding import OTHER_SECRET, SECRET, World, make_world

TODAY = datetime.now(UTC).date()
LATER = TODAY + timedelta(days=30)
VALUE = collections.OrderedDict(model=[1.5])


def plain(world: World, name: str = "models/m.pkl", value: object = VALUE) -> Path:
    path = world.root / name
    path.write_bytes(pickle.dumps(value))
    return path


def write_list(world: World, *pins: Pin, keyring: Keyring | None = None) -> Path:
    path = world.root / "unsealed.toml"
    path.write_bytes(render(pins, keyring or world.hold.keyring))
    return path


def listed(world: World, name: str = "models/m.pkl", **more: object) -> Path:
    """Write a plain file and the list that has it; return the file."""
    path = plain(world, name)
    form = str(more.pop("form", "pickle"))
    write_list(world, replace(world.store.pin(path, LATER, form=form), **more))
    return path


def test_without_a_list_a_plain_file_is_refused(world):
    with pytest.raises(NotSealed):
        world.store.load(plain(world))


def test_a_listed_file_is_read_by_path_and_by_handle(world):
    path = listed(world)
    assert world.store.load(path) == VALUE
    with open(path, "rb") as file:
        assert world.store.load_from(file) == VALUE


def test_each_load_is_recorded_with_its_day_and_digest(world):
    path = listed(world)
    world.events.rows.clear()
    world.store.load(path)
    with open(path, "rb") as file:
        world.store.load_from(file)
    for event in world.events.rows:
        assert (event.action, event.outcome, event.artifact) == ("load", "allowed", "models/m.pkl")
        assert event.reason == f"unsealed, listed until {LATER.isoformat()}"
        assert event.detail == {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert len(world.events.rows) == 2


def test_a_file_that_is_not_listed_stays_refused(world):
    listed(world)
    with pytest.raises(NotSealed, match="safehold seal PATH"):
        world.store.load(plain(world, "models/other.pkl"))


def test_other_bytes_are_refused_and_never_decoded(world, tmp_path):
    path = listed(world)
    marker = tmp_path / "ran"
    path.write_bytes(f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode())
    for _ in range(2):
        with pytest.raises(NotSealed, match="is another file than the one that was listed"):
            world.store.load(path)
        with pytest.raises(NotSealed, match="--unsealed-until"), open(path, "rb") as file:
            world.store.load_from(file)
    assert not marker.exists()
    assert [event.reason for event in world.events.refused] == ["NotSealed"] * 4


def test_a_listed_file_under_another_name_is_refused(world):
    path = listed(world)
    os.rename(path, world.root / "models/other.pkl")
    with pytest.raises(NotSealed):
        world.store.load(world.root / "models/other.pkl")


@pytest.mark.parametrize(("days", "is_read"), [(1, True), (0, True), (-1, False)])
def test_it_is_read_through_its_last_day_and_no_longer(world, days, is_read):
    path = listed(world, until=TODAY + timedelta(days=days))
    if is_read:
        assert world.store.load(path) == VALUE
    else:
        with pytest.raises(NotSealed, match=r"was listed to be read until .*--data DIR --write"):
            world.store.load(path)


def test_what_was_hashed_is_what_is_loaded(world, monkeypatch):
    """A file that is exchanged after it was read is read no second time."""
    path = listed(world)
    from safehold.artifacts import unsealed

    real = unsealed.sha256

    def exchanged(data=b""):
        path.unlink(missing_ok=True)
        path.write_bytes(pickle.dumps("exchanged"))
        return real(data)

    monkeypatch.setattr(unsealed, "sha256", exchanged)
    assert world.store.load(path) == VALUE


def test_names_beyond_the_zone_s_list_are_refused_though_they_are_listed(world):
    path = world.root / "models/m.pkl"
    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write_list(world, Pin("models/m.pkl", digest, "pickle", LATER))
    with pytest.raises(TypeNotAllowed, match=r"posix\.system"):
        world.store.load(path)


def test_what_is_not_clean_gets_no_entry(world):
    path = world.root / "models/m.pkl"
    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(TypeNotAllowed, match="malicious"):
        world.store.pin(path, LATER, form="pickle")


def test_a_sealed_file_gets_no_entry(world):
    path = world.root / "models/m.pkl"
    world.store.dump(VALUE, path)
    with pytest.raises(ConfigError, match="is sealed"):
        world.store.pin(path, LATER, form="pickle")


def test_untrusted_code_is_refused_as_for_sealed_files(world):
    path = listed(world)
    strict = world.again(trusted=("nowhere/**",))
    from safehold.errors import Blocked

    with pytest.raises(Blocked):
        strict.store.load(path)


def test_the_caller_s_own_list_and_generation_hold(world):
    path = world.root / "models/m.pkl"

    path.write_bytes(pickle.dumps(VALUE))
    write_list(world, world.store.pin(path, LATER, form="pickle"))
    with pytest.raises(Rollback):
        world.store.load(path, min_generation=1)
    assert world.store.load(path, allow=[]) == VALUE


# --- after it was sealed -------------------------------------------------------------------


def test_the_plain_file_of_before_is_refused_once_it_was_sealed(world):
    path = listed(world)
    before = path.read_bytes()
    world.store.seal(path, codec="pickle")
    assert world.store.load(path) == VALUE
    path.unlink()
    path.write_bytes(before)
    with pytest.raises(Rollback, match="--unsealed-until"):
        world.store.load(path)
    write_list(world, world.store.pin(path, LATER, form="pickle"))  # listed again, on purpose
    assert world.store.load(path) == VALUE


def test_a_listed_load_leaves_no_mark(world):
    path = listed(world)
    world.store.load(path)
    assert not (world.root / world.hold.policy.marks).exists()
    world.store.seal(path, codec="pickle")
    assert world.store.inspect(path).generation == 1


def test_a_sidecar_goes_before_the_list(world):
    path = listed(world)
    world.store.seal(path, codec="pickle", sidecar=True)
    path.write_bytes(pickle.dumps("written by something old"))
    with pytest.raises(Tampered):
        world.store.load(path)


# --- the list ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"models/m.pkl", b"models/n.pkl"),
        lambda text: text.replace(b"until = 2", b"until = 3"),
        lambda text: text.replace(b"\n\n[[file]]", b"\n\n[[file]]\n", 1),
        lambda text: text[:-3] + (b"00\n" if text[-3:-1] != b"00" else b"11\n"),
        lambda text: text.rsplit(b"# sealed", 1)[0],
        lambda text: text.rsplit(b"# sealed", 1)[0] + b"# sealed by k1: \n",
        lambda text: text + b"[[file]]\n",
        lambda text: b"",
        lambda text: b"\xff" * 100,
        lambda text: b"# sealed by k1: zz\n",
    ],
)
def test_a_list_without_the_key_admits_nothing(world, change):
    path = listed(world)
    file = world.root / "unsealed.toml"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(Tampered, match="remove it, and list the files again"):
        world.store.load(path)
    with pytest.raises(Tampered):
        world.store.unsealed.pins()


def test_a_list_of_another_key_admits_nothing(world):
    path = listed(world)
    pins = world.store.unsealed.pins()
    write_list(world, *pins, keyring=Keyring(Key("k1", OTHER_SECRET)))
    with pytest.raises(Tampered):
        world.store.load(path)
    write_list(world, *pins, keyring=Keyring(Key("k9", OTHER_SECRET)))
    with pytest.raises(UnknownKey):
        world.store.load(path)


def test_a_mac_of_another_purpose_is_none_of_a_list(world):
    path = listed(world)
    file = world.root / "unsealed.toml"
    body = file.read_bytes().rsplit(b"# sealed", 1)[0]
    key = Key("k1", SECRET)
    for info in (b"safehold/marks/v1", b""):
        mac = hmac.digest(key.derive(info), body, "sha256").hex().encode()
        file.write_bytes(body + b"# sealed by k1: " + mac + b"\n")
        with pytest.raises(Tampered):
            world.store.load(path)


def test_a_machine_s_own_key_seals_no_list(world):
    path = listed(world)
    local = Key("local", OTHER_SECRET)
    pins = world.store.unsealed.pins()
    write_list(world, *pins, keyring=Keyring(local))
    other = make_world(world.root, keyring=Keyring(Key("k1", SECRET), local=local))
    with pytest.raises(UnknownKey):
        other.store.load(path)


def test_a_list_of_an_older_key_holds_and_of_a_revoked_one_does_not(world):
    path = listed(world)
    old, new = Key("k1", SECRET), Key("k2", OTHER_SECRET)
    assert make_world(world.root, keyring=Keyring(new, old)).store.load(path) == VALUE
    revoked = Keyring(new, old, revoked=["k1"])
    with pytest.raises(UnknownKey):
        make_world(world.root, keyring=revoked).store.load(path)


def test_a_pair_signs_it_and_its_public_half_verifies(world):
    path = listed(world)
    texts = generate_pair()
    local = Key("local", OTHER_SECRET)
    signer = Keyring(Key("p", texts.private.encode(), "ED25519"), local=local)
    reader = Keyring(Key("p", texts.public.encode(), "ED25519"), local=local)
    write_list(world, *world.store.unsealed.pins(), keyring=signer)
    other = make_world(world.root, keyring=reader)
    assert other.store.load(path) == VALUE
    with pytest.raises(ConfigError):
        render((), reader)
    file = world.root / "unsealed.toml"
    file.write_bytes(file.read_bytes().replace(b"until = 2", b"until = 3"))
    with pytest.raises(Tampered):
        other.store.load(path)


def test_a_list_that_is_replaced_is_read_again(world):
    path = listed(world)
    assert world.store.load(path) == VALUE
    other = plain(world, "models/other.pkl")
    pins = world.store.unsealed.pins()
    new = world.root / "new"
    new.write_bytes(
        render([*pins, world.store.pin(other, LATER, form="pickle")], world.hold.keyring)
    )
    os.replace(new, world.root / "unsealed.toml")
    assert world.store.load(other) == VALUE
    (world.root / "unsealed.toml").unlink()
    with pytest.raises(NotSealed):
        world.store.load(path)


def test_what_the_list_is_rendered_from_comes_back(world):
    pins = {
        Pin(name, "ab" * 32, "joblib", LATER, 3, "cd" * 32, True, True)
        for name in ('m/"quoted\\".pkl', "m/new\nline", "m/ünï 🦊\x7f", "//m/\\udc80")
    }
    write_list(world, *pins)
    assert set(world.store.unsealed.pins()) == pins


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "ab"},
        {"sha256": "AB" * 32},
        {"form": "nothing"},
        {"unpacked": "x"},
    ],
)
def test_an_entry_that_no_safehold_writes_is_an_error(world, change):
    pin = Pin("models/m.pkl", "ab" * 32, "pickle", LATER)
    write_list(world, replace(pin, **change))
    with pytest.raises(ConfigError, match="is no list that this safehold reads"):
        world.store.unsealed.pins()


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_file_is_an_error_and_nothing_waits(world, kind):
    path = world.root / "unsealed.toml"
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    with pytest.raises(ConfigError):
        world.store.load(plain(world))


def test_expired_entries_and_those_of_converted_files_go(world):
    old = Pin("a", "ab" * 32, "pickle", date(2020, 1, 1))
    kept, gone = Pin("b", "ab" * 32, "pickle", LATER), Pin("c", "ab" * 32, "pickle", LATER)
    new = replace(kept, sha256="cd" * 32)
    assert merged([old, kept, gone], [], ["c"]) == (kept,)
    assert merged([kept], [new], []) == (new,)


# --- what may be listed --------------------------------------------------------------------


def test_several_pickles_in_one_file(world):
    path = world.root / "models/m.pkl"
    path.write_bytes(b"".join(pickle.dumps(value) for value in (1, VALUE, "three")))
    write_list(world, world.store.pin(path, LATER, form="pickle"))
    with open(path, "rb") as file:
        assert [world.store.load_from(file) for _ in range(3)] == [1, VALUE, "three"]
        with pytest.raises(EOFError):
            world.store.load_from(file)
    with open(path, "rb") as file:
        file.seek(1)
        with pytest.raises((NotSealed, WrongContext)):
            world.store.load_from(file)


def test_a_compressed_file_is_listed_by_what_is_read_of_it(world):
    path = world.root / "models/m.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(VALUE)))
    packing = Packing(gzip.decompress, gzip.compress)
    write_list(world, world.store.pin(path, LATER, form="pickle", packing=packing))
    with gzip.open(path, "rb") as file:
        assert world.store.load_from(file) == VALUE
    path.write_bytes(gzip.compress(pickle.dumps("other")))
    with gzip.open(path, "rb") as file, pytest.raises(NotSealed):
        world.store.load_from(file)


def test_bytes_that_are_read_from_a_file_and_loaded_by_themselves(world):
    path = plain(world, value={"a": 1})
    write_list(world, world.store.pin(path, LATER, form="pickle", in_memory=True))
    assert world.store.loads(path.read_bytes()) == {"a": 1}
    assert world.store.load_from(io.BytesIO(path.read_bytes())) == {"a": 1}
    with pytest.raises(NotSealed):
        world.store.loads(pickle.dumps("other"))
    with pytest.raises(NotSealed):
        world.store.load(path)  # which was listed for its bytes alone
    with pytest.raises(NotSealed):
        world.store.loads(path.read_bytes(), zone="models")


def test_a_file_of_an_external_zone_names_no_class(world):
    path = world.root / "data/d.pkl"
    path.write_bytes(pickle.dumps({"rows": [(1, 2)]}))
    write_list(world, world.store.pin(path, LATER, form="pickle"))
    assert world.store.load(path) == {"rows": [(1, 2)]}
    path.write_bytes(b"csklearn.linear_model._base\nLinearRegression\n.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write_list(world, Pin("data/d.pkl", digest, "pickle", LATER))
    with pytest.raises(TypeNotAllowed):
        world.store.load(path)


def test_a_file_beyond_the_limit_is_not_read(world):
    path = listed(world)
    small = world.again(limits=replace(world.hold.policy.limits, artifact=10))
    with pytest.raises(NotSealed):
        small.store.load(path)
