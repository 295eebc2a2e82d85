"""What is measured: contexts with policy, trail and marks in use; arrays, a forest, a dict."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from safehold.context import Context
from safehold.keys import generate_key, generate_pair
from safehold.policy import KeySource, default_policy
from safehold.sfh1 import SUITES

ARRAYS = (2**28, 2**30)
"""Sizes of arrays in bytes."""
_TREES = 100
_ROWS = 2600
_numbers = itertools.count()  # a key that is made anew verifies no older mark


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """Make a root with the zone ``models`` for a topic, and remove it."""
    with tempfile.TemporaryDirectory(prefix="safehold-bench-") as name:
        root = Path(name)
        (root / "models").mkdir()
        yield root


@contextlib.contextmanager
def context(root: Path, suite: str = "HS256", *, mmap: bool = False) -> Iterator[Context]:
    """Open a context whose new key is bound to a suite; trail and marks are its own."""
    pair = generate_pair()
    signs, number = SUITES[suite].signs, next(_numbers)
    policy = default_policy(root)
    policy = replace(
        policy,
        zones=tuple(replace(zone, mmap=mmap) for zone in policy.zones),
        key=KeySource("env:KEY", f"key {suite}", suite),
        local=KeySource("env:OWN", "own") if signs else None,
        trail=f"var/{number}/trail",
        marks=f"var/{number}/marks",
    )
    key = pair.private if signs else generate_key()
    with Context.load(policy, environ={"KEY": key, "OWN": generate_key()}) as hold:
        yield hold


def small() -> dict[str, Any]:
    """Return a dict whose pickle has about 2 KB."""
    numbers = {f"key{number}": number * 1.5 for number in range(100)}
    return {**numbers, "list": list(range(100)), "text": "x" * 300}


def array(size: int) -> Any:
    """Return an array of `size` bytes that does not compress."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 2**63, size // 8).view(np.float64)


@functools.cache
def forest() -> Any:
    """Return a fitted forest of about 13 MB."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(_ROWS, 8)), rng.integers(0, 3, _ROWS)
    return RandomForestClassifier(_TREES, random_state=0).fit(x, y)


def lacking(directory: Path, memory: int, disk: int) -> str:
    """Say what there is too little of, with a quarter to spare; empty if it suffices."""
    free = shutil.disk_usage(directory).free
    if free < disk * 1.25:
        return f"needs {disk >> 20} MiB on disk, {free >> 20} MiB are free"
    available = _available()
    if available < memory * 1.25:
        return f"needs {memory >> 20} MiB of memory, {available >> 20} MiB are available"
    return ""


def _available() -> int:
    """Return the memory that programs can still have, page cache included."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def named(size: int) -> str:
    """Return a size in words."""
    return f"{size >> 30} GiB" if size >= 2**30 else f"{size >> 20} MiB"


def pickle_load(path: str) -> Any:
    """Load a plain pickle."""
    with open(path, "rb") as file:
        return pickle.load(file)


def write_plain(path: str, data: bytes) -> None:
    """Write a file, unflushed."""
    with open(path, "wb") as file:
        file.write(data)
