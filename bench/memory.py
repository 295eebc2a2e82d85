"""Memory at the peak of a load, beyond what was there before and the payload itself."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench._rows import Row, left_out, value
from bench._subjects import array, context, lacking, named, workspace
from safehold.artifacts import Store
from safehold.sfh1 import SUITES

_BYTES = 2**28
_GOAL = 4 * 2**20
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def rows() -> Iterator[Row]:
    """Yield each suite's, then joblib's own."""
    import joblib

    with workspace() as root:
        label = f"peak beyond an array of {named(_BYTES)}"
        if not _RESET.exists():
            yield left_out(label, "the system does not tell", goal=_GOAL)
            return
        if why := lacking(root, 4 * _BYTES, 2 * _BYTES):
            yield left_out(label, why, goal=_GOAL)
            return
        path = str(root / "models" / "array.joblib")
        for suite in SUITES:
            with context(root, suite) as hold:
                store = Store(hold)
                store.dump(array(_BYTES), path)
                extra = peak(partial(store.load, path)) - _BYTES
                yield value(f"{label}, {suite}", extra, goal=_GOAL, unit="B")
        joblib.dump(array(_BYTES), path)
        extra = peak(partial(joblib.load, path)) - _BYTES
        yield value(f"{label}, joblib.load", extra, unit="B")


def peak(action: Callable[[], object]) -> int:
    """Return by how many bytes an action raises this process's resident memory at its highest."""
    action()  # imports, and what is made once
    gc.collect()
    with contextlib.suppress(AttributeError):  # free memory that is used again would not show
        ctypes.CDLL(None).malloc_trim(0)
    _RESET.write_text("5", "ascii")  # the high-water mark is what there is now
    before = _status("VmHWM:")
    action()
    return _status("VmHWM:") - before


def _status(name: str) -> int:
    lines = _STATUS.read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024
