"""Positions held, in a file format from the days of Python 2."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

try:
    import cPickle as pickle  # noqa: N813
except ImportError:
    import pickle

from trader import settings

POSITIONS = settings.DATA / "positions.pkl"

OPENING: list[dict[str, Any]] = [
    {
        "symbol": symbol,
        "quantity": 10 * (number + 1),
        "price": Decimal("100.25") + number,
        "opened": datetime(2024, 1, 2, 9, 30, tzinfo=UTC),
    }
    for number, symbol in enumerate(settings.SYMBOLS)
]


def save_positions(positions: list[dict[str, Any]], path: Path = POSITIONS) -> None:
    """Write the positions in the protocol that the old reports still read."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as handle:
        pickle.dump(positions, handle, 2)


def load_positions(path: Path = POSITIONS) -> list[dict[str, Any]]:
    """Return the positions."""
    with open(path, "rb") as handle:
        return pickle.load(handle)


def exposure(positions: list[dict[str, Any]]) -> Decimal:
    """Return the sum of quantity times price."""
    return sum((row["quantity"] * row["price"] for row in positions), Decimal(0))
