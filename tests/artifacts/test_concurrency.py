"""Many processes on one artifact: no generation twice, none lost, nothing torn, nothing older."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from safehold.artifacts import files
from safehold.errors import ConfigError, Rollback, Tampered
from tests.holding import World, make_world

pytestmark = pytest.mark.bare

WRITERS, READERS, SECONDS = 8, 4, 3.0


def value_of(writer: int, number: int) -> dict[str, object]:
    """A value of its own size whose parts cannot be of two saves."""
    chance = random.Random(f"{writer}/{number}")
    pad = chance.randbytes(chance.choice((10, 3000, 60_000)))
    return {"w": writer, "n": number, "pad": pad, "sum": hashlib.sha256(pad).digest()}


def writes(world: World, path: Path, writer: int, until: float) -> list[list[int]]:
    done = []
    while not done or time.monotonic() < until:
        info = world.store.dump(value_of(writer, len(done)), path)
        done.append([info.generation, writer, len(done)])
    return done


def reads(world: World, path: Path, reader: int, until: float) -> list[list[int]]:
    seen = []
    while time.monotonic() < until:
        found = world.store.load(path)
        assert found == value_of(found["w"], found["n"])
        if not seen or seen[-1] != [found["w"], found["n"]]:
            seen.append([found["w"], found["n"]])
    return seen


def child(root: Path, work: Callable[..., object], *args: object) -> tuple[int, int]:
    """Start work in a process with a Store of its own; (process, where its result comes out)."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        try:
            said = json.dumps(work(make_world(root), *args))
        except BaseException:  # noqa: BLE001  told to the parent
            said = "!" + traceback.format_exc()
        with open(into, "wb") as file:
            file.write(said.encode())
        os._exit(0)
    os.close(into)
    return pid, out


