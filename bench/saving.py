"""Saves against the same bytes through a bare temporary file, fsync and rename."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench._clocks import in_turn
from bench._rows import Row, left_out, ratio
from bench._subjects import ARRAYS, array, context, forest, lacking, named, small, workspace
from safehold.artifacts import Store

_GOAL = 1.1
_BARE = "temporary file, fsync, rename"


def rows() -> Iterator[Row]:
    """Yield the saves of a dict, a forest and an array."""
    import joblib

    with workspace() as root, context(root) as hold:
        store = Store(hold)
        yield from _against_bare(store, root, "dict of 2 KB", small(), rounds=15, repeat=20)
        yield from _against_bare(store, root, "forest", forest(), rounds=9)
        sealed, plain = str(root / "models" / "f.joblib"), str(root / "models" / "f.plain")
        pairs = in_turn(
            partial(store.dump, forest(), sealed), partial(joblib.dump, forest(), plain), rounds=5
        )
        yield ratio("save, forest", pairs, "wall", against="joblib.dump, which does not flush")
        size = min(ARRAYS)
        label = f"array of {named(size)}"
        if why := lacking(root, 4 * size, 4 * size):
            yield left_out(f"save, {label}", why, goal=_GOAL)
        else:
            yield from _against_bare(store, root, label, array(size), rounds=5)


def _against_bare(
    store: Store, root: Path, label: str, value: Any, *, rounds: int, repeat: int = 1
) -> Iterator[Row]:
    sealed, bare = str(root / "models" / "saved.pkl"), str(root / "models" / "saved.bare")
    store.dump(value, sealed)
    data = Path(sealed).read_bytes()
    save = partial(store.dump, value, sealed)
    pairs = in_turn(save, partial(_write, bare, data), rounds=rounds, repeat=repeat)
    yield ratio(f"save, {label}", pairs, against=_BARE, goal=_GOAL)
    yield ratio(f"save, {label}", pairs, "wall", against=_BARE)
    flushed = partial(_write, bare, data, directory=True)
    pairs = in_turn(save, flushed, rounds=rounds, repeat=repeat)
    yield ratio(f"save, {label}", pairs, "wall", against=f"{_BARE}, fsync of the directory")
    os.unlink(sealed)
    os.unlink(bare)


_numbers = itertools.count()


def _write(path: str, data: bytes, *, directory: bool = False) -> None:
    temporary = f"{path}.{next(_numbers)}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    if directory:
        fd = os.open(os.path.dirname(path), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
