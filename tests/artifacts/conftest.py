from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.holding import World, world_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from world_of(tmp_path)
