from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from safehold.compat import use
from tests.holding import World, world_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A context that the facades of this process use."""
    for found in world_of(tmp_path):
        use(found.hold)
        yield found
        use(None)
