"""Decide, record, act: what cannot be recorded does not happen."""

from __future__ import annotations

import io
import pickle

import pytest

from safehold.errors import TrailError

ACTIONS = {
    "dump": lambda world, path: world.store.dump([9], path),
    "seal": lambda world, path: world.store.seal(path),
    "renew": lambda world, path: world.store.renew(path),
    "unseal": lambda world, path: world.store.unseal(path),
}


@pytest.mark.parametrize("action", ["dump", "seal", "renew", "unseal"])
def test_a_file_is_not_replaced_when_the_trail_takes_nothing(world, action):
    path = world.root / "models" / "a.pkl"
    if action == "seal":
        path.write_bytes(pickle.dumps([1]))
    else:
        world.store.dump([1], path)
    before = path.read_bytes()
    world.events.broken = True

    with pytest.raises(TrailError):
        ACTIONS[action](world, path)

    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == ["a.pkl"]


def test_nothing_is_written_to_a_handle_when_the_trail_takes_nothing(world):
    world.events.broken = True
    out = io.BytesIO()

    with pytest.raises(TrailError):
        world.store.dump_to([1], out)

    assert out.getvalue() == b""


def test_the_generation_does_not_move_when_the_trail_takes_nothing(world):
    path = world.root / "models" / "a.pkl"
    world.store.dump([1], path)
    world.events.broken = True
    with pytest.raises(TrailError):
        world.store.dump([2], path)
    world.events.broken = False

    assert world.store.dump([3], path).generation == 2


@pytest.mark.parametrize("action", ["dump", "seal", "renew", "unseal"])
def test_each_action_is_recorded_once(world, action):
    path = world.root / "models" / "a.pkl"
    if action == "seal":
        path.write_bytes(pickle.dumps([1]))
    else:
        world.store.dump([1], path)
    world.events.rows.clear()

    ACTIONS[action](world, path)

    assert [(event.action, event.outcome) for event in world.events.rows] == [(action, "allowed")]
