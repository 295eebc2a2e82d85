"""Files that are read in part: only what is touched is read, and nothing unverified comes out."""

from __future__ import annotations

import gc
import os
import threading

import pytest

from safehold import sfh1
from safehold.artifacts import chunks, container
from safehold.errors import (
    Blocked,
    DecodeError,
    NotSealed,
    Rollback,
    Tampered,
    TypeNotAllowed,
    WrongContext,
)
from tests.artifacts.test_suites_in_use import keyring
from tests.holding import make_world

CHUNK = container.CHUNK
BYTES = os.urandom(5 * CHUNK + 1234)


class Buffered:
    """Pickles to bytes in a segment of their own."""

    def __reduce_ex__(self, protocol: int) -> object:
        import pickle

        return bytes, (pickle.PickleBuffer(BYTES),)


class Other:
    """A type that is on no list."""


@pytest.fixture(params=sfh1.SUITES)
def world(tmp_path, request):
    world = make_world(tmp_path, keyring=keyring(request.param))
    yield world
    world.hold.close()


@pytest.fixture
def path(world):
    path = world.root / "cache" / "a.pkl"
    world.store.dump(Buffered(), path)
    return path


@pytest.fixture
def touched(monkeypatch) -> list[int]:
    """Collect the numbers of the chunks that are read."""
    found: list[int] = []
    real = chunks.Chunks._open

    def note(self: chunks.Chunks, index: int, *rest: memoryview) -> None:
        found.append(index)
        real(self, index, *rest)

    monkeypatch.setattr(chunks.Chunks, "_open", note)
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def change(path, at: int) -> None:
    """Change one byte of the payload in place."""
    data = path.read_bytes()
    shape = sfh1.shape_of(data[:48])
    assert shape is not None
    with path.open("r+b") as file:
        file.seek(shape.head + at)
        file.write(bytes([data[shape.head + at] ^ 1]))


def test_a_slice_reads_its_own_chunks_once(world, path, touched):
    with world.store.open(path) as opened:
        assert touched == []
        part = opened.segment(1)
        assert len(part) == len(BYTES)
        assert touched == []
        start = 2 * CHUNK + 100
        assert part[start : start + 50] == BYTES[start : start + 50]
        assert part[start : start + 90] == BYTES[start : start + 90]
        assert touched == [2]
        assert part[start : start + CHUNK] == BYTES[start : start + CHUNK]
        assert touched == [2, 3]
        for item in (slice(-10, None), slice(5, 5), slice(9, 2), slice(100, 10, -7),
                     slice(3, 999, 5), slice(10**9, None)):  # fmt: skip
            assert bytes(part[item]) == BYTES[item]
        assert sorted(touched) == [0, 2, 3, 5]
        assert bytes(part[:]) == BYTES
        assert bytes(opened.segment(-1)[:]) == BYTES
        assert sorted(touched) == [0, 1, 2, 3, 4, 5]
        assert len(opened) == 2
        assert opened.info == world.store.inspect(path)


def test_what_is_out_of_range_is_an_index_error(world, path):
    with world.store.open(path) as opened:
        for index in (2, -3):
            with pytest.raises(IndexError):
                opened.segment(index)


def test_a_changed_chunk_is_refused_when_it_is_touched(world, path):
    change(path, 3 * CHUNK + 5)
    with world.store.open(path) as opened:
        part = opened.segment(1)
        assert part[: 2 * CHUNK] == BYTES[: 2 * CHUNK]
        assert not world.events.refused
        for _ in range(2):
            with pytest.raises(Tampered):
                part[2 * CHUNK : 4 * CHUNK]
        assert [event.action for event in world.events.refused] == ["read", "read"]
        low = part._start + 3 * CHUNK
        assert bytes(opened._memory[low - low % CHUNK :][:CHUNK]) == bytes(CHUNK)


def test_what_was_verified_stays_as_it_was(world, path):
    with world.store.open(path) as opened:
        part = opened.segment(1)
        assert part[:100] == BYTES[:100]
        change(path, 400)
        path.write_bytes(b"")
        assert part[:100] == BYTES[:100]
        with pytest.raises(Tampered):
            part[CHUNK : 2 * CHUNK]
    assert part[:100] == BYTES[:100]


def test_nothing_that_comes_out_can_be_written_to(world, path):
    with world.store.open(path) as opened:
        for view in (opened.segment(1)[:10], opened.segment(1)[::-1]):
            assert view.readonly


def test_a_closed_file_is_not_read(world, path):
    opened = world.store.open(path)
    before = descriptors()
    opened.close()
    assert descriptors() == before - 1
    opened.close()
    with pytest.raises(ValueError, match="closed"):
        opened.segment(1)[:]


def test_no_descriptor_is_left(world, path):
    world.store.open(path).close()
    gc.collect()
    before = descriptors()
    with world.store.open(path) as opened:
        opened.segment(1)[:10]
    world.store.open(path)  # forgotten
    gc.collect()
    assert descriptors() == before
    path.write_bytes(b"no container")
    with pytest.raises(NotSealed):
        world.store.open(path)
    assert descriptors() == before


def test_threads_read_a_chunk_once(world, path, touched):
    with world.store.open(path) as opened:
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


def test_head_and_tail_are_verified_at_once(world, path):
    data = bytearray(path.read_bytes())
    for at in (60, -9, -100):
        changed = bytearray(data)
        changed[at] ^= 1
        path.write_bytes(changed)
        with pytest.raises(Tampered):
            world.store.open(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(Tampered, match="extended"):
        world.store.open(path)


def test_the_context_is_that_of_a_load(world, path):
    other = world.root / "cache" / "b.pkl"
    other.write_bytes(path.read_bytes())
    with pytest.raises(WrongContext):
        world.store.open(other)
    old = path.read_bytes()
    world.store.dump(Buffered(), path)
    with pytest.raises(Rollback):
        world.store.open(path, min_generation=3)
    path.write_bytes(old)
    with pytest.raises(Rollback):
        world.store.open(path)
    strict = world.again(keyring=world.hold.keyring, trusted=("src/**",))
    world.store.dump(Buffered(), path)
    with pytest.raises(Blocked):
        strict.store.open(path)
    strict.hold.close()
    world.store.dump(Other(), path)
    with pytest.raises(TypeNotAllowed):
        world.store.open(path, allow=["numpy.ndarray"])
    assert [event.outcome for event in world.events.rows if event.action == "open"] == [
        "refused"
    ] * 4


@pytest.mark.extras
def test_other_things_than_arrays_are_loaded_instead(world, path):
    with world.store.open(path) as opened, pytest.raises((DecodeError, TypeNotAllowed)):
        opened.arrays()
    data = world.root / "data" / "a.json"
    world.store.dump({"a": 1}, data)
    with world.store.open(data) as opened:
        assert bytes(opened.segment(0)[:]) == b'{"a":1}'
        with pytest.raises(DecodeError, match="no arrays of its own"):
            opened.arrays()
