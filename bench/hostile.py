"""What refusing inputs of hostile sizes takes; the tests assert the memory of the same cases."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bench._rows import Row, left_out, value
from tests.hostile import CASES, EXTRAS, cost

_GOAL = 5e-3


def rows() -> Iterator[Row]:
    """Yield the fastest of several refusals of each case, in a child process each."""
    for label, build in (CASES | EXTRAS).items():
        if build in EXTRAS.values() and not all(map(find_spec, ("joblib", "numpy", "pyarrow"))):
            yield left_out(label, "needs joblib, numpy and pyarrow", goal=_GOAL)
            continue
        with tempfile.TemporaryDirectory() as directory:
            found = cost(build, Path(directory))
        note = f"{found.error}, {max(found.memory, 0) / 2**20:.2f} MiB"
        yield value(label, found.seconds, goal=_GOAL, note=note)
