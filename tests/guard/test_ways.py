"""Each way runs without the guard; with it none does, and the trail says what was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.guard.running import Runner, run_fresh, runner
from tests.guard.ways import Way, all_ways

pytestmark = [pytest.mark.extras, pytest.mark.forking]

WAYS = list(all_ways())
_LEAST = 300


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Return what runs ways."""
    with runner(tmp_path_factory.mktemp("ways")) as made:
        yield made


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_way(way: Way, running: Runner) -> None:
    missing = [module for module in way.needs if not _is_there(module)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    bare = running.run_bare(way)
    assert bare.ran, f"it does not work without the guard either: {bare.ending}"
    outcome = running.run_guarded(way)
    if way.outside:
        assert outcome.ran, f"it is stopped now, and need not be left out: {outcome.ending}"
    else:
        assert outcome.stopped, outcome


def _first_of_each() -> list[Way]:
    plain = [way for way in WAYS if not (way.needs or way.outside)]
    return list({way.family: way for way in reversed(plain)}.values())


@pytest.mark.parametrize("way", _first_of_each(), ids=str)
def test_way_by_command(way: Way, tmp_path: Path) -> None:
    outcome = run_fresh(way, tmp_path / "home", cli=True)
    assert outcome.stopped, outcome


def test_ways_are_many() -> None:
    names = Counter(map(str, WAYS))
    assert names.most_common(1)[0][1] == 1
    assert len({way.text for way in WAYS}) == len(WAYS) >= _LEAST
