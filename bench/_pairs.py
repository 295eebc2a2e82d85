"""Timing in pairs: two things in turn, so that a drifting machine spoils neither."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

wall = time.perf_counter
processor = time.process_time  # of all threads


def ratio(
    ours: Callable[[], object],
    other: Callable[[], object],
    *,
    rounds: int = 15,
    repeat: int = 1,
    clock: Callable[[], float] = wall,
) -> tuple[float, float, float]:
    """Return (median ratio ours/other, median seconds of ours, of other), one warm-up each."""
    _seconds(ours, repeat, clock)
    _seconds(other, repeat, clock)
    pairs = [(_seconds(ours, repeat, clock), _seconds(other, repeat, clock)) for _ in range(rounds)]
    middle = statistics.median(first / second for first, second in pairs)
    return (
        middle,
        statistics.median(first for first, _ in pairs),
        statistics.median(second for _, second in pairs),
    )


def show(name: str, measured: tuple[float, float, float], against: str) -> None:
    """Print one result line."""
    middle, ours, other = measured
    print(f"{name}: {middle:.2f}x {against} ({_unit(ours)} against {_unit(other)})", flush=True)


def _seconds(action: Callable[[], object], repeat: int, clock: Callable[[], float]) -> float:
    started = clock()
    for _ in range(repeat):
        action()
    return (clock() - started) / repeat


def _unit(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
