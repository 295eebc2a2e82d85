"""The trading strategy, stored as a pickled dictionary."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from pickle import dump, load
from typing import Any

from trader import settings

STRATEGY = settings.CONFIGS / "strategy.pkl"

DEFAULT: dict[str, Any] = {
    "name": "follow-the-forest",
    "symbols": settings.SYMBOLS,
    "paused": {"UMBRELLA"},
    "limits": {"position": Decimal("25000.00"), "orders_per_day": 12},
    "stop_loss": 0.035,
}


def save_strategy(strategy: dict[str, Any], path: Path = STRATEGY) -> None:
    """Write the strategy."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as handle:
        dump(strategy, handle)


def load_strategy(path: Path = STRATEGY) -> dict[str, Any]:
    """Return the strategy."""
    with open(path, "rb") as handle:
        return load(handle)
