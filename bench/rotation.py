"""Another key for a sealed array: two slots are written, whatever its size and suite."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bench._clocks import in_turn
from bench._rows import Row, left_out, ratio, value
from bench._subjects import ARRAYS, array, lacking, named, workspace
from safehold.artifacts import Store
from safehold.context import Context
from safehold.events import Event, Recorder
from safehold.keys import Key, Keyring, generate_key, generate_pair
from safehold.policy import default_policy
from safehold.sfh1 import SECTOR, SLOTS, SUITES

_GOAL = 20e-3  # seconds, for the largest array


def rows() -> Iterator[Row]:
    """Yield a rotation of each array, under each suite."""
    for size in ARRAYS:
        for suite in SUITES:
            label = f"rotate an array of {named(size)}, {suite}"
            goal = _GOAL if size == max(ARRAYS) else None
            with workspace() as root:
                if why := lacking(root, 4 * size, 2 * size):
                    yield left_out(label, why, goal=goal)
                    continue
                yield from _rotation(root, label, suite, size, goal)


def _rotation(root: Path, label: str, suite: str, size: int, goal: float | None) -> Iterator[Row]:
    local = Key("local", generate_key().encode()) if SUITES[suite].signs else None
    keys = [_key(name, suite) for name in ("a", "b")]
    policy = default_policy(root)
    path = str(root / "models" / "big.pkl")
    contexts = [
        Context(policy, Keyring(*order, local=local), Recorder(_Nowhere()))
        for order in (keys, keys[::-1])
    ]
    there, back = (Store(hold) for hold in contexts)
    there.dump(array(size), path)

    def twice() -> None:
        back.rotate("a", "b", [path])
        there.rotate("b", "a", [path])

    pairs = in_turn(twice, _floor(path), rounds=7)
    yield value(f"{label}, wall", pairs.medians("wall")[0] / 2, goal=goal)
    yield ratio(f"{label}, twice", pairs, "wall", against="its four writes and flushes alone")
    for hold in contexts:
        hold.close()


def _key(name: str, suite: str) -> Key:
    text = generate_pair().private if SUITES[suite].signs else generate_key()
    return Key(name, text.encode(), suite)


def _floor(path: str) -> Callable[[], None]:
    """Return what writes the bytes of both slots where they are, twice, and flushes each."""

    def write() -> None:
        fd = os.open(path, os.O_RDWR)
        try:
            for place in SLOTS * 2:
                os.pwrite(fd, os.pread(fd, SECTOR, place), place)
                os.fdatasync(fd)
        finally:
            os.close(fd)

    return write


class _Nowhere:
    """A trail that keeps nothing, so that the file alone is measured."""

    def export(self, event: Event) -> None:
        pass
