"""Another key for sealed files: all else stays, and what was not genuine does not become so."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal

import pytest

from safehold import replacing, sfh1
from safehold.artifacts import chunks, container, files
from safehold.errors import ConfigError, Rollback, Tampered, TrailError, UnknownKey, WrongContext
from safehold.keys import Key, Keyring, generate_key, generate_pair
from tests.artifacts.slotted import is_slotted, remove_slots
from tests.artifacts.slotted import key_of as key
from tests.holding import OTHER_SECRET, SECRET, World, make_world

pytestmark = pytest.mark.bare

VALUE = {"a": [1, 2.5, "three"], "b": b"buffer" * 100}
LOCAL = Key("here", generate_key().encode())


def ring(*keys: Key) -> Keyring:
    return Keyring(*keys, local=LOCAL)


@pytest.fixture(params=itertools.product(sfh1.SUITES, sfh1.SUITES), ids="-".join)
def worlds(tmp_path, request):
    """Return the same root before and during a rotation, and once the old key is gone."""
    old, new = (key(name, suite) for name, suite in zip(("old", "new"), request.param, strict=True))
    found = [make_world(tmp_path, keyring=keys) for keys in (ring(old), ring(new, old), ring(new))]
    yield found
    for world in found:
        world.hold.close()


@pytest.fixture
def same(tmp_path):
    """The same for HS256 alone, where no payload is read."""
    old, new = key("old", "HS256"), key("new", "HS256")
    found = [make_world(tmp_path, keyring=keys) for keys in (ring(old), ring(new, old), ring(new))]
    yield found
    for world in found:
        world.hold.close()


@pytest.mark.parametrize("slots", [True, False])
@pytest.mark.parametrize("size", [10, 3 * container.CHUNK + 5])
def test_everything_but_the_key_stays(worlds, size, slots):
    before, during, after = worlds
    value = [VALUE, "x" * size]
    path = before.root / "models" / "a.pkl"
    before.store.dump(1, path)
    info = before.store.dump(value, path, meta={"run": 7})
    assert is_slotted(path) == (size > 10)
    if not slots:
        remove_slots(path, before.hold.keyring)
    path.chmod(0o640)
    (found,) = during.store.rotate("old", "new", [path])
    assert (found.key, found.suite) == ("new", during.hold.keyring.signing.suite)
    changed = {"key": found.key, "suite": found.suite, "size": path.stat().st_size}
    assert found == dataclasses.replace(info, **changed)
    assert after.store.load(path) == value  # also its mark does not need the old key
    assert after.store.inspect(path) == found
    after.store.verify(path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert is_slotted(path) == (size > 10)
    event = during.events.rows[-1]
    assert (event.action, event.outcome, event.key, event.generation) == (
        "rotate",
        "allowed",
        "new",
        2,
    )
    with pytest.raises(UnknownKey):
        before.store.load(path)
    assert after.store.dump(value, path).generation == 3


def test_several_containers_and_plain_files(worlds):
    before, during, after = worlds
    path = before.root / "models" / "a.pkl"
    with path.open("wb") as file:
        for number in range(3):
            before.store.dump_to([number, "x" * 5000], file)
    during.store.rotate("old", "new", [path])
    with path.open("rb") as file:
        assert [after.store.load_from(file)[0] for _ in range(3)] == [0, 1, 2]
    after.store.verify(path)
    plain = before.root / "models" / "plain.pkl"
    plain.write_bytes(b"(lp0\nI1\na.")
    before.store.seal(plain)
    during.store.rotate("old", "new", [plain])
    after.store.unseal(plain)
    assert plain.read_bytes() == b"(lp0\nI1\na."


def test_the_same_secret_without_a_local_key(tmp_path):
    old, new = Key("old", SECRET), Key("new", OTHER_SECRET)
    before = make_world(tmp_path, keyring=Keyring(old))
    path = tmp_path / "models" / "a.pkl"
    before.store.dump(VALUE, path)
    make_world(tmp_path, keyring=Keyring(new, old)).store.rotate("old", "new", [path])
    after = make_world(tmp_path, keyring=Keyring(new))
    assert after.store.load(path) == VALUE
    path.write_bytes(b"")
    assert after.store.dump(VALUE, path).generation == 2  # the mark is known


def test_the_payload_is_not_read_where_leaves_need_no_key(same, monkeypatch):
    before, during, after = same
    path = before.root / "models" / "a.pkl"
    before.store.dump("x" * (4 * container.CHUNK), path)
    remove_slots(path, before.hold.keyring)

    def refuse(*args: object) -> None:
        pytest.fail("a chunk was read")

    with monkeypatch.context() as patch:
        patch.setattr(chunks.Chunks, "_open", refuse)
        during.store.rotate("old", "new", [path])
    assert after.store.load(path) == "x" * (4 * container.CHUNK)


@pytest.mark.parametrize("copying", ["kernel", "refused", "little at a time"])
def test_a_payload_is_copied_whole_however_the_system_copies(copying, same, monkeypatch):
    before, during, after = same
    path = before.root / "models" / "a.pkl"
    value = os.urandom(3 * container.CHUNK + 77)
    before.store.dump(value, path)
    remove_slots(path, before.hold.keyring)
    real = os.copy_file_range

    def copy(source: int, to: int, count: int, offset: int) -> int:
        if copying == "refused":
            raise OSError(22, "Invalid argument")
        return real(source, to, min(count, 100_000), offset)

    if copying != "kernel":
        monkeypatch.setattr(os, "copy_file_range", copy)
    during.store.rotate("old", "new", [path])
    assert after.store.load(path) == value
    assert is_slotted(path)


def test_a_file_that_is_cut_meanwhile_is_not_replaced(same, monkeypatch):
    before, during, _ = same
    path = before.root / "models" / "a.pkl"
    before.store.dump("x" * (4 * container.CHUNK), path)
    remove_slots(path, before.hold.keyring)
    real = replacing._copy

    def cut(fd: int, source: replacing.FileRange) -> None:
        os.truncate(path, source.offset + 5)
        real(fd, source)

    monkeypatch.setattr(replacing, "_copy", cut)
    with pytest.raises(OSError, match="cut while it was copied"):
        during.store.rotate("old", "new", [path])
    assert [entry.name for entry in path.parent.iterdir()] == ["a.pkl"]


def test_a_changed_payload_stays_refused(worlds):
    before, during, after = worlds
    path = before.root / "models" / "a.pkl"
    before.store.dump("x" * (3 * container.CHUNK), path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    try:
        during.store.rotate("old", "new", [path])
    except Tampered:
        assert path.read_bytes() == data
    for world in (during, after):
        with pytest.raises((Tampered, UnknownKey)):
            world.store.load(path)


def changed_head(before: World, path) -> bytes:
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    return bytes(data)


def changed_root(before: World, path) -> bytes:
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    return bytes(data)


def changed_leaf(before: World, path) -> bytes:
    data = bytearray(path.read_bytes())
    shape = sfh1.shape_of(data[:48])
    data[shape.head + shape.payload + 3] ^= 1
    return bytes(data)


def moved(before: World, path) -> bytes:
    other = path.with_name("b.pkl")
    before.store.dump(VALUE, other)
    return other.read_bytes()


def of_another_zone(before: World, path) -> bytes:
    other = before.root / "cache" / "a.pkl"
    before.store.dump(VALUE, other)
    return other.read_bytes()


def older(before: World, path) -> bytes:
    data = path.read_bytes()
    before.store.dump(VALUE, path)
    return data


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (changed_head, Tampered),
        (changed_root, Tampered),
        (changed_leaf, Tampered),
        (moved, WrongContext),
        (of_another_zone, WrongContext),
        (older, Rollback),
    ],
)
def test_what_would_not_load_is_not_rotated(make, error, worlds):
    before, during, _ = worlds
    path = before.root / "models" / "a.pkl"
    before.store.dump(VALUE, path)
    data = make(before, path)
    path.write_bytes(data)
    with pytest.raises(error):
        during.store.rotate("old", "new", [path])
    assert path.read_bytes() == data
    assert [event.action for event in during.events.refused] == ["rotate"]


def test_keys_are_named_rightly(same):
    before, during, _ = same
    path = before.root / "models" / "a.pkl"
    before.store.dump(VALUE, path)
    data = path.read_bytes()
    for old, new, error in (("none", "new", UnknownKey), ("old", "none", ConfigError),
                            ("new", "old", ConfigError)):  # fmt: skip
        with pytest.raises(error):
            during.store.rotate(old, new, [path])
    during.store.rotate("new", "new", [path])
    assert path.read_bytes() == data
    during.store.rotate("old", "new", [path])
    data = path.read_bytes()
    (info,) = during.store.rotate("old", "new", [path])  # again: nothing to do
    assert (info.key, path.read_bytes()) == ("new", data)


def test_a_public_key_rotates_nothing(tmp_path):
    public = Key("new", generate_pair().public.encode(), "ED25519")
    before = make_world(tmp_path, keyring=ring(key("old", "HS256")))
    path = tmp_path / "models" / "a.pkl"
    before.store.dump(VALUE, path)
    during = make_world(tmp_path, keyring=ring(public, key("old", "HS256")))
    with pytest.raises(ConfigError, match="cannot sign"):
        during.store.rotate("old", "new", [path])


def test_what_is_written_meanwhile_is_rotated_and_not_lost(same, monkeypatch):
    before, during, after = same
    path = before.root / "models" / "a.pkl"
    before.store.dump("first", path)
    real = files.Marks.lock

    def late(self: files.Marks, *names: str) -> object:
        monkeypatch.setattr(files.Marks, "lock", real)
        before.store.dump("second", path)
        return real(self, *names)

    monkeypatch.setattr(files.Marks, "lock", late)
    during.store.rotate("old", "new", [path])
    assert after.store.load(path) == "second"


@pytest.mark.parametrize("step", ["fsync", "rename", "copy_file_range"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_leaves_a_file_that_loads(step, after, same):
    before, during, _ = same
    path = before.root / "models" / "a.pkl"
    before.store.dump("x" * (3 * container.CHUNK), path)
    remove_slots(path, before.hold.keyring)
    pid = os.fork()
    if pid == 0:
        real = getattr(os, step)

        def kill(*args: object, **named: object) -> object:
            if after:
                real(*args, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, step, kill)
        during.store.rotate("old", "new", [path])
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert during.store.load(path) == "x" * (3 * container.CHUNK)
    during.store.rotate("old", "new", [path])
    assert during.store.inspect(path).key == "new"


def test_a_kill_before_the_mark_is_mended_by_the_next_run(tmp_path):
    old, new = Key("old", SECRET), Key("new", OTHER_SECRET)
    path = tmp_path / "models" / "a.pkl"
    make_world(tmp_path, keyring=Keyring(old)).store.dump(VALUE, path)
    during = make_world(tmp_path, keyring=Keyring(new, old))
    pid = os.fork()
    if pid == 0:
        files.Marks.write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        during.store.rotate("old", "new", [path])
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    after = make_world(tmp_path, keyring=Keyring(new))
    with pytest.raises(UnknownKey):
        after.store.load(path)
    during.store.rotate("old", "new", [path])
    assert after.store.load(path) == VALUE


def test_a_trail_that_refuses_leaves_the_file(same):
    before, during, _ = same
    path = before.root / "models" / "a.pkl"
    before.store.dump(VALUE, path)
    data = path.read_bytes()
    during.events.broken = True
    with pytest.raises(TrailError):
        during.store.rotate("old", "new", [path])
    assert path.read_bytes() == data
