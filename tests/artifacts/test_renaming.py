"""Another name for a sealed file: sealed for it, and the old one is gone for good."""

from __future__ import annotations

import os
import signal

import pytest

from safehold import sfh1
from safehold.artifacts import files
from safehold.errors import (
    ConfigError,
    Rollback,
    Tampered,
    TrailError,
    TypeNotAllowed,
    WrongContext,
)
from tests.artifacts.test_suites_in_use import keyring
from tests.holding import make_world

VALUE = {"a": [1, 2.5], "b": b"x" * 3000}


class Own:
    """A type that zone cache allows and zone models does not."""


@pytest.fixture(params=sfh1.SUITES)
def world(tmp_path, request):
    world = make_world(tmp_path, keyring=keyring(request.param))
    yield world
    world.hold.close()


@pytest.fixture
def old(world):
    path = world.root / "models" / "old.pkl"
    world.store.dump(1, path)
    world.store.dump(VALUE, path, meta={"run": 7})
    return path


def test_a_file_gets_another_name(world, old):
    new = world.root / "models" / "new.pkl"
    before = world.store.inspect(old)
    info = world.store.rename(old, new)
    assert not old.exists()
    assert world.store.load(new) == VALUE
    assert (info.name, info.generation, info.meta) == ("models/new.pkl", 3, {"run": 7})
    assert info.artifact != before.artifact
    assert world.store.inspect(new) == info
    events = [event for event in world.events.rows if event.action == "rename"]
    assert [(event.artifact, event.outcome) for event in events] == [
        ("models/new.pkl", "allowed"),
        ("models/old.pkl", "allowed"),
    ]


def test_a_copy_of_the_old_file_is_refused_under_either_name(world, old):
    copy = old.read_bytes()
    new = world.root / "models" / "new.pkl"
    world.store.rename(old, new)
    sealed = new.read_bytes()
    old.write_bytes(copy)
    for keep in (world, world.again(keyring=world.hold.keyring)):
        with pytest.raises(Rollback):
            keep.store.load(old)
    new.write_bytes(copy)
    with pytest.raises(WrongContext):
        world.store.load(new)
    new.write_bytes(sealed)
    assert world.store.load(new) == VALUE
    assert world.store.dump(2, old).generation == 4
    assert world.store.load(old) == 2


def test_generations_go_on_from_both_names(world, old):
    new = world.root / "models" / "new.pkl"
    for _ in range(5):
        world.store.dump(0, new)
    kept = new.read_bytes()
    new.unlink()
    assert world.store.rename(old, new).generation == 6
    new.write_bytes(kept)
    with pytest.raises(Rollback):
        world.store.load(new)


def test_another_zone_must_have_codec_and_types(world):
    own = world.root / "cache" / "own.pkl"
    world.store.dump(Own(), own)
    plain = world.root / "cache" / "plain.pkl"
    world.store.dump(VALUE, plain)
    with pytest.raises(TypeNotAllowed):
        world.store.rename(own, world.root / "models" / "own.pkl")
    with pytest.raises(ConfigError, match="does not have the codec"):
        world.store.rename(plain, world.root / "data" / "plain.pkl")
    assert os.listdir(world.root / "data") == os.listdir(world.root / "models") == []
    assert world.store.rename(plain, world.root / "models" / "plain.pkl").zone == "models"
    assert world.store.load(world.root / "models" / "plain.pkl") == VALUE
    assert isinstance(world.store.load(own), Own)


def test_several_containers_move_together(world):
    old, new = world.root / "models" / "old.pkl", world.root / "models" / "a longer name.pkl"
    with old.open("wb") as file:
        for number in range(3):
            world.store.dump_to(number, file)
    world.store.rename(old, new)
    with new.open("rb") as file:
        assert [world.store.load_from(file) for _ in range(3)] == [0, 1, 2]
    world.store.verify(new)


def test_nothing_is_overwritten(world, old):
    new = world.root / "models" / "new.pkl"
    for make in (lambda: new.write_text("precious"), lambda: new.symlink_to(old), new.mkdir):
        make()
        with pytest.raises(FileExistsError):
            world.store.rename(old, new)
        new.rmdir() if new.is_dir() else new.unlink()
    with pytest.raises(FileExistsError):
        world.store.rename(old, old)
    assert world.store.load(old) == VALUE


def test_what_is_to_be_replaced_is(world, old):
    new = world.root / "models" / "new.pkl"
    world.store.dump([1], new)
    kept = new.read_bytes()
    world.store.rename(old, new, replace=True)
    assert world.store.load(new) == VALUE
    assert not old.exists()
    new.write_bytes(kept)
    with pytest.raises(Rollback):
        world.store.load(new)


def test_what_would_not_load_is_not_renamed(world, old):
    new = world.root / "models" / "new.pkl"
    data = old.read_bytes()
    for at in (60, len(data) // 2, -9):
        changed = bytearray(data)
        changed[at] ^= 1
        old.write_bytes(changed)
        with pytest.raises(Tampered):
            world.store.rename(old, new)
    old.write_bytes(data)
    world.store.dump(2, old)
    old.write_bytes(data)
    with pytest.raises(Rollback):
        world.store.rename(old, new)
    assert not new.exists()
    assert old.read_bytes() == data


def test_a_trail_that_refuses_leaves_everything(world, old):
    world.events.broken = True
    with pytest.raises(TrailError):
        world.store.rename(old, world.root / "models" / "new.pkl")
    world.events.broken = False
    assert world.store.load(old) == VALUE
    assert [entry.name for entry in old.parent.iterdir()] == ["old.pkl"]


# The new file is linked to its name, or renamed where files need a name from the beginning.
STEPS = {"flush": ["fsync"], "name": ["link", "rename"], "mark": ["pwrite"], "gone": ["unlink"]}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_leaves_the_value_under_one_name_at_least(step, after, world, old):
    new = world.root / "models" / "new.pkl"
    pid = os.fork()
    if pid == 0:
        for name in STEPS[step]:

            def kill(*args: object, real: object = getattr(os, name), **named: object) -> object:
                if after:
                    real(*args, **named)
                os.kill(os.getpid(), signal.SIGKILL)

            setattr(os, name, kill)
        world.store.rename(old, new)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    found = [path for path in (old, new) if path.exists()]
    values = []
    for path in found:
        try:
            values.append(make_world(world.root, keyring=world.hold.keyring).store.load(path))
        except Rollback:
            assert path == old
            assert new.exists()
    assert VALUE in values


def test_what_is_written_meanwhile_moves(world, old, monkeypatch):
    new = world.root / "models" / "new.pkl"
    real = files.Marks.lock

    def late(self: files.Marks, *names: str) -> object:
        monkeypatch.setattr(files.Marks, "lock", real)
        world.store.dump("later", old)
        return real(self, *names)

    monkeypatch.setattr(files.Marks, "lock", late)
    world.store.rename(old, new)
    assert world.store.load(new) == "later"
