"""Start-up: ``import safehold`` and ``safehold --version`` against bare Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from bench._clocks import in_turn
from bench._rows import Row, difference


def rows() -> Iterator[Row]:
    """Yield how much longer whole processes take."""
    bare = partial(_run, [sys.executable, "-c", "pass"])
    for label, command, goal in (
        ("import safehold", ["-c", "import safehold"], 50e-3),
        ("safehold --version", ["-m", "safehold", "--version"], 100e-3),
    ):
        pairs = in_turn(partial(_run, [sys.executable, *command]), bare)
        yield difference(label, pairs, "wall", against="bare Python", goal=goal)
        yield difference(label, pairs, against="bare Python")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
