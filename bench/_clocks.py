"""Timing in pairs: two things in turn, so that a drifting machine spoils neither."""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Clock = Literal["cpu", "wall"]


class Times(NamedTuple):
    """Seconds of one action by each clock."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Pairs:
    """The rounds of two actions."""

    rounds: tuple[tuple[Times, Times], ...]

    def ratio(self, clock: Clock) -> float:
        """Return the median of ours/other."""
        return statistics.median(
            getattr(ours, clock) / max(getattr(other, clock), 1e-12) for ours, other in self.rounds
        )

    def difference(self, clock: Clock) -> float:
        """Return the median of ours - other."""
        return statistics.median(
            getattr(ours, clock) - getattr(other, clock) for ours, other in self.rounds
        )

    def medians(self, clock: Clock) -> tuple[float, float]:
        """Return the median seconds of ours and of other."""
        return (
            statistics.median(getattr(ours, clock) for ours, _ in self.rounds),
            statistics.median(getattr(other, clock) for _, other in self.rounds),
        )


def in_turn(
    ours: Callable[[], object],
    other: Callable[[], object],
    *,
    rounds: int = 15,
    repeat: int = 1,
) -> Pairs:
    """Measure two actions by both clocks, each once before as a warm-up."""
    _times(ours, repeat)
    _times(other, repeat)
    return Pairs(tuple((_times(ours, repeat), _times(other, repeat)) for _ in range(rounds)))


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and the threads that it starts meanwhile, on one processor."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def percentiles(action: Callable[[], object], count: int = 20_000) -> list[float]:
    """Return the 99 cuts of the wall seconds of single calls."""
    clock = time.perf_counter
    for _ in range(count // 10):
        action()
    times = []
    for _ in range(count):
        started = clock()
        action()
        times.append(clock() - started)
    return statistics.quantiles(times, n=100)


def _times(action: Callable[[], object], repeat: int) -> Times:
    cpu, wall = processor(), time.perf_counter()
    for _ in range(repeat):
        action()
    return Times((processor() - cpu) / repeat, (time.perf_counter() - wall) / repeat)


def processor() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime
