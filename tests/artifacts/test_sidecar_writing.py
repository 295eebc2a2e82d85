"""Two files that are replaced one after the other: never torn, whenever a writer dies."""

from __future__ import annotations

import contextlib
import errno
import itertools
import multiprocessing
import os
import pickle
import threading
import time
from pathlib import Path

import pytest

from safehold.artifacts import sidecar
from safehold.errors import Rollback, SafeholdError, Tampered, VerificationError
from tests.holding import make_world
from tests.tracing import Fault, Run, every_system_call, faults_of

pytestmark = [pytest.mark.bare, pytest.mark.forking]

FORK = multiprocessing.get_context("fork")
OLD, NEW = [b"old" * 100], [b"new" * 100]  # of one length: lengths do not tell them apart


@pytest.fixture
def path(world) -> Path:
    return world.root / "models/a.pkl"


def snapshot(root: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}


def restore(root: Path, files: dict[Path, bytes]) -> None:
    for file in root.rglob("*"):
        if file.is_file() and file not in files:
            file.unlink()
    for file, data in files.items():
        if not file.exists() or file.read_bytes() != data:
            file.write_bytes(data)


def killed(name: str) -> list[Fault]:
    """A kill before and after each call; the first test below has all that can happen."""
    return [fault for fault in faults_of(name) if fault.what.startswith("kill")]


def left(path: Path, run: Run) -> None:
    """Nothing but a killed writer leaves a temporary file."""
    if run.raised != "killed":
        names = [item.name for item in path.parent.iterdir()]
        assert not [name for name in names if name.endswith(".sfh-tmp")], run


def test_every_system_call_of_a_write_leaves_a_file_that_loads(world, path):
    world.store.dump(OLD, path, sidecar=True)
    before = snapshot(world.root)

    def check(run: Run) -> None:
        left(path, run)
        now = world.again().store
        value = now.load(path)
        assert value in (OLD, NEW), run
        assert run.raised or value == NEW, run
        now.verify(path)
        with now.open(path) as opened:
            assert bytes(opened.segment(0)[:]) == path.read_bytes()
        now.dump(["next"], path, sidecar=True)  # and writers go on from there
        assert world.again().store.load(path) == ["next"]

    trace = every_system_call(
        lambda: world.again().store.dump(NEW, path, sidecar=True),
        check,
        prepare=lambda: restore(world.root, before),
        faults=lambda name: [fault for fault in faults_of(name) if fault.code in (0, errno.EIO)],
    )
    assert trace.runs > 50
    assert sum(name.startswith("rename") for name in trace.calls) == 2  # sidecar, file
    assert trace.calls.count("pwrite64") == 1  # the mark


def test_a_write_after_one_that_was_killed_before_its_mark_goes_on_from_it(world, path):
    """The file is of generation 2, the mark of 1."""
    world.store.dump(OLD, path, sidecar=True)
    (mark,) = world.root.rglob("*.mark")
    before = mark.read_bytes()
    for plain in (True, False):
        world.store.dump(NEW, path, sidecar=True)
        mark.write_bytes(before)
        killed_at = sidecar_of(path).read_bytes(), path.read_bytes()
        info = world.again().store.dump(["next"], path, sidecar=plain)
        assert info.generation == world.again().store.inspect(path).generation
        assert world.again().store.load(path) == ["next"]
        sidecar_of(path).write_bytes(killed_at[0])
        path.write_bytes(killed_at[1])
        with pytest.raises(Rollback):
            world.again().store.load(path)
        path.unlink()
        sidecar_of(path).unlink()


def test_every_system_call_of_a_first_write(world, path):
    before = snapshot(world.root)

    def check(run: Run) -> None:
        left(path, run)
        if path.exists():
            assert world.again().store.load(path) == NEW, run
        else:
            assert run.raised, run

    every_system_call(
        lambda: world.again().store.dump(NEW, path, sidecar=True),
        check,
        prepare=lambda: restore(world.root, before),
        faults=killed,
    )


@pytest.mark.parametrize("first", [True, False])
def test_every_system_call_between_a_seal_of_its_own_and_a_sidecar(world, path, first):
    world.store.dump(OLD, path, sidecar=first)
    before = snapshot(world.root)

    def check(run: Run) -> None:
        left(path, run)
        value = world.again().store.load(path)
        assert value in (OLD, NEW), run
        assert run.raised or value == NEW, run

    every_system_call(
        lambda: world.again().store.dump(NEW, path, sidecar=not first),
        check,
        prepare=lambda: restore(world.root, before),
        faults=killed,
    )


