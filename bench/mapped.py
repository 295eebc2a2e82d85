"""Mapped files against ``joblib.load``: opened, read in part, verified as a whole."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench._pairs import processor, ratio, show, wall
from safehold.artifacts import Store
from safehold.context import Context
from safehold.keys import generate_key, generate_pair
from safehold.policy import KeySource, default_policy
from safehold.sfh1 import SUITES

_BYTES = 2**28
_ROW = _BYTES // 16  # in the middle


def main() -> None:
    """Print the ratios for an array of 256 MiB in every suite that does not encrypt."""
    import joblib
    import numpy as np

    array = np.random.default_rng(0).normal(size=_BYTES // 8)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "models").mkdir()
        plain = str(root / "plain.joblib")
        joblib.dump(array, plain)
        for name, suite in SUITES.items():
            if not suite.encrypts:
                with _context(root, name) as hold:
                    _rows(Store(hold), root / "models" / f"{name}.joblib", name, array, plain)


def _rows(store: Store, path: Path, suite: str, array: Any, plain: str) -> None:
    import joblib

    store.dump(array, path)
    path.chmod(0o644)
    for what, ours in (
        ("open", partial(_open, store, path)),
        ("open and read ten rows", partial(_part, store, path)),
        ("verify all and load", partial(store.load, path, mmap_mode="r")),
    ):
        for label, clock in (("wall", wall), ("processor", processor)):
            show(
                f"mapped: {what}, array of {_BYTES >> 20} MiB, {suite}, {label}",
                ratio(ours, partial(joblib.load, plain), rounds=7, clock=clock),
                "joblib.load",
            )
    path.unlink()


def _open(store: Store, path: Path) -> Any:
    with store.open(path, mmap=True) as artifact:
        return artifact.arrays()


def _part(store: Store, path: Path) -> Any:
    with store.open(path, mmap=True) as artifact:
        return artifact.arrays()[_ROW : _ROW + 10].sum()


def _context(root: Path, suite: str) -> Context:
    pair, signs = generate_pair(), SUITES[suite].signs
    policy = default_policy(root)
    policy = replace(
        policy,
        zones=tuple(replace(zone, mmap=True) for zone in policy.zones),
        key=KeySource("env:KEY", f"key {suite}", suite),
        local=KeySource("env:OWN", "own") if signs else None,
        trail=f"var/trail {suite}",
        marks=f"var/marks {suite}",
    )
    key = pair.private if signs else generate_key()
    return Context.load(policy, environ={"KEY": key, "OWN": generate_key()})


if __name__ == "__main__":
    main()
