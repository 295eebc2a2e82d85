from __future__ import annotations

import pytest

from tests.holding import make_world


@pytest.fixture
def world(tmp_path):
    world = make_world(tmp_path)
    yield world
    world.hold.close()


@pytest.fixture
def hold(world):
    return world.hold