def test_every_system_call_of_a_renewal_and_of_a_removal(world, path):
    world.store.dump(OLD, path, sidecar=True)
    before = snapshot(world.root)

    def check(run: Run) -> None:
        left(path, run)
        assert pickle.loads(path.read_bytes()) == OLD
        if sidecar_of(path).exists():
            assert world.again().store.load(path) == OLD, run

    for action in ("renew", "unseal"):
        every_system_call(
            lambda action=action: getattr(world.again().store, action)(path),
            check,
            prepare=lambda: restore(world.root, before),
            faults=killed,
        )


def test_every_system_call_of_a_rename_leaves_one_that_loads(world, path):
    new = path.with_name("b.pkl")
    world.store.dump(OLD, path, sidecar=True)
    before = snapshot(world.root)

    def check(run: Run) -> None:
        left(path, run)
        store = world.again().store
        loaded = []
        for name in (path, new):
            with contextlib.suppress(FileNotFoundError, VerificationError):
                loaded.append(store.load(name))
        assert loaded, run
        assert all(value == OLD for value in loaded), run

    every_system_call(
        lambda: world.again().store.rename(path, new),
        check,
        prepare=lambda: restore(world.root, before),
        faults=killed,
    )


def sidecar_of(path: Path) -> Path:
    return path.with_name(path.name + ".sfh")


# --- several processes ---------------------------------------------------------------------


def write_on(root: Path, path: Path, number: int, rounds: int) -> None:
    store = make_world(root).store
    for step in range(rounds):
        store.dump({"writer": number, "step": step, "fill": bytes(2000)}, path, sidecar=True)


def read_on(root: Path, path: Path, stop: object, results: object) -> None:
    store = make_world(root).store
    loaded, newest = 0, 0
    try:
        while not stop.is_set():
            value = store.load(path)
            assert value["fill"] == bytes(2000)
            generation = store.inspect(path).generation
            assert generation >= newest
            newest = generation
            store.verify(path)
            # An open handle may be of a file that was replaced twice since.
            with path.open("rb") as file, contextlib.suppress(Rollback, Tampered):
                assert store.load_from(file)["fill"] == bytes(2000)
            loaded += 1
    except BaseException as error:
        results.put(f"{type(error).__name__}: {error}")
        raise
    results.put(loaded)


def test_writers_and_readers_never_meet_a_torn_pair(world, path):
    """4 writers, 3 readers: no generation is lost, and no reader is refused."""
    world.store.dump({"fill": bytes(2000)}, path, sidecar=True)
    stop, results = FORK.Event(), FORK.Queue()
    readers = [
        FORK.Process(target=read_on, args=(world.root, path, stop, results)) for _ in range(3)
    ]
    writers = [FORK.Process(target=write_on, args=(world.root, path, n, 25)) for n in range(4)]
    for process in (*readers, *writers):
        process.start()
    for process in writers:
        process.join(60)
    stop.set()
    found = [results.get(timeout=60) for _ in readers]
    for process in readers:
        process.join(60)
    assert [process.exitcode for process in writers] == [0] * 4
    assert all(isinstance(loaded, int) and loaded > 0 for loaded in found), found
    assert world.again().store.inspect(path).generation == 101


def test_a_reader_between_the_two_steps_of_a_write_tries_again(world, path, monkeypatch):
    """It opens the file, two writes pass, it opens a sidecar that knows neither."""
    world.store.dump(OLD, path, sidecar=True)
    writer = world.again().store
    real = world.hold.root.open_in
    passed = itertools.count()

    def open_in(directory: int, name: str):
        if name.endswith(".sfh") and next(passed) == 0:
            writer.dump(["between"], path, sidecar=True)
            writer.dump(NEW, path, sidecar=True)
        return real(directory, name)

    monkeypatch.setattr(world.hold.root, "open_in", open_in)
    assert world.store.load(path) == NEW
    assert next(passed) == 2
    assert world.events.refused == []


