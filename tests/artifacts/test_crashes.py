"""Killed, failed or cut short at each system call: old or new is there whole, and no litter."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from safehold.errors import NotSealed, Rollback
from safehold.keys import Key, Keyring
from safehold.sfh1 import CHUNK, FILE_ALIGN
from tests.holding import OTHER_SECRET, SECRET, World, make_world
from tests.tracing import Fault, Run, Trace, every_system_call, faults_of, few_faults_of

pytestmark = [pytest.mark.bare, pytest.mark.forking]

K1, K2 = Key("k1", SECRET), Key("k2", OTHER_SECRET)
ABSENT = "absent"


@dataclass
class Case:
    """One action on one file, and what must be true of the file after any of its crashes."""

    world: World
    path: Path
    prepare: Callable[[], object]
    action: Callable[[], object]
    read: Callable[[World], object]
    old: Callable[[], object]
    new: Callable[[], object]
    generation: int = 0
    seen: list[str] = field(default_factory=list)

    def check(self, run: Run) -> None:
        world = self.world.again(keyring=self.world.hold.keyring)
        try:
            self._check(run, world)
        finally:
            world.hold.close()

    def _check(self, run: Run, world: World) -> None:
        found = self.read(world)
        assert found in (self.old(), self.new())
        if not run.raised:
            assert found == self.new()
        self.seen.append("old" if found == self.old() else "new")
        # A process that knew the file from before sees the same.
        assert self.read(self.world) == found
        if found != ABSENT and not isinstance(found, bytes):
            self.tidy(world)
        # And the file can be written again, as a later generation than any that was seen.
        self.generation = max(self.generation, self.written(world))
        if found != ABSENT:  # also a plain file, which no load opens
            self.tidy(world)
        info = world.store.dump(["after", run.number], self.path)
        assert info.generation > self.generation
        self.generation = info.generation
        self.tidy(world)
        for reader in (world, self.world):
            assert reader.store.load(self.path) == ["after", run.number]

    def written(self, world: World) -> int:
        try:
            return world.store.inspect(self.path).generation
        except (FileNotFoundError, NotSealed):
            return 0

    def tidy(self, world: World) -> None:
        """Nothing lies about once somebody has opened the file."""
        assert set(os.listdir(self.path.parent)) <= {self.path.name}
        marks = os.listdir(world.hold.policy.root / world.hold.policy.marks)
        assert {Path(name).suffix for name in marks} <= {".mark", ".lock"}

    def run(self, faults: Callable[[str], Iterator[Fault]] = few_faults_of) -> Trace:
        trace = every_system_call(self.action, self.check, prepare=self.prepare, faults=faults)
        assert set(self.seen) == {"old", "new"}
        reached = set(trace.reached)
        assert "flock" in reached
        assert reached & {"write", "pwrite64"}
        assert reached & {"fsync", "fdatasync"}
        assert reached & {"link", "linkat", "rename", "renameat", "renameat2", "pwrite64"}
        return trace


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "models" / "a.pkl"


def loaded(path: Path) -> Callable[[World], object]:
    def read(world: World) -> object:
        try:
            return world.store.load(path)
        except FileNotFoundError:
            return ABSENT

    return read


def each(path: Path) -> Callable[[World], object]:
    """Read all values of a file, or a plain pickle as what it is."""

    def read(world: World) -> object:
        found = []
        with path.open("rb") as file:
            try:
                while True:
                    found.append(world.store.load_from(file))
            except EOFError:
                return found
            except NotSealed:
                return path.read_bytes()

    return read


def dumping(
    world: World, path: Path, old: object, new: object, prepare: Callable[[], object]
) -> Case:
    return Case(
        world,
        path,
        prepare,
        lambda: world.store.dump(new, path),
        loaded(path),
        lambda: old,
        lambda: new,
    )


def test_a_new_file(world, path):
    dumping(world, path, ABSENT, {"n": 1}, lambda: path.unlink(missing_ok=True)).run(faults_of)


def test_a_file_that_is_replaced(world, path):
    trace = dumping(world, path, {"n": 1}, {"n": 2}, lambda: world.store.dump({"n": 1}, path)).run(
        faults_of
    )
    assert trace.runs > 150


def test_a_large_file(world, path):
    big = "x" * (CHUNK + 5)

    def prepare() -> None:
        world.store.dump("small", path)

    case = dumping(world, path, "small", big, prepare)
    world.store.dump(big, path)
    assert path.stat().st_size % FILE_ALIGN
    assert int.from_bytes(path.read_bytes()[12:14], "little") == FILE_ALIGN | 0x8000  # slots
    case.run()


def test_several_values_that_are_sealed_in_one_file(world, path):
    plain = pickle.dumps(1) + pickle.dumps(["two", 2.0])
    trace = Case(
        world,
        path,
        lambda: path.write_bytes(plain),
        lambda: world.store.seal(path),
        each(path),
        lambda: plain,
        lambda: [1, ["two", 2.0]],
    ).run()
    assert trace.calls.count("write") + trace.calls.count("pwrite64") > 6  # containers and mark


def test_a_file_that_gets_the_next_generation(world, path):
    base = 0

    def prepare() -> None:
        nonlocal base
        base = world.store.dump("kept", path).generation

    def read(world: World) -> object:
        return world.store.load(path), world.store.inspect(path).generation - base

    Case(
        world,
        path,
        prepare,
        lambda: world.store.renew(path),
        read,
        lambda: ("kept", 0),
        lambda: ("kept", 1),
    ).run()


def test_a_file_that_is_made_plain(world, path):
    value = {"n": list(range(10))}
    Case(
        world,
        path,
        lambda: world.store.dump(value, path),
        lambda: world.store.unseal(path),
        each(path),
        lambda: [value],
        lambda: pickle.dumps(value, protocol=5),
    ).run()


def test_a_file_that_gets_another_key(tmp_path, path):
    before = make_world(tmp_path, keyring=Keyring(K1, K2))
    world = make_world(tmp_path, keyring=Keyring(K2, K1))
    value = "x" * (2 * CHUNK)

    def read(world: World) -> object:
        return world.store.load(path) == value, world.store.inspect(path).key

    Case(
        world,
        path,
        lambda: before.store.dump(value, path),
        lambda: world.store.rotate("k1", "k2", [path]),
        read,
        lambda: (True, "k1"),
        lambda: (True, "k2"),
    ).run()
    for opened in (before, world):
        opened.hold.close()


def test_a_file_that_gets_another_name(world, path):
    new = path.with_name("b.pkl")
    seen = set()

    def prepare() -> None:
        new.unlink(missing_ok=True)
        world.store.dump("kept", path)

    def check(run: Run) -> None:
        again = world.again()
        found = []
        for name in (path, new):
            try:
                assert again.store.load(name) == "kept"
                found.append(name.name)
            except FileNotFoundError:
                pass
            except Rollback:  # its name is taken from it already, the file not yet
                assert name == path
                assert new.exists()
        seen.add(tuple(found))
        assert found
        if not run.raised:
            assert found == ["b.pkl"]
        if path.exists():  # it was not opened above where it was refused before it was known
            with contextlib.suppress(Rollback):
                again.store.verify(path)
        assert set(os.listdir(path.parent)) <= {"a.pkl", "b.pkl"}
        for name in (path, new):
            again.store.dump("later", name)
            assert again.store.load(name) == world.store.load(name) == "later"
        again.hold.close()

    trace = every_system_call(
        lambda: world.store.rename(path, new), check, prepare=prepare, faults=few_faults_of
    )
    assert seen >= {("a.pkl",), ("b.pkl",)}
    assert {"write", "fsync", "flock"} <= set(trace.reached)
    assert {"unlink", "unlinkat"} & set(trace.reached)


def test_a_first_load_that_stores_a_mark(world, path):
    """Whatever happens to the mark, the file loads, and an older one stays refused."""
    older = path.with_name("older")
    world.store.dump("old", path)
    older.write_bytes(path.read_bytes())
    world.store.dump("new", path)
    marks = world.hold.policy.root / world.hold.policy.marks
    (mark,) = marks.glob("*.mark")
    kept = mark.read_bytes()
    fresh: list[World] = []

    def prepare() -> None:
        mark.unlink(missing_ok=True)
        for opened in fresh:
            opened.hold.close()
        fresh[:] = [world.again()]

    def check(run: Run) -> None:
        assert not mark.exists() or mark.read_bytes() == kept
        again = world.again()
        assert again.store.load(path) == "new"
        assert {name.suffix for name in marks.iterdir()} == {".mark", ".lock"}
        newest = path.read_bytes()
        path.write_bytes(older.read_bytes())
        with pytest.raises(Rollback):
            world.again().store.load(path)
        path.write_bytes(newest)
        again.hold.close()

    trace = every_system_call(lambda: fresh[0].store.load(path), check, prepare=prepare)
    assert {"openat", "write", "fsync", "flock"} <= set(trace.reached) or "open" in trace.reached


def test_the_next_save_is_later_than_one_that_died_before_its_mark(world, path):
    """Also where nobody loaded the file in between, which would have stored the mark."""

    def check(run: Run) -> None:
        again = world.again()
        last = again.store.inspect(path).generation
        assert again.store.dump("next", path).generation > last
        assert world.store.load(path) == again.store.load(path) == "next"
        again.hold.close()

    every_system_call(
        lambda: world.store.dump("new", path),
        check,
        prepare=lambda: world.store.dump("old", path),
        faults=lambda name: [Fault("kill")] if name in {"rename", "renameat", "fsync"} else [],
    )


def test_several_values_whose_writer_died_before_the_mark_count_too(world, path):
    plain = pickle.dumps(1) + pickle.dumps(["two", 2.0])
    world.store.dump("old", path)
    path.write_bytes(plain)
    marks = world.hold.policy.root / world.hold.policy.marks
    (mark,) = marks.glob("*.mark")
    kept = mark.read_bytes()
    assert world.store.seal(path).generation == 2
    mark.write_bytes(kept)
    assert world.again().store.dump("next", path).generation == 3


def test_what_would_not_load_gives_no_generation(world, path):
    for _ in range(3):
        world.store.dump("third", path)
    other = path.with_name("b.pkl")
    other.write_bytes(path.read_bytes())
    assert world.store.dump("of another name", other).generation == 1
    damaged = bytearray(path.read_bytes())
    damaged[-20] ^= 1
    path.write_bytes(damaged)
    for mark in (world.hold.policy.root / world.hold.policy.marks).glob("*.mark"):
        mark.unlink()
    assert world.again().store.dump("first", path).generation == 1
