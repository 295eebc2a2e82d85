from __future__ import annotations

import pytest

from tests.observe.tampering import KINDS, World, tampered

pytestmark = pytest.mark.bare


def test_every_tampering_is_seen_first_where_it_is(tmp_path):
    world = World(tmp_path / "trail")
    assert world.problems() == []
    seen = list(tampered(world, 1400, seed=2))
    assert [wrong for _, wrong in seen if wrong] == []
    assert {name for name, _ in seen} == set(KINDS)
    assert world.problems() == []