@pytest.mark.parametrize("call", ["load", "verify", "open", "read"])
def test_a_reader_is_overtaken_by_one_write_alone(world, path, monkeypatch, call):
    """Its file has a record still, and was the newest when the reader began."""
    world.store.dump(OLD, path, sidecar=True)
    writer = world.again().store
    real = world.hold.root.open_in
    passed = itertools.count()

    def open_in(directory: int, name: str):
        if name.endswith(".sfh") and next(passed) == 0:
            writer.dump(NEW, path, sidecar=True)
        return real(directory, name)

    monkeypatch.setattr(world.hold.root, "open_in", open_in)
    found = getattr(world.store, call)(path)
    if call == "open":
        found.close()
    assert next(passed) == 1  # not again
    if call == "load":
        assert found == OLD
    assert world.events.refused == []


def test_tries_are_bounded(world, path, monkeypatch):
    world.store.dump(OLD, path, sidecar=True)
    real = world.hold.root.open_in
    opened = itertools.count()

    def open_in(directory: int, name: str):
        if not name.endswith(".sfh"):
            next(opened)
            path.write_bytes(os.urandom(300))
        return real(directory, name)

    monkeypatch.setattr(world.hold.root, "open_in", open_in)
    with pytest.raises(Tampered):
        world.store.load(path)
    assert next(opened) == sidecar._TRIES + 1


def test_what_is_not_replaced_is_tried_once(world, path, monkeypatch):
    world.store.dump(OLD, path, sidecar=True)
    path.write_bytes(b"N.")
    tried = itertools.count()
    real = sidecar.Pair.records

    def records(pair: sidecar.Pair, expected: object):
        next(tried)
        return real(pair, expected)

    monkeypatch.setattr(sidecar.Pair, "records", records)
    with pytest.raises(Tampered):
        world.store.load(path)
    assert next(tried) == 1


def test_swaps_during_loads_give_the_genuine_value_or_a_refusal(world, path):
    """The file is exchanged with another of its length as fast as this machine can."""
    world.store.dump(OLD, path, sidecar=True)
    genuine = path.read_bytes()
    evil = pickle.dumps(NEW)
    assert len(evil) == len(genuine)
    stop = threading.Event()

    def swap() -> None:
        other = path.with_name("other")
        for data in itertools.cycle((evil, genuine)):
            if stop.is_set():
                return
            other.write_bytes(data)
            other.rename(path)

    swapping = threading.Thread(target=swap)
    swapping.start()
    outcomes = {"genuine": 0, "refused": 0}
    deadline = time.monotonic() + 120
    try:
        while sum(outcomes.values()) < 1000 or not all(outcomes.values()):
            assert time.monotonic() < deadline, outcomes
            try:
                assert world.store.load(path) == OLD
                outcomes["genuine"] += 1
            except (SafeholdError, OSError):
                outcomes["refused"] += 1
    finally:
        stop.set()
        swapping.join()


def test_writes_into_the_file_during_loads_do_too(world):
    path = world.root / "models/large.pkl"
    value = [os.urandom(2**21)]
    world.store.dump(value, path, sidecar=True)
    genuine = path.read_bytes()
    stop = threading.Event()

    def scribble() -> None:
        with path.open("r+b", buffering=0) as file:
            for flip in itertools.cycle((1, 0)):
                if stop.is_set():
                    return
                for at in (100, 2**20 + 5, 2**21):
                    file.seek(at)
                    file.write(bytes([genuine[at] ^ flip]))

    scribbling = threading.Thread(target=scribble)
    scribbling.start()
    try:
        for _ in range(60):
            with contextlib.suppress(SafeholdError):
                assert world.store.load(path) == value
    finally:
        stop.set()
        scribbling.join()
    path.write_bytes(genuine)
    assert world.store.load(path) == value


def test_a_large_file_takes_no_more_memory_than_itself(world):
    path = world.root / "tables/m.onnx"
    size = 64 * 2**20
    world.store.dump(bytes(size), path, sidecar=True)
    child = FORK.Process(target=read_within, args=(world.root, path, size + 8 * 2**20))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def read_within(root: Path, path: Path, most: int) -> None:
    import resource

    world = make_world(root)
    world.store.verify(path)  # what is imported
    now = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGESIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + most, resource.RLIM_INFINITY))
    assert len(world.store.read(path)) == most - 8 * 2**20
