"""Cache, positions and strategy come back as they were written."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from trader import cache, config_store, portfolio, settings


@pytest.fixture
def scratch(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return a file of this test's own in ``data/``."""
    settings.DATA.mkdir(exist_ok=True)
    path = settings.DATA / f"{request.node.name}.pkl"
    yield path
    path.unlink(missing_ok=True)


def test_the_cache_comes_back(scratch: Path) -> None:
    written = cache.build(seed=3)
    cache.save_cache(written, scratch)
    read = cache.load_cache(scratch)
    assert read.keys() == written.keys()
    for symbol, entry in written.items():
        closes = read[symbol].pop("closes")
        assert closes.dtype == np.float64
        np.testing.assert_array_equal(closes, entry.pop("closes"))
        assert read[symbol] == entry
        assert isinstance(read[symbol]["range"], tuple)


def test_the_cache_may_be_read_by_another_loader(scratch: Path) -> None:
    cache.save_cache({"ACME": {"last_week": [1.0]}}, scratch)
    opened = []

    def loader(handle: object) -> cache.Cache:
        opened.append(handle)
        return {}

    assert cache.load_cache(scratch, loader) == {}
    assert len(opened) == 1


def test_an_empty_cache_file_is_an_error(scratch: Path) -> None:
    scratch.write_bytes(b"")
    with pytest.raises((EOFError, pickle.UnpicklingError)):
        cache.load_cache(scratch)


def test_a_missing_cache_file_is_an_error(scratch: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cache.load_cache(scratch)


def test_positions_come_back(scratch: Path) -> None:
    portfolio.save_positions(portfolio.OPENING, scratch)
    read = portfolio.load_positions(scratch)
    assert read == portfolio.OPENING
    assert portfolio.exposure(read) == Decimal("10225.00")


def test_the_strategy_comes_back() -> None:
    settings.CONFIGS.mkdir(exist_ok=True)
    path = settings.CONFIGS / "test-strategy.pkl"
    try:
        config_store.save_strategy(config_store.DEFAULT, path)
        read = config_store.load_strategy(path)
    finally:
        path.unlink(missing_ok=True)
    assert read == config_store.DEFAULT
    assert read["limits"]["position"] == Decimal("25000.00")
    assert isinstance(read["paused"], set)
    assert isinstance(read["symbols"], tuple)
