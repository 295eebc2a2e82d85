"""Files that are mapped: verified where they lie, shared, and refused where others can write."""

from __future__ import annotations

import gc
import os
import pickle
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from safehold import sfh1
from safehold.artifacts import container, mapped
from safehold.artifacts.codecs import Encoded
from safehold.errors import ConfigError, Rollback, Tampered, WrongContext
from tests.artifacts.test_opened import (
    BYTES,
    CHUNK,
    Buffered,
    change,
    descriptors,
    touched,
)
from tests.artifacts.test_suites_in_use import keyring
from tests.holding import ZONES, make_world

__all__ = ["touched"]  # a fixture

MAPPED = tuple(replace(zone, mmap=zone.name in ("cache", "models", "tables")) for zone in ZONES)
PLAIN = [name for name, suite in sfh1.SUITES.items() if not suite.encrypts]
OTHER = 54321


def mapped_world(root: Path, suite: str = "HS256"):
    before = os.umask(0o022)
    try:
        world = make_world(root, keyring=keyring(suite), zones=MAPPED)
    finally:
        os.umask(before)
    for folder in (root, *root.iterdir()):
        folder.chmod(0o755)
    return world


@pytest.fixture(params=PLAIN)
def world(tmp_path, request):
    world = mapped_world(tmp_path, request.param)
    yield world
    world.hold.close()


@pytest.fixture
def path(world):
    return dumped(world)


def dumped(world, value: object = None, name: str = "a.pkl", codec: str = "pickle") -> Path:
    path = world.root / "cache" / name
    world.store.dump(Buffered() if value is None else value, path, codec=codec)
    path.chmod(0o644)
    return path


