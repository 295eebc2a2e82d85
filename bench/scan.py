"""Scanning pickles with ``scan_paths`` against picklescan, in one process each.

Large pickles of plain data, arrays of 500 MB, small files, and a directory with several jobs.
modelaudit-picklescan stands in the topic of detection, on the corpora there.
"""

from __future__ import annotations

import logging
import pickle
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench._clocks import cores, in_turn
from bench._rows import Row, left_out, ratio, value
from bench._subjects import lacking
from safehold.scan import scan_paths

_FILES = 1000
# Values of each large pickle, each of several opcodes: a million opcodes or more.
_VALUES = 1_000_000
_ARRAY = 500_000_000
_LARGE_GOAL = 0.10
_ARRAY_GOAL = 0.05
_ARRAY_PEAK = 30 * 2**20
_SMALL_GOAL = 0.25
_JOBS = 4
_JOBS_GOAL = 1 / 1.8
# VmHWM, unlike ru_maxrss, begins anew with a program.
_PEAK = """
import mmap, sys
from pathlib import Path
from safehold.scan import scan_bytes
def peak():
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
scan_bytes(b"\\x80\\x04].", "a.pkl")
before = peak()
with open(sys.argv[1], "rb") as file:
    data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
assert scan_bytes(data, "a.pkl").verdict == "clean"
print(peak() - before)
"""


def rows() -> Iterator[Row]:
    """Yield what CPU and memory scans take."""
    logging.getLogger("picklescan").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="safehold-bench-") as name:
        directory = Path(name)
        yield from _large(directory)
        yield from _arrays(directory)
        for label, items, flagged in (("2 KB", 40, True), ("1 KB", 22, False)):
            yield from _small(directory / label, label, items, flagged=flagged)
        yield from _several_jobs(directory)


def _large(directory: Path) -> Iterator[Row]:
    from picklescan.scanner import scan_file_path

    path = str(directory / "large.pkl")
    for label, made in _shapes().items():
        for protocol in (2, 4):
            with open(path, "wb") as file:
                pickle.dump(made, file, protocol)
            ours = partial(_all, path)
            pairs = in_turn(ours, partial(scan_file_path, path), rounds=3)
            named = f"pickle of {label}, protocol {protocol}"
            yield ratio(named, pairs, against="picklescan", goal=_LARGE_GOAL)


def _shapes() -> dict[str, Any]:
    chance = random.Random(0)  # noqa: S311  (the same data in every run)
    part = _VALUES // 5
    return {
        "integers": [chance.choice((index % 256, index, -index)) for index in range(_VALUES)],
        "floats": [chance.random() for _ in range(_VALUES)],
        "texts": [f"text {index}" for index in range(_VALUES // 2)],
        "a dict": {f"k{index}": index for index in range(_VALUES // 3)},
        "pairs": [(index, index * 0.5) for index in range(_VALUES // 3)],
        "rows": [(index, f"s{index}", 0.5, None) for index in range(part)],
        "lists in lists": [[index, index + 1, [index]] for index in range(part)],
        "records": [
            {"name": f"n{index}", "age": index % 99, "score": index * 0.5} for index in range(part)
        ],
    }


def _arrays(directory: Path) -> Iterator[Row]:
    import joblib
    import numpy as np
    from picklescan.scanner import scan_file_path

    label = f"array of {_ARRAY // 10**6} MB"
    if why := lacking(directory, 3 * _ARRAY, 2 * _ARRAY):
        yield left_out(label, why, goal=_ARRAY_GOAL)
        return
    array = np.random.default_rng(0).integers(0, 256, _ARRAY, dtype=np.uint8)
    path = str(directory / "array.pkl")
    for kind in (3, 4, 5, "joblib"):
        if kind == "joblib":
            joblib.dump(array, path)
        else:
            with open(path, "wb") as file:
                pickle.dump(array, file, kind)
        named = f"{label}, {kind}" if kind == "joblib" else f"{label}, protocol {kind}"
        pairs = in_turn(partial(_all, path), partial(scan_file_path, path), rounds=3)
        # picklescan ends at the first byte of the array that is no opcode.
        goal = None if kind == "joblib" else _ARRAY_GOAL
        yield ratio(named, pairs, against="picklescan", goal=goal)
        if Path("/proc/self/status").exists():
            command = [sys.executable, "-c", _PEAK, path]
            peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            yield value(f"{named}, memory at the peak", int(peak), goal=_ARRAY_PEAK, unit="B")
    Path(path).unlink()


def _small(directory: Path, label: str, items: int, *, flagged: bool) -> Iterator[Row]:
    from picklescan.scanner import scan_directory_path

    directory.mkdir()
    _write(directory, _FILES, items)
    theirs = partial(scan_directory_path, str(directory))
    pairs = in_turn(partial(_all, str(directory)), theirs, rounds=5)
    named = f"scan of {_FILES} pickles of {label}"
    yield ratio(named, pairs, against="picklescan", goal=_SMALL_GOAL)
    yield ratio(named, pairs, "wall", against="picklescan")
    if flagged:
        found = sum(report.verdict != "clean" for report in scan_paths([directory]))
        theirs_found = theirs().infected_files
        yield Row(
            "flagged of these", found, theirs_found, found, 0, "picklescan", "", absolute=True
        )


def _several_jobs(directory: Path) -> Iterator[Row]:
    """Compressed pickles: a scan has to unpack them, so that there is work to share."""
    import joblib

    label = f"directory with {_JOBS} jobs on 2 cores"
    if cores() < 2:
        yield left_out(label, "needs two cores", goal=_JOBS_GOAL)
        return
    many = directory / "many"
    many.mkdir()
    made = [f"text {index * 7919 % 10_007}" for index in range(200_000)]
    for number in range(24):
        joblib.dump([number, made], many / f"{number}.joblib", compress=("zlib", 3))
    pairs = in_turn(partial(_all, str(many), _JOBS), partial(_all, str(many)), rounds=3)
    yield ratio(label, pairs, "wall", against="one job", goal=_JOBS_GOAL)


def _all(path: str, jobs: int = 1) -> list[Any]:
    return list(scan_paths([path], jobs=jobs))


def _write(directory: Path, files: int, items: int) -> None:
    """Write harmless pickles, as caches and configurations are."""
    chance = random.Random(0)  # noqa: S311  (the same files in every run)
    for number in range(files):
        made = {
            f"key {index}": [chance.random(), chance.randint(0, 10**6), f"text {index}", (1, 2)]
            for index in range(items)
        }
        data = pickle.dumps(made, protocol=chance.choice((2, 4, 5)))
        (directory / f"{number}.pkl").write_bytes(data)
