"""Verified loads of large arrays and of a forest against ``joblib.load``, by suite."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench._clocks import cores, in_turn, one_core
from bench._rows import Row, left_out, ratio
from bench._subjects import (
    ARRAYS,
    array,
    context,
    forest,
    lacking,
    named,
    pickle_load,
    workspace,
    write_plain,
)
from safehold.artifacts import Store
from safehold.sfh1 import SUITES

_PEER = "joblib.load"
_ONE_CORE = {"HS256": 1.5, "GMAC": 1.05, "AES256GCM": 1.10}
_FOREST_GOALS = {"HS256": 0.70, "GMAC": 0.40}
_TWO_CORES = {"HS256": 0.75}


def rows() -> Iterator[Row]:
    """Yield the loads of each array, then those of the forest."""
    with workspace() as root:
        for size in ARRAYS:
            yield from _arrays(root, size)
        yield from _forest(root)


def _arrays(root: Path, size: int) -> Iterator[Row]:
    import joblib

    label = f"array of {named(size)}"
    # The array, what each side loads, and the pages of both files; the disk holds two files.
    if why := lacking(root, 5 * size, 2 * size):
        yield left_out(label, why)
        return
    value = array(size)
    plain = str(root / "models" / "array.plain")
    joblib.dump(value, plain)
    peer = partial(joblib.load, plain)
    for suite in SUITES:
        with _sealed(root, suite, value) as (store, path):
            name, load = f"{label}, {suite}", partial(store.load, path)
            yield from _cores(name, load, peer, _ONE_CORE.get(suite), _TWO_CORES.get(suite))
            rows = in_turn(partial(_rows, store, path), peer, rounds=5)
            yield ratio(f"{name}, open and read ten rows", rows, against="joblib.load of it all")
    os.unlink(plain)


def _cores(
    name: str, load: Any, peer: Any, one: float | None, several: float | None
) -> Iterator[Row]:
    """Yield the load on one core, where both sides have that one, and wall time on all."""
    label = f"{name}, one core"
    if hasattr(os, "sched_setaffinity"):
        with one_core():
            pairs = in_turn(load, peer, rounds=5)
        yield ratio(label, pairs, against=_PEER, goal=one)
    else:
        yield left_out(label, "the system has no affinity", goal=one)
    label = f"{name}, {cores()} cores"
    if cores() < 2:
        yield left_out(label, "one processor", goal=several)
        return
    pairs = in_turn(load, peer, rounds=7)
    yield ratio(label, pairs, "wall", against=_PEER, goal=several)


def _forest(root: Path) -> Iterator[Row]:
    import pickle

    import joblib

    model = forest()
    plain, pickled = str(root / "models" / "forest.plain"), str(root / "models" / "forest.pickled")
    joblib.dump(model, plain)
    write_plain(pickled, pickle.dumps(model))
    label = f"forest of {os.path.getsize(plain) / 1e6:.0f} MB"
    for suite in SUITES:
        with _sealed(root, suite, model) as (store, path):
            name, load = f"{label}, {suite}", partial(store.load, path)
            pairs = in_turn(load, partial(joblib.load, plain))
            yield ratio(name, pairs, against=_PEER, goal=_FOREST_GOALS.get(suite))
            yield ratio(name, pairs, "wall", against=_PEER)
            if suite == "HS256":
                pairs = in_turn(load, partial(pickle_load, pickled))
                yield ratio(name, pairs, against="pickle.load")


@contextlib.contextmanager
def _sealed(root: Path, suite: str, value: Any) -> Iterator[tuple[Store, str]]:
    """Seal a value under a suite for as long as it is measured."""
    path = str(root / "models" / f"{suite}.pkl")
    with context(root, suite) as hold:
        store = Store(hold)
        store.dump(value, path)
        try:
            yield store, path
        finally:
            os.unlink(path)


def _rows(store: Store, path: str) -> Any:
    with store.open(path) as artifact:
        return artifact.arrays()[1_000_000:1_000_010]
