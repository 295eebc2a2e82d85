"""Each way runs without the guard; with it none does, and the trail says what was refused."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.guard.running import run
from tests.guard.ways import FAMILIES, Way, all_ways

pytestmark = pytest.mark.extras

WAYS = list(all_ways())
_LEAST = 300


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a directory that has a place for each of the two runs."""
    for name in ("bare", "guarded"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_way(way: Way, home: Path) -> None:
    missing = [module for module in way.needs if not _is_there(module)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    bare = run(way, home / "bare", guarded=False)
    assert bare.ran, f"it does not work without the guard either: {bare.ending}"
    outcome = run(way, home / "guarded", guarded=True)
    if way.outside:
        assert outcome.ran, f"it is stopped now, and need not be left out: {outcome.ending}"
    else:
        assert outcome.stopped, outcome


@pytest.mark.parametrize("family", FAMILIES)
def test_way_by_command(family: str, home: Path) -> None:
    way = next(way for way in WAYS if way.family == family and not way.needs and not way.outside)
    outcome = run(way, home / "guarded", guarded=True, cli=True)
    assert outcome.stopped, outcome


def test_ways_are_many() -> None:
    names = Counter(map(str, WAYS))
    assert names.most_common(1)[0][1] == 1
    assert len({way.text for way in WAYS}) == len(WAYS) >= _LEAST
