"""Plain files with a sidecar: read by other tools, and loaded here as if they were sealed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import shutil
import struct
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safehold import sfh1
from safehold.artifacts import container, reading, sidecar
from safehold.errors import (
    Blocked,
    ConfigError,
    DecodeError,
    EncodeError,
    LimitExceeded,
    NotSealed,
    Revoked,
    Rollback,
    SafeholdError,
    Tampered,
    TypeNotAllowed,
    UnknownKey,
    VerificationError,
    WrongContext,
)
from safehold.keys import Key, Keyring
from safehold.policy.revoked import Revocations
from tests.artifacts.test_suites import OTHER_PAIR, PAIR
from tests.holding import OTHER_SECRET, SECRET, ZONES, World, make_world
from tests.work import an_end, calls

pytestmark = pytest.mark.bare

PLAIN = [name for name, row in sfh1.SUITES.items() if not row.encrypts]
LARGE = os.urandom(2**20) * 2 + b"the end"
LOCAL = Key("local", bytes(reversed(OTHER_SECRET)))  # of the marks, under every suite


class Own:
    """A class that only a zone can allow."""


def keyring(suite: str, key_id: str = "k1", *previous: Key) -> Keyring:
    secret = PAIR.private.encode() if suite == "ED25519" else SECRET
    return ring(Key(key_id, secret, suite), *previous)


def ring(*keys: Key) -> Keyring:
    return Keyring(*keys, local=LOCAL)


@pytest.fixture(params=PLAIN)
def each(request, tmp_path) -> Iterator[World]:
    """A world for each suite that a sidecar can have."""
    world = make_world(tmp_path, keyring=keyring(request.param))
    yield world
    world.hold.close()


def beside(path: Path) -> Path:
    return path.with_name(path.name + ".sfh")


def pair(path: Path) -> tuple[bytes, bytes]:
    return path.read_bytes(), beside(path).read_bytes()


def put(path: Path, parts: tuple[bytes, bytes]) -> None:
    path.write_bytes(parts[0])
    beside(path).write_bytes(parts[1])


def forget(world: World) -> World:
    """Return a machine that has seen nothing yet."""
    shutil.rmtree(world.root / "var", ignore_errors=True)
    return world.again(keyring=world.hold.keyring)


VALUES: dict[str, tuple[str, Any]] = {
    "pickle": ("models/a.pkl", {"weights": [1, 2, 3]}),
    "json": ("data/a.json", {"tuple": (1, 2), "n": None}),
    "msgpack": ("data/a.msgpack", {"tuple": (1, 2)}),
    "bytes": ("tables/a.onnx", b"\x08\x07model"),
}


@pytest.fixture(params=VALUES)
def made(request, each) -> tuple[World, Path, Any]:
    """A file of each codec with two generations in its sidecar."""
    name, value = VALUES[request.param]
    each.store.dump(value, each.root / name, sidecar=True)
    each.store.dump(value, each.root / name, sidecar=True)
    return each, each.root / name, value


def test_what_is_dumped_is_the_plain_file_and_loads(made):
    world, path, value = made
    if path.suffix == ".pkl":
        assert pickle.loads(path.read_bytes()) == value
    elif path.suffix == ".json":
        assert json.loads(path.read_bytes())["n"] is None
    elif path.suffix == ".onnx":
        assert path.read_bytes() == value
    for store in (world.store, world.again(keyring=world.hold.keyring).store):
        assert store.load(path) == value
        with path.open("rb") as file:
            assert store.load_from(file) == value
            assert file.read() == b""
        assert bytes(store.read(path)) == path.read_bytes()
        store.verify(path)
        info = store.inspect(path)
        assert (info.generation, info.size, info.sidecar) == (2, len(path.read_bytes()), True)
        with store.open(path) as opened:
            assert bytes(opened.segment(0)[:]) == path.read_bytes()
            assert opened.info == info


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_changed_byte_of_either_is_refused(made, mask):
    world, path, _ = made
    for file in (path, beside(path)):
        whole = file.read_bytes()
        for index in range(len(whole)):
            data = bytearray(whole)
            data[index] ^= mask
            file.write_bytes(data)
            with pytest.raises((VerificationError, LimitExceeded)):
                world.store.load(path)
        file.write_bytes(whole)
    world.store.verify(path)


def test_every_truncation_of_either_and_what_is_appended_is_refused(made):
    world, path, _ = made
    for file in (path, beside(path)):
        whole = file.read_bytes()
        lengths = range(len(whole))
        for data in (
            *(whole[:length] for length in lengths),
            *(whole + extra for extra in (b"\0", b"x" * 16, bytes(2**20), whole)),
        ):
            if file != path and len(data) == len(whole) // 2:
                continue  # one whole record: another test
            file.write_bytes(data)
            with pytest.raises((VerificationError, LimitExceeded)):
                world.store.load(path)
            with path.open("rb") as handle, pytest.raises((VerificationError, LimitExceeded)):
                world.store.load_from(handle)
        file.write_bytes(whole)
    world.store.verify(path)


def test_nothing_is_decoded_before_all_is_verified(made, monkeypatch):
    world, path, _ = made
    monkeypatch.setattr(reading, "codec_named", lambda name: pytest.fail(f"{name} decodes"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Tampered):
        world.store.load(path)


@pytest.mark.parametrize("at", [0, 2**20 - 1, 2**20, len(LARGE) - 1])
def test_a_large_file_is_verified_to_its_end(each, at):
    path = each.root / "tables/m.onnx"
    each.store.dump(LARGE, path, sidecar=True)
    assert bytes(each.store.read(path)) == LARGE
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([LARGE[at] ^ 1]))
    with pytest.raises(Tampered, match="seal --sidecar"):
        each.store.read(path)
    with each.store.open(path) as opened, pytest.raises(Tampered):
        opened.segment(0)[at : at + 1]


def test_an_empty_file(each):
    path = each.root / "tables/m.onnx"
    each.store.dump(b"", path, sidecar=True)
    assert each.store.load(path) == b""
    assert each.store.read(path) == b""
    path.write_bytes(b"x")
    with pytest.raises(Tampered):
        each.store.load(path)


# --- generations ---------------------------------------------------------------------------


def test_a_sidecar_holds_two_generations_and_no_third(each):
    path = each.root / "tables/m.onnx"
    lengths = []
    for number in range(4):
        each.store.dump(b"%d" % number, path, sidecar=True)
        lengths.append(len(beside(path).read_bytes()))
    assert lengths == [lengths[0], *[2 * lengths[0]] * 3]
    assert each.store.inspect(path).generation == 4


@pytest.mark.parametrize("same_start", [True, False])
@pytest.mark.parametrize("same_length", [True, False])
def test_between_the_two_steps_of_a_write_the_old_file_loads(each, same_start, same_length):
    old = LARGE[:-1] + b"1"
    new = (LARGE[:-1] if same_start else os.urandom(len(LARGE) - 1)) + b"2"
    new += b"" if same_length else b"more"
    path = each.root / "tables/m.onnx"
    each.store.dump(old, path, sidecar=True)
    marks = each.root / "var"
    shutil.copytree(marks, each.root / "kept")
    each.store.dump(new, path, sidecar=True)
    path.write_bytes(old)  # as a crash after the sidecar leaves it
    shutil.rmtree(marks)
    shutil.move(each.root / "kept", marks)
    crashed = each.again(keyring=each.hold.keyring)
    assert crashed.store.load(path) == old
    assert crashed.store.inspect(path).generation == 1
    with crashed.store.open(path) as opened:
        assert bytes(opened.segment(0)[-20:]) == old[-20:]
        assert bytes(opened.segment(0)[:]) == old
    # The next write keeps the record of the file that is there, not the newest.
    crashed.store.dump(b"next", path, sidecar=True)
    records = beside(path).read_bytes()
    path.write_bytes(old)
    assert forget(crashed).store.load(path) == old
    path.write_bytes(new)
    with pytest.raises(Tampered):
        forget(crashed).store.load(path)
    assert len(records) > 0


def test_an_older_file_is_refused_although_its_record_is_there(each):
    path = each.root / "tables/m.onnx"
    each.store.dump(b"old", path, sidecar=True)
    old = pair(path)
    each.store.dump(b"new", path, sidecar=True)
    new = pair(path)
    for parts in ((old[0], new[1]), old):
        put(path, parts)
        for store in (each.store, each.again(keyring=each.hold.keyring).store):
            with pytest.raises(Rollback):
                store.load(path)
            with pytest.raises(Rollback):
                store.verify(path)
            with pytest.raises(Rollback):
                store.open(path)
    put(path, new)
    assert each.store.load(path) == b"new"
    with pytest.raises(Rollback):
        each.store.load(path, min_generation=3)


def test_the_present_record_alone_does(each):
    path = each.root / "tables/m.onnx"
    each.store.dump(b"old", path, sidecar=True)
    each.store.dump(b"new", path, sidecar=True)
    whole = beside(path).read_bytes()
    beside(path).write_bytes(whole[: len(whole) // 2])
    assert each.store.load(path) == b"new"
    beside(path).write_bytes(whole[len(whole) // 2 :])
    with pytest.raises(Tampered):
        each.store.load(path)


def test_records_in_another_order_twice_or_of_two_files_are_refused(each):
    path, other = each.root / "tables/m.onnx", each.root / "tables/n.onnx"
    for target, value in itertools.product((path, other), (b"111", b"222")):
        each.store.dump(value, target, sidecar=True)
    whole, foreign = beside(path).read_bytes(), beside(other).read_bytes()
    half = len(whole) // 2
    first, second = whole[:half], whole[half:]
    for data in (
        second + first,
        first + first,
        second + second,
        first + foreign[:half],
        first + foreign[half:],
        foreign[:half] + second,
        first + second + second,
    ):
        beside(path).write_bytes(data)
        with pytest.raises(Tampered):
            each.store.load(path)
    beside(path).write_bytes(first + second)
    assert each.store.load(path) == b"222"


# --- context -------------------------------------------------------------------------------


def test_a_sidecar_of_another_name_or_zone_is_refused(each):
    path = each.root / "models/a.json"
    each.store.dump([1], path, sidecar=True, codec="json")
    for name, error in (("models/b.json", WrongContext), ("data/a.json", WrongContext)):
        put(each.root / name, pair(path))
        with pytest.raises(error):
            each.store.load(each.root / name)


def test_without_its_sidecar_a_file_is_not_sealed(each):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    beside(path).unlink()
    for call in (each.store.load, each.store.verify, each.store.open, each.store.inspect):
        with pytest.raises(NotSealed):
            call(path)
    with path.open("rb") as file, pytest.raises(NotSealed):
        each.store.load_from(file)


def test_a_sidecar_without_its_file_is_a_missing_file(each):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        each.store.load(path)


def test_an_own_seal_counts_more_than_a_sidecar(each):
    path = each.root / "models/a.pkl"
    each.store.dump(["plain"], path, sidecar=True)
    left = beside(path).read_bytes()
    each.store.dump(["sealed"], path)
    assert not beside(path).exists()
    beside(path).write_bytes(left)
    assert each.store.load(path) == ["sealed"]
    assert not each.store.inspect(path).sidecar
    beside(path).write_bytes(b"rubbish")
    assert each.store.load(path) == ["sealed"]
    each.store.dump(["sealed again"], path)
    assert beside(path).read_bytes() == b"rubbish"  # nobody knows whose it is


def test_a_sidecar_is_no_artifact(each):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    with pytest.raises(NotSealed, match="is a sidecar"):
        each.store.load(beside(path))
    for options in ({}, {"sidecar": True}):
        with pytest.raises(ConfigError, match="name of a sidecar"):
            each.store.dump([1], beside(path), **options)
    with pytest.raises(ConfigError):
        each.store.seal(beside(path))


def test_something_else_with_the_sidecar_s_name_is_not_replaced(each):
    path = each.root / "models/a.pkl"
    beside(path).write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        each.store.dump([1], path, sidecar=True)
    assert beside(path).read_bytes() == b"somebody's"
    assert not path.exists()
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(NotSealed, match="not a sidecar"):
        each.store.load(path)


def test_times_callers_names_and_codecs_are_checked_as_for_a_sealed_file(each, monkeypatch):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True, expires=int(time.time()) + 100)
    assert each.store.load(path) == [1]
    later = time.time() + 101
    monkeypatch.setattr(reading.time, "time", lambda: later)
    with pytest.raises(WrongContext, match="expired"):
        each.store.load(path)
    monkeypatch.undo()
    keys = each.hold.keyring
    with pytest.raises(Blocked):
        each.again(keyring=keys, trusted=()).store.load(path)
    zones = tuple(replace(zone, codecs=("json",)) for zone in ZONES if zone.name == "models")
    with pytest.raises(WrongContext, match="codec"):
        each.again(keyring=keys, zones=zones).store.load(path)
    with pytest.raises(EncodeError, match="Own"):
        each.store.dump(Own(), path, sidecar=True)
    wider = each.again(keyring=keys, zones=(replace(ZONES[0], allow=(f"{__name__}.Own",)),))
    wider.store.dump(Own(), path, sidecar=True)
    assert type(wider.store.load(path)) is Own
    with pytest.raises(TypeNotAllowed, match="Own"):
        each.store.load(path)


def test_keys_that_are_not_known_and_other_secrets(each):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    with pytest.raises(UnknownKey):
        each.again(keyring=ring(Key("k2", OTHER_SECRET))).store.load(path)
    with pytest.raises(Tampered):
        each.again(keyring=ring(Key("k1", OTHER_SECRET))).store.load(path)


def test_a_suite_that_encrypts_has_no_sidecars(tmp_path):
    world = make_world(tmp_path, keyring=keyring("AES256GCM"))
    path = tmp_path / "models/a.pkl"
    with pytest.raises(ConfigError, match="encrypts"):
        world.store.dump([1], path, sidecar=True)
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(ConfigError, match="encrypts"):
        world.store.seal(path, sidecar=True)
    assert [item.name for item in path.parent.iterdir()] == ["a.pkl"]


# --- paths ---------------------------------------------------------------------------------


def test_a_link_is_followed_and_the_sidecar_stands_beside_the_real_file(each):
    real, link = each.root / "models/real.pkl", each.root / "second/link.pkl"
    each.store.dump([1], real, sidecar=True)
    link.symlink_to(real)
    beside(link).write_bytes(b"not the one")
    assert each.store.load(link) == [1]
    assert each.store.inspect(link).name == "models/real.pkl"
    each.store.dump([2], link, sidecar=True)
    assert link.is_symlink()
    assert beside(link).read_bytes() == b"not the one"
    assert each.store.load(real) == [2]


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_a_sidecar_that_is_no_regular_file_is_refused(each, kind):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    moved = each.root / "models/moved"
    beside(path).rename(moved)
    if kind == "link":
        beside(path).symlink_to(moved)
    elif kind == "fifo":
        os.mkfifo(beside(path))
    else:
        beside(path).mkdir()
    with pytest.raises((OSError, NotSealed)):
        each.store.load(path)


def test_a_name_that_leaves_no_room_for_a_sidecar(each):
    path = each.root / "models" / ("n" * 250 + ".pkl")
    with pytest.raises(OSError, match="too long"):
        each.store.dump([1], path, sidecar=True)
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(NotSealed):
        each.store.load(path)


def test_a_file_that_becomes_a_link_to_another_is_not_taken_for_it(each, monkeypatch):
    """It is exchanged after it was opened, and before its sidecar is looked for."""
    path, other = each.root / "models/a.pkl", each.root / "models/b.pkl"
    for name, value in ((path, [1]), (other, [2])):
        each.store.dump(value, name, sidecar=True)
    root = each.hold.root
    real = root.open_parent

    def open_parent(name: str):
        path.unlink()
        path.symlink_to(other)
        return real(name)

    monkeypatch.setattr(root, "open_parent", open_parent)
    with pytest.raises(NotSealed):
        each.store.load(path)
    monkeypatch.undo()
    assert each.store.load(path) == [2]  # as what it is now


# --- hostile sizes -------------------------------------------------------------------------


def hostile(each: World, path: Path) -> Iterator[bytes]:
    whole = beside(path).read_bytes()
    for length in (2**63, 2**64 - 1, 2**40, len(path.read_bytes()) + 1, 0):
        yield whole[:16] + struct.pack("<Q", length) + whole[24:]
    for text in (2**32 - 1, 2**20 + 1, 2**20, 0):
        yield whole[:8] + struct.pack("<I", text) + whole[12:]
    yield b""
    yield whole[:47]
    yield bytes(100)
    yield whole * 1000


def test_hostile_sidecars_are_refused_in_few_steps_and_little_memory(each):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    refused = (VerificationError, LimitExceeded)
    usual = steps(each, path)
    for data in list(hostile(each, path)):
        beside(path).write_bytes(data)
        with pytest.raises(refused):  # what is imported for a refusal is not counted
            each.store.load(path)
        tracemalloc.start()
        try:
            with pytest.raises(refused):
                each.store.load(path)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()
        assert steps(each, path) < 2 * usual


def steps(world: World, path: Path) -> int:
    """Count the calls of a load, refused or not; what is made once is not counted."""

    def load() -> None:
        with contextlib.suppress(SafeholdError), an_end():
            world.store.load(path)

    load()
    return calls(load).total()


@pytest.mark.parametrize("which", ["file", "sidecar"])
def test_a_sparse_tebibyte_is_refused_unread(each, which):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    usual = steps(each, path)
    os.truncate(path if which == "file" else beside(path), 2**40)
    with pytest.raises(Tampered), an_end():  # which reading it would not come to
        each.store.load(path)
    assert steps(each, path) < 2 * usual


def test_what_follows_two_records_is_not_even_read(each):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    each.store.dump([2], path, sidecar=True)
    os.truncate(beside(path), 2**40)
    with pytest.raises(Tampered, match="cut or extended"):
        each.store.load(path)


# --- sealing what is there -----------------------------------------------------------------


def test_a_plain_file_gets_a_sidecar_and_keeps_its_bytes_and_times(each):
    path = each.root / "models/a.pkl"
    path.write_bytes(pickle.dumps({"a": 1}, protocol=2))
    before = path.stat()
    info = each.store.seal(path, sidecar=True, meta={"run": 7})
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns, before.st_size) == (
        after.st_ino,
        after.st_mtime_ns,
        after.st_size,
    )
    assert (info.sidecar, info.raw, info.meta, info.generation) == (True, True, {"run": 7}, 1)
    assert each.store.load(path) == {"a": 1}
    assert each.store.inspect(path) == info


def test_what_is_not_clean_gets_no_sidecar(each, tmp_path):
    path = each.root / "models/a.pkl"
    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(TypeNotAllowed, match="SH101"):
        each.store.seal(path, sidecar=True)
    path.write_bytes(pickle.dumps(1) + pickle.dumps(2))
    with pytest.raises(ConfigError, match="2 pickles"):
        each.store.seal(path, sidecar=True)
    assert not beside(path).exists()


def test_sealing_twice_is_an_error_unless_the_file_was_changed(each):
    path = each.root / "models/a.pkl"
    path.write_bytes(pickle.dumps([1]))
    each.store.seal(path, sidecar=True)
    for options in ({}, {"sidecar": True}):
        with pytest.raises(ConfigError, match="sealed already"):
            each.store.seal(path, **options)
    path.write_bytes(pickle.dumps([2]))
    with pytest.raises(Tampered, match="changed on purpose, seal it again: safehold seal"):
        each.store.load(path)
    assert each.store.seal(path, sidecar=True).generation == 2
    assert each.store.load(path) == [2]
    assert len(beside(path).read_bytes()) < 600  # one record


def test_a_changed_file_may_get_a_seal_of_its_own(each):
    path = each.root / "models/a.pkl"
    path.write_bytes(pickle.dumps([1]))
    each.store.seal(path, sidecar=True)
    path.write_bytes(pickle.dumps([2]))
    assert each.store.seal(path).sidecar is False
    assert not beside(path).exists()
    assert each.store.load(path) == [2]


def test_a_file_that_changes_while_it_is_sealed_gets_no_sidecar(each, monkeypatch):
    path = each.root / "models/a.pkl"
    path.write_bytes(pickle.dumps([1]))
    real = each.store._writer.scanned

    def scanned(draft, target):
        other = path.with_name("other")
        other.write_bytes(pickle.dumps([2]))
        other.rename(path)
        return real(draft, target)

    monkeypatch.setattr(each.store._writer, "scanned", scanned)
    with pytest.raises(OSError, match="changed while it was sealed"):
        each.store.seal(path, sidecar=True)
    assert not beside(path).exists()


def test_unseal_removes_the_sidecar_alone(each):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    before = path.read_bytes()
    each.store.unseal(path)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == ["a.pkl"]
    with pytest.raises(NotSealed):
        each.store.load(path)


def test_unseal_of_a_changed_file_is_refused(each):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    path.write_bytes(b"N.")
    with pytest.raises(Tampered):
        each.store.unseal(path)
    assert beside(path).exists()


def test_renew_takes_an_older_file_back(each):
    path = each.root / "tables/m.onnx"
    each.store.dump(b"old", path, sidecar=True, meta={"a": 1})
    old = pair(path)
    each.store.dump(b"new", path, sidecar=True)
    put(path, old)
    with pytest.raises(Rollback):
        each.store.load(path)
    assert each.store.renew(path).generation == 3
    assert each.store.load(path) == b"old"
    assert each.store.inspect(path).meta == {"a": 1}


def test_rename_takes_both_along(each):
    old, new = each.root / "models/a.pkl", each.root / "second/b.pkl"
    each.store.dump([1], old, sidecar=True, meta={"a": 1})
    kept = pair(old)
    info = each.store.rename(old, new)
    assert (info.name, info.generation, info.sidecar) == ("second/b.pkl", 2, True)
    assert list(old.parent.iterdir()) == []
    assert each.store.load(new) == [1]
    assert each.store.inspect(new).meta == {"a": 1}
    put(old, kept)
    with pytest.raises(Rollback):
        each.store.load(old)
    put(new, kept)
    with pytest.raises(WrongContext):
        each.store.load(new)


def test_rename_leaves_an_existing_file_and_a_foreign_sidecar(each):
    old, new = each.root / "models/a.pkl", each.root / "models/b.pkl"
    each.store.dump([1], old, sidecar=True)
    new.write_bytes(b"there")
    with pytest.raises(FileExistsError):
        each.store.rename(old, new)
    new.unlink()
    beside(new).write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        each.store.rename(old, new)
    assert each.store.load(old) == [1]


# --- keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize("after", PLAIN)
@pytest.mark.parametrize("before", PLAIN)
def test_rotate_signs_with_another_key(before, after, tmp_path, monkeypatch):
    old = keyring(before)
    world = make_world(tmp_path, keyring=old)
    path = tmp_path / "tables/m.onnx"
    world.store.dump(LARGE, path, sidecar=True)
    world.store.dump(LARGE, path, sidecar=True)
    first = world.store.inspect(path)
    secret = OTHER_PAIR.private.encode() if after == "ED25519" else OTHER_SECRET
    new = Key("k2", secret, after)
    rotating = world.again(keyring=ring(new, old.signing))
    (info,) = rotating.store.rotate("k1", "k2", [path])
    assert (info.key, info.suite, info.generation) == ("k2", after, 2)
    assert (info.artifact, info.size, info.sidecar) == (first.artifact, len(LARGE), True)
    assert world.again(keyring=ring(new)).store.load(path) == LARGE
    (again,) = rotating.store.rotate("k1", "k2", [path])
    assert again == info


def test_rotate_reads_the_file_only_where_leaves_need_a_key(tmp_path, monkeypatch):
    path = tmp_path / "tables/m.onnx"
    for before, after, reads in (("HS256", "ED25519", False), ("GMAC", "HS256", True)):
        old = keyring(before)
        world = make_world(tmp_path, keyring=old)
        world.store.dump(LARGE, path, sidecar=True)
        world = world.again(keyring=keyring(after, "k2", old.signing))
        seen: list[int] = []
        real = sidecar.read_at

        def count(fd, offset, into, seen=seen, real=real):
            seen.append(len(into))
            return real(fd, offset, into)

        monkeypatch.setattr(sidecar, "read_at", count)
        world.store.rotate("k1", "k2", [path])
        monkeypatch.undo()
        assert (sum(seen) > len(LARGE)) is reads


def test_rotate_refuses_a_changed_file_where_it_reads_it(tmp_path):
    old = keyring("GMAC")
    world = make_world(tmp_path, keyring=old)
    path = tmp_path / "tables/m.onnx"
    world.store.dump(b"right", path, sidecar=True)
    path.write_bytes(b"wrong")
    before = beside(path).read_bytes()
    with pytest.raises(Tampered):
        world.again(keyring=keyring("HS256", "k2", old.signing)).store.rotate("k1", "k2", [path])
    assert beside(path).read_bytes() == before


@pytest.mark.parametrize("before", PLAIN)
def test_a_write_under_a_new_key_keeps_the_present_file_under_it(before, tmp_path):
    old = keyring(before)
    world = make_world(tmp_path, keyring=old)
    path = tmp_path / "tables/m.onnx"
    world.store.dump(b"old", path, sidecar=True)
    new = Key("k2", OTHER_SECRET)
    world = world.again(keyring=ring(new, old.signing))
    world.store.dump(b"new one", path, sidecar=True)
    alone = ring(new)
    assert world.again(keyring=alone).store.load(path) == b"new one"
    path.write_bytes(b"old")  # as a crash between the steps leaves it
    assert forget(world).again(keyring=alone).store.load(path) == b"old"


@pytest.mark.parametrize("before", PLAIN)
def test_rekey_seals_beside_the_file_anew_and_leaves_it_plain(before, tmp_path):
    old = keyring(before)
    world = make_world(tmp_path, keyring=old)
    path = tmp_path / "tables/m.onnx"
    world.store.dump(b"weights", path, sidecar=True, meta={"a": 1})
    copy, first = pair(path), world.store.inspect(path)
    new = Key("k2", OTHER_SECRET)
    after = world.again(keyring=ring(new, old.signing), revoked=Revocations(keys=("k1",)))
    with pytest.raises(UnknownKey, match="revoked"):
        after.store.load(path)
    (info,) = after.store.rotate("k1", "k2", [path], rekey=True)
    assert (info.key, info.generation, info.sidecar, info.meta) == ("k2", 2, True, {"a": 1})
    assert info.artifact != first.artifact
    assert path.read_bytes() == b"weights"
    assert after.store.load(path) == b"weights"
    put(path, copy)
    with pytest.raises(Rollback):
        world.again(keyring=ring(new, old.signing)).store.load(path)


def test_export_hands_a_sealed_copy_on(each):
    path, out = each.root / "models/a.pkl", each.root / "outside/a.pkl"
    each.store.dump([1], path, sidecar=True)
    each.store.export(path, out, for_zone="second", for_name="second/b.pkl")
    assert container.is_sealed(out.read_bytes())
    taken = each.root / "second/b.pkl"
    each.store.import_(out, taken)
    assert each.store.load(taken) == [1]


def test_a_revoked_artifact_is_refused_but_as_the_previous_one(each):
    path = each.root / "tables/m.onnx"
    first = each.store.dump(b"old", path, sidecar=True)
    old = pair(path)
    second = each.store.dump(b"new", path, sidecar=True)
    keys = each.hold.keyring
    before = each.again(keyring=keys, revoked=Revocations(artifacts=(first.artifact,)))
    assert before.store.load(path) == b"new"
    after = each.again(keyring=keys, revoked=Revocations(artifacts=(second.artifact,)))
    for call in (after.store.load, after.store.verify, after.store.open, after.store.inspect):
        with pytest.raises(Revoked):
            call(path)
    put(path, old)
    with pytest.raises((Revoked, Rollback)):
        before.store.load(path)
    before.store.dump(b"newest", path, sidecar=True)
    assert before.store.load(path) == b"newest"


# --- what a reader gives out ---------------------------------------------------------------


def test_read_gives_verified_bytes_that_nobody_can_write_to(each):
    path = each.root / "tables/m.onnx"
    each.store.dump(b"weights", path, sidecar=True)
    data = each.store.read(path)
    assert data == b"weights"
    assert data.readonly
    path.write_bytes(b"changed")
    assert data == b"weights"
    with pytest.raises(Tampered):
        each.store.read(path)


def test_read_of_sealed_files(each):
    path = each.root / "models/a.pkl"
    path.write_bytes(pickle.dumps([1]))
    before = path.read_bytes()
    each.store.seal(path)
    assert bytes(each.store.read(path)) == before
    each.store.dump({"buffer": pickle.PickleBuffer(bytearray(100))}, path)
    with pytest.raises(DecodeError, match="not a plain file"):
        each.store.read(path)
    path.write_bytes(before)
    with pytest.raises(NotSealed):
        each.store.read(path)


def test_a_zone_can_want_sidecars(each):
    zones = tuple(replace(zone, sidecar=True) for zone in ZONES)
    world = each.again(keyring=each.hold.keyring, zones=zones)
    path = world.root / "models/a.pkl"
    assert world.store.dump([1], path).sidecar
    assert pickle.loads(path.read_bytes()) == [1]
    other = world.root / "models/b.pkl"
    other.write_bytes(pickle.dumps([2]))
    assert world.store.seal(other).sidecar
    assert world.store.load(other) == [2]
    assert not world.store.dump([3], path, sidecar=False).sidecar
    assert container.is_sealed(path.read_bytes())


def test_a_refusal_is_recorded_once(each):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    path.write_bytes(b"N.")
    with pytest.raises(Tampered):
        each.store.load(path)
    (event,) = each.events.refused
    assert (event.action, event.reason, event.artifact) == ("load", "Tampered", "models/a.pkl")


def test_a_trail_that_refuses_leaves_both_as_they_are(each):
    path = each.root / "models/a.pkl"
    each.store.dump([1], path, sidecar=True)
    before = pair(path)
    each.events.broken = True
    for call in (
        lambda: each.store.dump([2], path, sidecar=True),
        lambda: each.store.unseal(path),
        lambda: each.store.renew(path),
        lambda: each.store.rename(path, path.with_name("b.pkl")),
    ):
        with pytest.raises(SafeholdError):
            call()
        assert pair(path) == before
        assert sorted(item.name for item in path.parent.iterdir()) == ["a.pkl", "a.pkl.sfh"]
