"""Scanning 1,000 small pickles: ``scan_paths`` against picklescan, in one process each."""

from __future__ import annotations

import logging
import pickle
import random
import tempfile
from pathlib import Path

from bench._pairs import ratio, show
from safehold.scan import scan_paths

_FILES = 1000


def main() -> None:
    """Print the ratio and what both found."""
    from picklescan.scanner import scan_directory_path

    logging.getLogger("picklescan").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _write(directory)
        measured = ratio(
            lambda: list(scan_paths([directory])),
            lambda: scan_directory_path(str(directory)),
            rounds=5,
        )
        show(f"scan of {_FILES} small pickles", measured, "picklescan")
        verdicts = [report.verdict for report in scan_paths([directory])]
        theirs = scan_directory_path(str(directory))
        print(
            f"  flagged: {sum(v != 'clean' for v in verdicts)} here, {theirs.infected_files} there"
        )


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
