"""Daily closing prices, generated so that the service needs no market feed."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray


def closes(symbol: str, days: int, seed: int) -> NDArray[np.float64]:
    """Return a random walk with momentum and with calm and wild spells."""
    rng = np.random.default_rng([seed, zlib.crc32(symbol.encode())])
    wild = np.repeat(rng.random(days // 30 + 1) < 0.4, 30)[:days]
    spread = np.where(wild, 0.025, 0.008)
    noise = rng.normal(0.0002, spread)
    returns = np.empty(days)
    previous = 0.0
    for day in range(days):
        previous = 0.35 * previous + noise[day]
        returns[day] = previous
    return 100.0 * np.exp(np.cumsum(returns))


def market(symbols: tuple[str, ...], days: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return the closing prices of each symbol."""
    return {symbol: closes(symbol, days, seed) for symbol in symbols}
