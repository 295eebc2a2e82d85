"""Scanning 1,000 small pickles: ``scan_paths`` against picklescan, in one process each."""

from __future__ import annotations

import logging
import pickle
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench._clocks import in_turn
from bench._rows import Row, ratio
from safehold.scan import scan_paths

_FILES = 1000


def rows() -> Iterator[Row]:
    """Yield the ratio and what both found."""
    from picklescan.scanner import scan_directory_path

    logging.getLogger("picklescan").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _write(directory)
        pairs = in_turn(
            lambda: list(scan_paths([directory])),
            lambda: scan_directory_path(str(directory)),
            rounds=5,
        )
        label = f"scan of {_FILES} small pickles"
        yield ratio(label, pairs, against="picklescan")
        yield ratio(label, pairs, "wall", against="picklescan")
        flagged = sum(report.verdict != "clean" for report in scan_paths([directory]))
        theirs = scan_directory_path(str(directory)).infected_files
        yield Row("flagged of these", flagged, theirs, flagged, 0, "picklescan", "", absolute=True)


def _write(directory: Path) -> None:
    """Write harmless pickles of about 2 KB, as caches and configurations are."""
    chance = random.Random(0)  # noqa: S311  (the same files in every run)
    for number in range(_FILES):
        value = {
            f"key {index}": [chance.random(), chance.randint(0, 10**6), f"text {index}", (1, 2)]
            for index in range(40)
        }
        data = pickle.dumps(value, protocol=chance.choice((2, 4, 5)))
        (directory / f"{number}.pkl").write_bytes(data)
