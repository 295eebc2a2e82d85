"""The last prices of each symbol, kept on disk between two starts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from trader import settings
from trader.prices import market

CACHE = settings.DATA / "cache.pkl"

Cache = dict[str, dict[str, Any]]


def build(seed: int = settings.SEED) -> Cache:
    """Return the last closing prices of each symbol."""
    entries: Cache = {}
    for symbol, closes in market(settings.SYMBOLS, settings.DAYS, seed).items():
        recent = closes[-settings.CACHED_DAYS :]
        entries[symbol] = {
            "closes": recent,
            "range": (float(recent.min()), float(recent.max())),
            "last_week": [round(float(close), 4) for close in recent[-5:]],
            "as_of": datetime.now(tz=UTC),
        }
    return entries


def save_cache(entries: Cache, path: Path = CACHE) -> None:
    """Write the cache."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as handle:
        pickle.dump(entries, handle, protocol=pickle.HIGHEST_PROTOCOL)


def load_cache(path: Path = CACHE, loader: Callable[[BinaryIO], Any] = pickle.load) -> Cache:
    """Return the cache."""
    with open(path, "rb") as handle:
        return loader(handle)
