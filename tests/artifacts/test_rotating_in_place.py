"""A large file's key changes where it is: nothing but two sectors is written, whatever happens."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from safehold import sfh1
from safehold.artifacts import container, files
from safehold.errors import (
    ConfigError,
    Rollback,
    Tampered,
    TrailError,
    UnknownKey,
    WrongContext,
)
from safehold.keys import Key, Keyring, generate_key, generate_pair
from safehold.scan import scan_path
from tests.artifacts.slotted import (
    FIRST,
    SECOND,
    TEXT,
    is_slotted,
    key_of,
    remove_slots,
    slot,
    with_slots,
)
from tests.holding import World, make_world
from tests.tracing import Run, every_system_call

pytestmark = [pytest.mark.bare, pytest.mark.forking]

LOCAL = Key("here", generate_key().encode())
VALUE = ["x" * (2 * container.CHUNK), {"a": [1, 2.5]}]


def ring(*keys: Key) -> Keyring:
    return Keyring(*keys, local=LOCAL)


@pytest.fixture(params=sfh1.SUITES)
def suite(request) -> str:
    return request.param


@pytest.fixture
def worlds(tmp_path, suite):
    """Return the same root before and during a rotation, and once the old key is gone."""
    old, new = key_of("old", suite), key_of("new", suite)
    found = [make_world(tmp_path, keyring=keys) for keys in (ring(old), ring(new, old), ring(new))]
    yield found
    for world in found:
        world.hold.close()


@pytest.fixture
def path(worlds) -> Path:
    path = worlds[0].root / "models" / "a.pkl"
    worlds[0].store.dump(VALUE, path, meta={"run": 7})
    assert is_slotted(path)
    return path


def test_only_the_slots_change(worlds, path):
    _, during, after = worlds
    path.chmod(0o640)
    was, data = path.stat(), path.read_bytes()
    (info,) = during.store.rotate("old", "new", [path])
    now, changed = path.stat(), path.read_bytes()
    assert info.key == "new"
    assert (now.st_ino, now.st_mode, now.st_size) == (was.st_ino, was.st_mode, was.st_size)
    assert changed[:FIRST] + changed[TEXT:] == data[:FIRST] + data[TEXT:]
    assert slot(changed, 0) == slot(changed, 1) != slot(data, 0)
    assert after.store.load(path) == VALUE
    (again,) = during.store.rotate("old", "new", [path])
    assert (again, path.read_bytes()) == (info, changed)


def test_the_payload_is_not_read(worlds, path, monkeypatch):
    during = worlds[1]
    shape = sfh1.shape_of(path.read_bytes()[:48])
    read: list[tuple[int, int]] = []
    pread, preadv = os.pread, os.preadv

    def one(fd: int, count: int, offset: int) -> bytes:
        read.append((offset, count))
        return pread(fd, count, offset)

    def many(fd: int, buffers: list[memoryview], offset: int) -> int:
        read.append((offset, sum(map(len, buffers))))
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "pread", one)
    monkeypatch.setattr(os, "preadv", many)
    monkeypatch.setattr(os, "copy_file_range", lambda *_: pytest.fail("copied"))
    during.store.rotate("old", "new", [path])
    assert read
    end = shape.head + shape.payload
    assert all(at + count <= shape.head or at >= end for at, count in read)


def test_each_slot_is_one_write_of_a_sector_and_on_the_disk_before_the_next(
    worlds, path, monkeypatch
):
    during, steps = worlds[1], []
    pwrite, fdatasync = os.pwrite, os.fdatasync

    def write(fd: int, data: bytes, offset: int) -> int:
        steps.append((offset, len(data)))
        return pwrite(fd, data, offset)

    def sync(fd: int) -> None:
        steps.append("sync")
        fdatasync(fd)

    monkeypatch.setattr(os, "pwrite", write)
    monkeypatch.setattr(os, "fdatasync", sync)
    during.store.rotate("old", "new", [path])
    mark = [(0, 68), "sync"]
    assert steps == [(FIRST, 512), "sync", (SECOND, 512), "sync", *mark]


def test_an_old_large_file_gets_slots(worlds, path):
    before, during, after = worlds
    remove_slots(path, before.hold.keyring)
    assert before.store.load(path) == VALUE
    during.store.rotate("old", "new", [path])
    assert is_slotted(path)
    assert after.store.load(path) == VALUE


def test_every_use_of_a_file(worlds, path, suite):
    _, during, world = worlds
    during.store.rotate("old", "new", [path])
    info = world.store.inspect(path)
    assert (info.key, info.suite, info.generation, info.meta) == ("new", suite, 1, {"run": 7})
    world.store.verify(path)
    with path.open("rb") as file:
        assert world.store.load_from(file) == VALUE
        assert not file.read(1)
    with world.store.open(path) as opened:
        assert opened.info == info
        assert bytes(opened.segment(0)[:2]) == b"\x80\x05"
    (report,) = scan_path(path).files
    encrypted = suite == "AES256GCM"
    assert (report.format, report.verdict) == ("sfh1", "suspicious" if encrypted else "clean")
    assert world.store.renew(path).generation == 2
    moved = path.with_name("b.pkl")
    assert world.store.rename(path, moved).name == "models/b.pkl"
    assert is_slotted(moved)
    world.store.unseal(moved)
    assert pickle.loads(moved.read_bytes()) == VALUE
    world.store.seal(moved)
    assert is_slotted(moved)
    assert world.store.load(moved) == VALUE


@pytest.mark.parametrize("suite", ["HS256"])
def test_a_payload_that_runs_code_is_found_behind_slots(worlds, path):
    data = path.read_bytes()
    shape = sfh1.shape_of(data[:48])
    hostile = b"cposix\nsystem\n(S'true'\ntR."
    path.write_bytes(data[: shape.head] + hostile + data[shape.head + len(hostile) :])
    (report,) = scan_path(path).files
    assert report.verdict == "malicious"


@pytest.mark.parametrize("suite", ["GMAC"])
def test_handles_streams_and_packed_files_have_no_slots(worlds, path):
    world = worlds[0]
    with path.open("wb") as file:
        world.store.dump_to(VALUE, file)
    assert not is_slotted(path)
    assert not container.shape_of(world.store.dumps(VALUE)[:48]).slotted
    packed: list[bytes] = []
    packing = files.Packing(bytes, lambda data: packed.append(data) or b"packed")
    world.store.dump(VALUE, path, packing=packing)
    assert not container.shape_of(packed[0][:48]).slotted


# --- a run that does not end ---------------------------------------------------------------


@pytest.mark.parametrize("suite", ["GMAC", "ED25519"])
def test_a_crash_or_an_error_at_any_system_call_leaves_a_file_that_loads(worlds, path):
    _, during, after = worlds
    data = path.read_bytes()

    def put_back() -> None:
        path.write_bytes(data)

    def check(run: Run) -> None:
        changed = path.read_bytes()
        assert changed[:FIRST] + changed[TEXT:] == data[:FIRST] + data[TEXT:]
        assert during.store.load(path) == VALUE
        if not run.raised:
            assert during.store.inspect(path).key == "new"
        during.store.rotate("old", "new", [path])
        assert slot(path.read_bytes(), 0) == slot(path.read_bytes(), 1)
        assert after.store.load(path) == VALUE
        assert [entry.name for entry in path.parent.iterdir()] == ["a.pkl"]

    trace = every_system_call(
        lambda: during.store.rotate("old", "new", [path]), check, prepare=put_back
    )
    assert trace.calls.count("fdatasync") == 3  # two slots, and the mark


def halfway(worlds: list[World], path: Path) -> bytes:
    """Leave the second slot as it was."""
    before = path.read_bytes()
    worlds[1].store.rotate("old", "new", [path])
    data = path.read_bytes()
    path.write_bytes(with_slots(data, slot(data, 0), slot(before, 1)))
    return path.read_bytes()


def test_a_file_between_two_keys_needs_both_and_is_known_by_the_older(worlds, path):
    before, during, after = worlds
    data = halfway(worlds, path)
    assert during.store.load(path) == VALUE
    assert during.store.inspect(path).key == "old"
    for world in (before, after):
        with pytest.raises(UnknownKey):
            world.store.load(path)
    during.store.rotate("old", "new", [path])
    again = path.read_bytes()
    assert slot(again, 0) == slot(again, 1) == slot(data, 0)
    assert after.store.load(path) == VALUE


def test_a_trail_that_refuses_leaves_the_file(worlds, path):
    during, data = worlds[1], path.read_bytes()
    during.events.broken = True
    with pytest.raises(TrailError):
        during.store.rotate("old", "new", [path])
    assert path.read_bytes() == data


# --- what is not rotated -------------------------------------------------------------------


def flipped(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


@pytest.mark.parametrize("index", [100, FIRST + 20, SECOND + 71, FIRST + 100, TEXT + 3, -3, -20])
@pytest.mark.parametrize("repair", [False, True])
def test_what_would_not_load_is_not_rotated(worlds, path, index, repair):
    during, data = worlds[1], path.read_bytes()
    changed = flipped(data, index % len(data))
    path.write_bytes(changed)
    if repair and FIRST <= index < TEXT:
        return  # see below
    with pytest.raises(Tampered):
        during.store.rotate("old", "new", [path], repair=repair)
    assert path.read_bytes() == changed
    assert [event.action for event in during.events.refused] == ["rotate"]


def test_an_older_or_moved_file_is_not_rotated(worlds, path):
    before, during, _ = worlds
    older = path.read_bytes()
    before.store.dump(VALUE, path)
    other = path.with_name("b.pkl")
    other.write_bytes(path.read_bytes())
    path.write_bytes(older)
    for where, error in ((path, Rollback), (other, WrongContext)):
        data = where.read_bytes()
        with pytest.raises(error):
            during.store.rotate("old", "new", [where])
        assert where.read_bytes() == data


def test_a_file_with_other_links_is_left(worlds, path, tmp_path):
    during, data = worlds[1], path.read_bytes()
    link = tmp_path / "outside" / "kept"
    os.link(path, link)
    with pytest.raises(OSError, match="hard links") as caught:
        during.store.rotate("old", "new", [path])
    assert caught.value.errno == errno.EMLINK
    assert path.read_bytes() == link.read_bytes() == data
    link.unlink()
    during.store.rotate("old", "new", [path])


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ETXTBSY])
def test_a_file_that_cannot_be_written_is_left(worlds, path, code, monkeypatch):
    during, data = worlds[1], path.read_bytes()
    real = os.open

    def refuse(name: str, flags: int, *args: int, **named: int) -> int:
        if flags & os.O_RDWR and name == path.name:
            raise OSError(code, os.strerror(code), name)
        return real(name, flags, *args, **named)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="changed in place") as caught:
        during.store.rotate("old", "new", [path])
    assert caught.value.errno == code
    assert isinstance(caught.value, PermissionError) == (code == errno.EACCES)
    assert path.read_bytes() == data
    assert during.events.rows[-1].outcome == "failed"


def test_a_file_that_is_exchanged_meanwhile_is_left(worlds, path, monkeypatch):
    during, data = worlds[1], path.read_bytes()
    root = during.hold.root
    real = root.open_in

    def exchange(directory: int, name: str, *, write: bool = False) -> object:
        if write:
            path.rename(path.with_name("away"))
            path.write_bytes(data)
        return real(directory, name, write=write)

    monkeypatch.setattr(root, "open_in", exchange)
    with pytest.raises(OSError, match="replaced meanwhile"):
        during.store.rotate("old", "new", [path])
    assert path.read_bytes() == path.with_name("away").read_bytes() == data


# --- repair --------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [0, 1])
@pytest.mark.parametrize("mid", [False, True])
def test_a_torn_slot_is_repaired_when_that_is_asked_for(worlds, path, torn, mid, monkeypatch):
    """The slot that holds is written last: until then the file has no other."""
    _, during, after = worlds
    if mid:
        halfway(worlds, path)
    position = sfh1.SLOTS[torn]
    data = path.read_bytes()
    broken = data[: position + 30] + os.urandom(482) + data[position + 512 :]
    path.write_bytes(broken)
    with pytest.raises(Tampered, match="--repair"):
        during.store.load(path)
    with pytest.raises(Tampered, match="--repair"):
        during.store.rotate("old", "new", [path])
    assert path.read_bytes() == broken
    written: list[int] = []
    real = os.pwrite

    def write(fd: int, data: bytes, offset: int) -> int:
        written.append(offset)
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", write)
    (info,) = during.store.rotate("old", "new", [path], repair=True)
    assert written[0] == position
    assert info.key == "new"
    event = during.events.rows[-1]
    assert (event.action, event.outcome, event.reason) == (
        "rotate",
        "allowed",
        "a torn slot is repaired",
    )
    assert after.store.load(path) == VALUE
    assert slot(path.read_bytes(), 0) == slot(path.read_bytes(), 1)


@pytest.mark.parametrize("suite", ["GMAC", "ED25519"])
def test_a_crash_in_a_repair_leaves_one_slot_that_holds(worlds, path):
    _, during, after = worlds
    data = path.read_bytes()
    broken = flipped(data, SECOND + 30)

    def check(run: Run) -> None:
        during.store.rotate("old", "new", [path], repair=True)
        assert after.store.load(path) == VALUE

    every_system_call(
        lambda: during.store.rotate("old", "new", [path], repair=True),
        check,
        prepare=lambda: path.write_bytes(broken),
    )


def test_two_torn_slots_or_a_changed_file_are_not_repaired(worlds, path):
    during, data = worlds[1], path.read_bytes()
    torn = flipped(data, FIRST + 30)
    for changed in (
        flipped(torn, SECOND + 30),
        flipped(torn, TEXT + 5),
        flipped(torn, 300),
        flipped(torn, len(data) - 9),
        flipped(torn, len(data) - 1),
    ):
        path.write_bytes(changed)
        with pytest.raises(Tampered):
            during.store.rotate("old", "new", [path], repair=True)
        assert path.read_bytes() == changed


def test_a_repair_under_the_same_key_and_of_a_whole_file(worlds, path):
    before, data = worlds[0], path.read_bytes()
    path.write_bytes(flipped(data, FIRST + 40))
    before.store.rotate("old", "old", [path], repair=True)
    assert path.read_bytes() == data
    before.store.rotate("old", "old", [path], repair=True)
    assert path.read_bytes() == data


def test_a_torn_file_of_another_key_names_it(worlds, path, suite):
    during, data = worlds[1], path.read_bytes()
    third = Key(
        "third",
        key_of("new", suite).derive(b"x")
        if suite != "ED25519"
        else generate_pair().private.encode(),
        suite,
    )
    later = during.again(keyring=ring(third, key_of("new", suite), key_of("old", suite)))
    path.write_bytes(flipped(data, FIRST + 40))
    with pytest.raises(ConfigError, match="of key 'old'; to repair it"):
        later.store.rotate("new", "third", [path], repair=True)
    later.store.rotate("old", "third", [path], repair=True)
    assert later.store.inspect(path).key == "third"
    later.hold.close()


# --- slots from before ---------------------------------------------------------------------


@pytest.mark.parametrize("which", [(True, False), (False, True), (True, True)])
def test_slots_from_before_load_while_their_key_is_listed_and_not_after(worlds, path, which):
    """They say of the same file what they said before; it is the list that ends a key."""
    _, during, after = worlds
    old = path.read_bytes()
    during.store.rotate("old", "new", [path])
    new = path.read_bytes()
    path.write_bytes(
        with_slots(new, *(slot(old if back else new, at) for at, back in enumerate(which)))
    )
    assert during.store.load(path) == VALUE
    assert during.store.inspect(path).key == "old"
    with pytest.raises(UnknownKey):
        after.store.load(path)
    during.store.rotate("old", "new", [path])
    assert after.store.load(path) == VALUE


def test_slots_of_an_older_generation_do_not_fit_the_newer(worlds, path):
    before, during, _ = worlds
    old = path.read_bytes()
    before.store.dump(VALUE, path)
    new = path.read_bytes()
    path.write_bytes(with_slots(new, slot(old, 0), slot(old, 1)))
    with pytest.raises(Tampered):
        during.store.load(path)


# --- readers meanwhile ---------------------------------------------------------------------


def test_readers_never_see_a_rotation(worlds, path):
    old, new = key_of("old", worlds[0].hold.keyring.signing.suite), worlds[1].hold.keyring
    there, back = worlds[1], worlds[0].again(keyring=ring(old, new.signing))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for _ in range(150):
                there.store.rotate("old", "new", [path])
                back.store.rotate("new", "old", [path])
            code = 0
        finally:
            os._exit(code)
    loads = 0
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        assert there.store.load(path) == VALUE
        assert there.store.inspect(path).generation == 1
        with path.open("rb") as file:
            assert back.store.load_from(file) == VALUE
        loads += 1
    assert loads > 5
    assert there.store.load(path) == VALUE
    back.hold.close()