def result(process: tuple[int, int]) -> list[list[int]]:
    pid, out = process
    with open(out, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    assert not said.startswith("!"), said
    return json.loads(said or "[]")


@pytest.fixture
def path(world) -> Path:
    return world.root / "models" / "a.pkl"


def test_eight_writers_and_four_readers(world, path):
    info = world.store.dump(value_of(99, 0), path)
    until = time.monotonic() + SECONDS
    readers = [child(world.root, reads, path, number, until) for number in range(READERS)]
    writers = [child(world.root, writes, path, number, until) for number in range(WRITERS)]
    made = [[info.generation, 99, 0]] + [row for one in writers for row in result(one)]
    seen = [result(one) for one in readers]
    generations = {(writer, number): generation for generation, writer, number in made}
    assert sorted(generations.values()) == list(range(1, len(made) + 1))
    assert len({writer for _, writer, _ in made}) == WRITERS + 1
    for values in seen:
        order = [generations[writer, number] for writer, number in values]
        assert order == sorted(order)
        assert len(set(order)) == len(order)
    last = world.again()
    newest = max(made)
    assert last.store.load(path) == world.store.load(path) == value_of(*newest[1:])
    assert last.store.inspect(path).generation == newest[0] == len(made)
    assert os.listdir(path.parent) == [path.name]


def test_writers_that_are_killed_lose_nothing_that_was_saved(world, path):
    """What a writer was told to be saved is there or has been replaced by a later one."""
    world.store.dump(value_of(99, 0), path)
    chance = random.Random(5)
    last = 1
    for round_ in range(15):
        until = time.monotonic() + 30
        processes = [child(world.root, writes, path, round_ * 10 + n, until) for n in range(3)]
        time.sleep(chance.uniform(0.005, 0.05))
        for pid, out in processes:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(out)
        again = world.again()
        found = again.store.load(path)
        assert found == value_of(found["w"], found["n"])
        info = again.store.dump(value_of(round_, 0), path)
        assert info.generation > last
        last = info.generation
        assert world.store.load(path) == value_of(round_, 0)
        assert os.listdir(path.parent) == [path.name]
        again.hold.close()


# --- a writer between two steps of a reader ---------------------------------------------------


def interrupted(
    world: World,
    patch: pytest.MonkeyPatch,
    method: str,
    times: int,
    act: Callable[[], object],
) -> list[int]:
    """Let something happen each time a file was opened and nothing of it is read yet."""
    root, real, done = world.hold.root, getattr(world.hold.root, method), []

    def late(*args: object) -> object:
        opened = real(*args)
        if len(done) < times:
            done.append(1)
            act()
        return opened

    patch.setattr(root, method, late)
    return done


READS = {
    "load": (lambda store, path: store.load(path), "open_file"),
    "open": (lambda store, path: store.open(path).close(), "open_file"),
    "verify": (lambda store, path: store.verify(path), "open_in"),
}


@pytest.mark.parametrize("name", READS)
def test_a_reader_that_is_overtaken_reads_what_is_there_now(name, world, path, monkeypatch):
    read, method = READS[name]
    world.store.dump("first", path)
    writer = world.again()
    numbers = iter(range(100))
    times = 1 if name == "verify" else 5
    done = interrupted(
        world, monkeypatch, method, times, lambda: writer.store.dump(next(numbers), path)
    )
    found = read(world.store, path)
    assert len(done) == times
    assert found in (None, times - 1)
    assert not world.events.refused


@pytest.mark.parametrize("name", READS)
def test_an_older_file_stays_refused_however_often_it_is_exchanged(name, world, path, monkeypatch):
    read, method = READS[name]
    world.store.dump("older", path)
    older = path.read_bytes()
    world.store.dump("newest", path)

    def put_back() -> None:
        path.with_name("b").write_bytes(older)
        os.rename(path.with_name("b"), path)

    put_back()
    with pytest.raises(Rollback):
        read(world.store, path)
    done = interrupted(world, monkeypatch, method, 10**6, put_back)
    with pytest.raises(Rollback):
        read(world.store, path)
    assert 1 < len(done) < 100
    assert len(world.events.refused) == 2


def test_the_path_is_asked_once_also_when_the_file_is_opened_again(world, path, monkeypatch):
    class Liar:
        asked = 0

        def __fspath__(self) -> str:
            self.asked += 1
            return str(path)

    world.store.dump("first", path)
    interrupted(world, monkeypatch, "open_file", 1, lambda: world.again().store.dump("2nd", path))
    liar = Liar()
    assert world.store.load(liar) == "2nd"
    assert liar.asked == 1


def test_what_is_asked_for_is_the_generation_of_the_file_that_is_read(world, path, monkeypatch):
    world.store.dump("first", path)
    interrupted(world, monkeypatch, "open_file", 1, lambda: world.again().store.dump("2nd", path))
    assert world.store.load(path, min_generation=2) == "2nd"
    with pytest.raises(Rollback):
        world.store.load(path, min_generation=3)


@pytest.mark.parametrize("verb", ["renew", "unseal", "seal"])
def test_what_is_saved_while_a_file_is_worked_on_is_not_lost(verb, world, path, monkeypatch):
    """The lock is taken before the file is read, so the later save is what gets renewed."""
    world.store.dump("first", path)
    if verb == "seal":
        world.store.unseal(path)
    real = files.Marks.lock

    def late(self: files.Marks, *names: str) -> object:
        monkeypatch.setattr(files.Marks, "lock", real)
        world.again().store.dump("second", path)
        return real(self, *names)

    monkeypatch.setattr(files.Marks, "lock", late)
    if verb == "seal":
        with pytest.raises(ConfigError, match="sealed already"):
            world.store.seal(path)
        assert world.store.load(path) == "second"
        return
    getattr(world.store, verb)(path)
    found = pickle.loads(path.read_bytes()) if verb == "unseal" else world.store.load(path)
    assert found == "second"


def test_a_handle_that_a_writer_overtakes_gives_what_took_its_file_s_place(world):
    path = world.root / "models/m.pkl"
    world.store.dump("old", path)
    with open(path, "rb") as file:
        world.store.dump("new", path)
        assert world.store.load_from(file) == "new"
        with pytest.raises(EOFError):
            world.store.load_from(file)


def test_a_handle_on_an_older_copy_stays_refused(world):
    path = world.root / "models/m.pkl"
    world.store.dump("old", path)
    old = path.read_bytes()
    world.store.dump("new", path)
    path.write_bytes(old)
    with open(path, "rb") as file, pytest.raises(Rollback):
        world.store.load_from(file)
    (world.root / "models/copy").write_bytes(old)
    with open(path, "rb") as file:
        os.replace(world.root / "models/copy", path)  # as old, and another file
        with pytest.raises(Rollback):
            world.store.load_from(file)


def test_values_of_two_generations_are_not_read_through_one_handle(world):
    path = world.root / "models/m.pkl"

    def write(*values):
        path.unlink(missing_ok=True)
        with open(path, "wb") as file:
            for value in values:
                world.store.dump_to(value, file)

    write(1, 2)
    with open(path, "rb") as file:
        write(3, 4)
        with pytest.raises(Rollback):
            world.store.load_from(file)
    with open(path, "rb") as file:
        assert [world.store.load_from(file) for _ in range(2)] == [3, 4]


def test_a_handle_on_a_plain_file_is_overtaken_by_two_writers(world):
    path = world.root / "models/m.pkl"
    world.store.dump("old", path, sidecar=True)
    with open(path, "rb") as file:
        for value in ("newer", "newest"):
            world.store.dump(value, path, sidecar=True)
        assert world.store.load_from(file) == "newest"
    path.write_bytes(path.read_bytes() + b".")
    with open(path, "rb") as file, pytest.raises(Tampered):
        world.store.load_from(file)