def maps(path: Path) -> list[tuple[int, int, str]]:
    """Return (start, end, permissions) of this process's maps of a file."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        parts = line.split(maxsplit=5)
        if parts[-1] == str(path):
            start, end = (int(number, 16) for number in parts[0].split("-"))
            found.append((start, end, parts[1]))
    return found


def address(view: memoryview) -> int:
    numpy = pytest.importorskip("numpy")
    return numpy.frombuffer(view, "u1").ctypes.data


def is_within(view: memoryview, path: Path) -> bool:
    start = address(view)
    return any(low <= start and start + len(view) <= high for low, high, _ in maps(path))


def segments(sealed, reading):
    """Take the place of a codec: what was verified, as it lies there."""
    return sealed.segments


# --- verified in the map -------------------------------------------------------------------


@pytest.mark.extras
def test_what_comes_out_lies_in_the_map_and_cannot_be_written_to(world, path):
    with world.store.open(path, mmap=True) as opened:
        part = opened.segment(1)[100:200]
        assert part == BYTES[100:200]
        assert part.readonly
        assert is_within(part, path)
        assert {permissions for *_, permissions in maps(path)} == {"r--s"}
    _, buffer = world.store.load(path, mmap_mode="r", decode=segments)
    assert buffer == BYTES
    assert buffer.readonly
    assert is_within(buffer, path)


@pytest.mark.extras
def test_the_stream_of_a_pickle_is_private(world, path):
    """Who writes into the file changes numbers, never what is called."""
    stream, _ = world.store.load(path, mmap_mode="r", decode=segments)
    assert not is_within(stream, path)
    data = path.read_bytes()
    head = sfh1.shape_of(data[:48]).head
    assert bytes(stream) == data[head : head + len(stream)]
    with path.open("r+b") as file:
        file.seek(head)
        file.write(bytes(len(stream)))
    assert bytes(stream) == data[head : head + len(stream)]


def test_a_slice_verifies_its_own_chunks_once(world, path, touched):
    with world.store.open(path, mmap=True) as opened:
        part = opened.segment(1)
        assert touched == []
        start = 2 * CHUNK + 100
        assert part[start : start + 50] == BYTES[start : start + 50]
        assert touched == [2]
        assert part[start : start + CHUNK] == BYTES[start : start + CHUNK]
        assert touched == [2, 3]
        for item in (slice(-10, None), slice(5, 5), slice(100, 10, -7), slice(3, 999, 5)):
            assert bytes(part[item]) == BYTES[item]
        assert sorted(touched) == [0, 2, 3, 5]
        assert bytes(part[:]) == BYTES
        assert sorted(touched) == [0, 1, 2, 3, 4, 5]
        assert opened.info == world.store.inspect(path)


@pytest.mark.parametrize("place", [0, CHUNK - 1], ids=["first byte", "last byte"])
@pytest.mark.parametrize("chunk", range(6))
def test_a_flip_is_refused_where_it_is_touched(world, path, chunk, place):
    with world.store.open(path) as opened:
        payload = opened._opened.shape.payload
    at = min(chunk * CHUNK + place, payload - 1)
    change(path, at)
    with world.store.open(path, mmap=True) as opened:
        for index in range(6):
            start, stop = index * CHUNK, min((index + 1) * CHUNK, payload)
            if index != chunk:
                opened.verified(start, stop)
                continue
            for _ in range(2):
                with pytest.raises(Tampered):
                    opened.verified(stop - 1, stop)
        with pytest.raises(Tampered):
            opened.verified(0, payload)
    assert [event.action for event in world.events.refused] == ["read"] * 3
    with pytest.raises(Tampered):
        world.store.load(path, mmap_mode="rc"[place % 2], decode=segments)


def test_head_tail_and_length_are_verified_at_once(world, path):
    data = path.read_bytes()
    for changed in (
        data[:60] + bytes([data[60] ^ 1]) + data[61:],
        data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        data + b"\0",
        data[:-1],
    ):
        path.write_bytes(changed)
        with pytest.raises(Tampered):
            world.store.open(path, mmap=True)
        with pytest.raises(Tampered):
            world.store.load(path, mmap_mode="r")


def test_the_context_is_that_of_a_load(world, path):
    other = world.root / "cache" / "b.pkl"
    other.write_bytes(path.read_bytes())
    old = path.read_bytes()
    dumped(world)
    path.write_bytes(old)
    for read in (
        lambda path: world.store.open(path, mmap=True),
        lambda path: world.store.load(path, mmap_mode="r"),
    ):
        with pytest.raises(WrongContext):
            read(other)
        with pytest.raises(Rollback):
            read(path)


@pytest.mark.parametrize("size", [0, 1, 63, 5000, CHUNK - 300, CHUNK, CHUNK + 1, 4 * CHUNK])
def test_every_size(world, size):
    """Small containers start anywhere, which no map does."""
    path = world.root / "cache" / "a.pkl"
    data = os.urandom(size)
    world.store.dump(None, path, prefer="pickle", encode=lambda: Encoded([b"N.", data]))
    path.chmod(0o644)
    for mode in mapped.MODES:
        stream, buffer = world.store.load(path, mmap_mode=mode, decode=segments)
        assert (bytes(stream), bytes(buffer)) == (b"N.", data)
    with world.store.open(path, mmap=True) as opened:
        assert bytes(opened.segment(1)[:]) == data
        assert bytes(opened.segment(0)[:]) == b"N."


def test_an_empty_payload(world):
    path = world.root / "tables" / "a.npy"
    world.store.dump(None, path, prefer="npy", encode=lambda: Encoded([]))
    path.chmod(0o644)
    assert world.store.load(path, mmap_mode="r", decode=segments) == []
    with world.store.open(path, mmap=True) as opened:
        assert len(opened) == 0


def test_a_large_stream_is_read_once(world, touched):
    """Its own chunks need not be verified in the map as well."""
    path = dumped(world, [BYTES[:1000] * 2100, Buffered()])
    world.store.load(path, mmap_mode="r", decode=segments)
    stream = 1000 * 2100
    assert sorted(touched) == sorted([*range(stream // CHUNK + 1), *range(stream // CHUNK, 8)])
    for at in (0, CHUNK - 1, CHUNK, stream):
        change(path, at)
        with pytest.raises(Tampered):
            world.store.load(path, mmap_mode="r", decode=segments)
        change(path, at)


def test_a_closed_file_is_not_read_and_its_views_stay(world, path):
    gc.collect()
    before = descriptors()
    opened = world.store.open(path, mmap=True)
    part = opened.segment(1)
    view = part[:100]
    opened.close()
    opened.close()
    assert view == BYTES[:100]
    assert part[:100] == BYTES[:100]
    with pytest.raises(ValueError, match="closed"):
        part[3 * CHUNK : 3 * CHUNK + 1]
    path.unlink()
    del opened, part
    assert view == BYTES[:100]
    del view
    gc.collect()
    assert descriptors() == before


def test_no_descriptor_is_left(world, path):
    gc.collect()
    before = descriptors()
    with world.store.open(path, mmap=True) as opened:
        opened.segment(1)[:10]
    world.store.load(path, mmap_mode="r")
    path.chmod(0o666)
    for _ in range(2):
        with pytest.raises(ConfigError):
            world.store.open(path, mmap=True)
        with pytest.raises(ConfigError):
            world.store.load(path, mmap_mode="r")
    path.write_bytes(b"no container")
    path.chmod(0o644)
    with pytest.raises(Exception, match="not sealed"):
        world.store.open(path, mmap=True)
    del opened
    gc.collect()
    assert descriptors() == before


def test_threads_verify_a_chunk_once(world, path, touched):
    with world.store.open(path, mmap=True) as opened:
        part = opened.segment(1)
        wrong = []

        def read() -> None:
            if bytes(part[:]) != BYTES:
                wrong.append(1)

        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
    assert sorted(touched) == list(range(6))


def test_a_file_that_is_replaced_stays_what_it_was(world, path):
    with world.store.open(path, mmap=True) as opened:
        view = opened.segment(1)[:100]
        world.store.dump({"another": "value"}, path, codec="pickle")
        assert view == BYTES[:100]
        assert bytes(opened.segment(1)[:]) == BYTES
    path.chmod(0o644)
    assert world.store.load(path, mmap_mode="r") == {"another": "value"}


def test_a_file_that_is_cut_before_it_is_mapped_is_refused(world, path):
    fd = os.open(path, os.O_RDONLY)
    shape = sfh1.shape_of(path.read_bytes()[:48])
    os.truncate(path, shape.head + CHUNK)
    with pytest.raises(Tampered, match="cut"):
        mapped.map_payload(fd, shape)
    os.close(fd)


def test_what_has_no_arrays_is_private_memory(world, tmp_path):
    """The codec would unpack it anyway, and a sealed plain pickle is all stream."""
    data = world.root / "cache" / "b.msgpack"
    world.store.dump({"a": [1, 2]}, data, codec="msgpack")
    plain = world.root / "cache" / "plain.pkl"
    plain.write_bytes(pickle.dumps([1, 2]))
    world.store.seal(plain)
    for path, value in ((data, {"a": [1, 2]}), (plain, [1, 2])):
        path.chmod(0o644)
        assert world.store.load(path, mmap_mode="r") == value
        change(path, 1)
        with pytest.raises(Tampered):
            world.store.load(path, mmap_mode="r")


# --- where it is refused -------------------------------------------------------------------


def readings(world, path):
    """Return the ways to map a file."""
    return (
        lambda: world.store.open(path, mmap=True),
        lambda: world.store.load(path, mmap_mode="r"),
        lambda: world.store.load(path, mmap_mode="c"),
    )


def refuse(world, path, words: str) -> None:
    before = len(world.events.refused)
    for read in readings(world, path):
        with pytest.raises(ConfigError, match=words):
            read()
    assert len(world.events.refused) == before + 3
    assert world.events.refused[-1].reason == "ConfigError"


@pytest.fixture
def nested(tmp_path):
    """A file two directories below the root."""
    world = mapped_world(tmp_path)
    folder = tmp_path / "cache" / "deep"
    folder.mkdir()
    folder.chmod(0o755)
    path = dumped(world, [1, 2], name="deep/a.pkl")
    yield world, path
    world.hold.close()


UP = {"file": 0, "directory": 1, "directory above": 2, "root": 3}


@pytest.mark.parametrize("bits", [0o020, 0o002, 0o022])
@pytest.mark.parametrize("place", UP.values(), ids=UP)
def test_what_others_can_write_is_refused_with_the_remedy(nested, place, bits):
    world, path = nested
    where = [path, *path.parents][place]
    before = where.stat().st_mode & 0o777
    where.chmod(before | bits)
    refuse(world, path, re.escape(f"chmod go-w {where}"))
    where.chmod(before)
    for read in readings(world, path):
        read()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("place", UP.values(), ids=UP)
def test_what_belongs_to_another_user_is_refused(nested, place):
    world, path = nested
    where = [path, *path.parents][place]
    os.chown(where, OTHER, 0)
    refuse(world, path, re.escape(f"chown 0 {where}"))


def test_roots_files_and_ones_own_are_mapped(nested, monkeypatch):
    world, path = nested
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, OTHER, 0)
        monkeypatch.setattr(os, "geteuid", lambda: OTHER)  # root's directories, one's own file
    for read in readings(world, path):
        read()
    monkeypatch.setattr(os, "geteuid", lambda: OTHER + 1)
    refuse(world, path, "belongs to user")


def test_a_link_is_judged_by_where_it_leads(nested):
    world, path = nested
    link = world.root / "outside" / "link.pkl"
    link.symlink_to(path)
    link.parent.chmod(0o777)
    world.store.load(link, mmap_mode="r")
    path.parent.chmod(0o777)
    refuse(world, link, "chmod go-w")


def test_a_link_on_the_way_is_not_followed(nested):
    """The way that was resolved is walked again without links."""
    world, path = nested
    zone = world.hold.policy.zone_named("cache")
    place = world.hold.root.open_file(path)[2]
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to("elsewhere")
    with pytest.raises(OSError):  # noqa: PT011  (ELOOP or ENOTDIR)
        mapped.open_owned(world.hold.root, zone, place)


def test_a_zone_that_does_not_say_so_is_not_mapped(nested):
    world, path = nested
    other = world.root / "second" / "a.pkl"
    world.store.dump([1], other)
    refuse(world, other, "say mmap = true in that zone")
    outside = world.again(keyring=world.hold.keyring)
    assert not outside.store.maps(path)
    assert world.store.maps(path)
    refuse(outside, path, "zone 'cache' are not mapped")
    outside.hold.close()


def test_what_is_encrypted_is_not_mapped(tmp_path):
    world = mapped_world(tmp_path, "AES256GCM")
    refuse(world, dumped(world), "AES256GCM is encrypted and cannot be mapped")
    world.hold.close()


@pytest.mark.parametrize("mode", ["r+", "w+", "", "R", "copyonwrite"])
def test_other_modes_are_refused(nested, mode):
    world, path = nested
    with pytest.raises(ValueError, match="'r' or 'c'"):
        world.store.load(path, mmap_mode=mode)


def test_a_large_payload_is_mapped_from_its_own_page_on(world, path):
    """What stands before it may be rewritten in place by whoever has the key."""
    shape = sfh1.shape_of(path.read_bytes()[:48])
    fd = os.open(path, os.O_RDONLY)
    view = mapped.map_payload(fd, shape)
    assert shape.head >= container.FILE_ALIGN
    assert len(view.obj) == shape.payload
    os.close(fd)


# --- shared --------------------------------------------------------------------------------


def counted(path: Path) -> dict[str, int]:
    """Return the kernel's figures for this process's maps of a file, in KiB."""
    found: dict[str, int] = {}
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = line.endswith(f" {path}")
        elif inside and line.endswith(" kB"):
            name, number, _ = line.split()
            found[name] = found.get(name, 0) + int(number)
    return found


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # 3.12, with threads
def test_processes_share_one_copy(world, path):
    """Half of the map is accounted to each of two processes, and none of it is their own."""
    parts = world.store.load(path, mmap_mode="r", decode=segments)
    asked, answer = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:  # another process, which loads for itself
        try:
            own = world.store.load(path, mmap_mode="r", decode=segments)
            del parts
            os.write(answer[1], b"1" if own[1] == BYTES else b"0")
            os.read(asked[0], 1)
        finally:
            os._exit(0)
    assert os.read(answer[0], 1) == b"1"
    found = counted(path)
    os.write(asked[1], b"1")
    os.waitpid(child, 0)
    for end in (*asked, *answer):
        os.close(end)
    assert found["Private_Dirty:"] == found["Private_Clean:"] == 0
    assert found["Rss:"] >= len(BYTES) // 1024
    assert found["Pss:"] <= found["Rss:"] * 0.6
    assert parts[1] == BYTES
