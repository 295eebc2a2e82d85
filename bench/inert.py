"""Scanning a harmless pickle of 1 KB with and without the second reader, and starting it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from functools import partial
from time import perf_counter

from bench._clocks import in_turn
from bench._rows import Row, difference, value
from safehold.scan import scan_bytes
from safehold.scan.inert.process import PROCESSES

_GOAL = 3e-3  # seconds


def rows() -> Iterator[Row]:
    """Yield the first file, which starts a process, and those after it."""
    data = pickle.dumps({str(number): number for number in range(100)})
    paranoid = partial(scan_bytes, data, "a.pkl", paranoid=True)
    PROCESSES.close()
    start = perf_counter()
    paranoid()
    yield value("first file, wall", perf_counter() - start)
    pairs = in_turn(paranoid, partial(scan_bytes, data, "a.pkl"), repeat=200)
    yield difference("each after it", pairs, "wall", against="one reader", goal=_GOAL)
