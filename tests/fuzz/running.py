"""Chunks of generated streams through machine and loader; differences made small."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Final, NamedTuple

from tests.fuzz.children import Loader
from tests.fuzz.compare import difference, is_too_heavy, read
from tests.fuzz.generator import streams

CHUNK: Final = 2000
_MADE_SMALL: Final = 5
DIED: Final = "the loader's process died"


class Found(NamedTuple):
    """A difference, and the smallest input that still shows one."""

    seed: int
    message: str
    data: bytes

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.message}\n    {self.data!r}"


@functools.cache
def _loader(python: str) -> Loader:
    return Loader(python)  # one for the life of a worker; ends when its input does


def run_chunk(seed: int, python: str, slow: bool) -> tuple[Counter[str], list[Found]]:
    """Compare one chunk; return what was counted, and the differences."""
    loader = _loader(python)
    counts: Counter[str] = Counter()
    inputs, readings = [], []
    for data in streams(seed, CHUNK):
        counts["streams"] += 1
        reading = read(data, python=slow)
        if is_too_heavy(reading):
            counts["not loaded"] += 1
            continue
        inputs.append(data)
        readings.append(reading)
    loader.send([(slow, data) for data in inputs])
    answers = loader.answer()
    if answers is None:
        answers = [load_one(loader, data, slow=slow) for data in inputs]
    found = []
    for data, reading, loads in zip(inputs, readings, answers, strict=True):
        if loads is None:
            found.append(Found(seed, DIED, data))
            continue
        counts["read to the end"] += not loads[-1][3]
        counts["events"] += sum(len(load[0]) for load in loads)
        if difference(reading, loads, python=slow) is not None:
            small = smaller(loader, data, slow=slow) if len(found) < _MADE_SMALL else data
            found.append(Found(seed, differs(loader, small, slow=slow) or "", small))
    return counts, found


def load_one(loader: Loader, data: bytes, *, slow: bool) -> list[tuple[object, ...]] | None:
    """Return what one input does in the child; None if the child dies of it."""
    loader.send([(slow, data)])
    answer = loader.answer()
    return None if answer is None else answer[0]


def differs(loader: Loader, data: bytes, *, slow: bool = False) -> str | None:
    """Return in what machine and loader differ on one input, or None."""
    readings = read(data, python=slow)
    if is_too_heavy(readings):
        return None
    loads = load_one(loader, data, slow=slow)
    return DIED if loads is None else difference(readings, loads, python=slow)


def smaller(loader: Loader, data: bytes, *, slow: bool) -> bytes:
    """Take bytes out while a difference remains."""
    step = max(1, len(data) // 2)
    while step:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + step :]
            if shorter and differs(loader, shorter, slow=slow) is not None:
                data = shorter
            else:
                at += step
        step //= 2
    return data
