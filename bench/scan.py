"""Scanning pickles with ``scan_paths`` against picklescan, in one process each.

Large pickles of plain data, arrays of 500 MB, small files, whole processes for one file, and a
directory with several jobs. modelaudit-picklescan stands in the topic of detection, on the corpora
there.
"""

from __future__ import annotations

import datetime as dt
import fractions
import logging
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
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
# Files to share out, of 0.2 to 5 MB, and how many of them differ.
_SHARED = 96
_MADE = 16
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
        for label, items in (("2 KB", 40), ("1 KB", 22)):
            yield from _small(directory / label, label, partial(_plain, items))
        yield from _small(directory / "named", "1 KB that name classes", _with_classes)
        yield from _whole_process(directory / "1 KB" / "0.pkl")
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
        "triples": [(index, f"s{index}", index * 0.5) for index in range(_VALUES // 4)],
        "rows of long texts": [(index, f"text {index} " * 5, 0.5) for index in range(_VALUES // 4)],
        "lists in lists": [[index, index + 1, [index]] for index in range(part)],
        "nested dicts": [_document(index, 5) for index in range(part // 16)],
        "records": [
            {"name": f"n{index}", "age": index % 99, "score": index * 0.5} for index in range(part)
        ],
        "records of tuples": [
            {"name": f"name {index}" * 4, "at": (index, index * 0.5)} for index in range(part)
        ],
    }


def _document(index: int, depth: int) -> dict[str, Any]:
    """Return what an answer of a service is like: objects in lists in objects."""
    inner: Any = index if not depth else [_document(index + depth, depth - 1)]
    return {"id": index, "name": f"n{index}", "tags": ["a", f"t{index}", None], "inner": inner}


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


def _small(directory: Path, label: str, make: Callable[[random.Random], object]) -> Iterator[Row]:
    from picklescan.scanner import scan_directory_path

    directory.mkdir()
    chance = random.Random(0)  # noqa: S311  (the same files in every run)
    for number in range(_FILES):
        data = pickle.dumps(make(chance), protocol=chance.choice((2, 4, 5)))
        (directory / f"{number}.pkl").write_bytes(data)
    theirs = partial(scan_directory_path, str(directory))
    pairs = in_turn(partial(_all, str(directory)), theirs, rounds=5)
    named = f"scan of {_FILES} pickles of {label}"
    yield ratio(named, pairs, against="picklescan", goal=_SMALL_GOAL)
    yield ratio(named, pairs, "wall", against="picklescan")
    found = sum(report.verdict != "clean" for report in scan_paths([directory]))
    theirs_found = theirs().infected_files
    yield Row("flagged of these", found, theirs_found, found, 0, "picklescan", "", absolute=True)


def _plain(items: int, chance: random.Random) -> object:
    """Return plain data, as caches and configurations hold it."""
    return {
        f"key {index}": [chance.random(), chance.randint(0, 10**6), f"text {index}", (1, 2)]
        for index in range(items)
    }


def _with_classes(chance: random.Random) -> object:
    """Return data with instances of a few classes, as results of jobs hold it."""
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    rows = OrderedDict(
        (f"row {index}", [day + dt.timedelta(hours=index), chance.random()]) for index in range(12)
    )
    return {"rows": rows, "counts": Counter("abcab"), "share": fractions.Fraction(1, 3)}


def _whole_process(path: Path) -> Iterator[Row]:
    """One file, start and imports included."""
    commands = [("-m", "safehold", "scan", str(path)), ("-m", "picklescan", "-p", str(path))]
    ours, theirs = (
        partial(
            subprocess.run, [sys.executable, *command], check=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    )  # fmt: skip
    pairs = in_turn(ours, theirs, rounds=7)
    yield ratio("scan of one pickle of 1 KB, whole process", pairs, against="picklescan")


def _several_jobs(directory: Path) -> Iterator[Row]:
    label = f"{_SHARED} files of 0.2 to 5 MB with {_JOBS} jobs on 2 cores"
    if cores() < 2:
        yield left_out(label, "needs two cores", goal=_JOBS_GOAL)
        return
    if why := lacking(directory, 2**30, _SHARED * 3 * 10**6):
        yield left_out(label, why, goal=_JOBS_GOAL)
        return
    many = directory / "many"
    many.mkdir()
    for number in range(_SHARED):
        path = many / f"{number:04}.pkl"
        if number >= _MADE:
            shutil.copyfile(many / f"{number % _MADE:04}.pkl", path)
            continue
        rows = 6_000 + number * 8_400
        made = [(index, f"text {index * 7919 % 10_007}", index * 0.5) for index in range(rows)]
        path.write_bytes(pickle.dumps(made, (2, 4)[number % 2]))
    pairs = in_turn(partial(_all, str(many), _JOBS), partial(_all, str(many)), rounds=3)
    yield ratio(label, pairs, "wall", against="one job", goal=_JOBS_GOAL)
    yield ratio(label, pairs, against="one job")


def _all(path: str, jobs: int = 1) -> list[Any]:
    return list(scan_paths([path], jobs=jobs))
