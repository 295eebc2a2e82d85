"""Mapped files against ``joblib.load``: opened, read in part, verified as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench._clocks import in_turn
from bench._rows import Row, left_out, ratio
from bench._subjects import array, context, lacking, named, workspace
from safehold.artifacts import Store
from safehold.sfh1 import SUITES

_BYTES = 2**28
_ROW = _BYTES // 16  # in the middle
_GOAL = 0.15  # of an open


def rows() -> Iterator[Row]:
    """Yield what each suite that does not encrypt takes for an array of 256 MiB."""
    import joblib

    with workspace() as root:
        label = f"array of {named(_BYTES)}"
        if why := lacking(root, 5 * _BYTES, 2 * _BYTES):
            yield left_out(label, why, goal=_GOAL)
            return
        value = array(_BYTES)
        plain = str(root / "plain.joblib")
        joblib.dump(value, plain)
        for name, suite in SUITES.items():
            if not suite.encrypts:
                with context(root, name, mmap=True) as hold:
                    path = root / "models" / f"{name}.joblib"
                    yield from _suite(Store(hold), path, f"{label}, {name}", value, plain)


def _suite(store: Store, path: Path, label: str, value: Any, plain: str) -> Iterator[Row]:
    import joblib

    store.dump(value, path)
    path.chmod(0o644)
    for what, ours, goal in (
        ("open", partial(_open, store, path), _GOAL),
        ("open, ten rows", partial(_part, store, path), _GOAL),
        ("load", partial(store.load, path, mmap_mode="r"), None),
    ):
        pairs = in_turn(ours, partial(joblib.load, plain), rounds=7)
        yield ratio(f"{label}, {what}", pairs, against="joblib.load", goal=goal)
        yield ratio(f"{label}, {what}", pairs, "wall", against="joblib.load")
    path.unlink()


def _open(store: Store, path: Path) -> Any:
    with store.open(path, mmap=True) as artifact:
        return artifact.arrays()


def _part(store: Store, path: Path) -> Any:
    with store.open(path, mmap=True) as artifact:
        return artifact.arrays()[_ROW : _ROW + 10].sum()
