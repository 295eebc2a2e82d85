"""Processor time and memory of scanning 64 MiB of hostile bytes, of each family of them.

Time is that of all processes that a scan starts. Memory is the most that they have together at one
moment, interpreters, the pages of the file and those of temporary ones included: the sum of
their proportional set sizes (``Pss``), in which a page that several share counts once.

    python -m bench.hostile_bytes NAME...    some families, or those that begin so; a line each
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bench._rows import Row, value
from tests.fuzz.families import FAMILIES

# Builders may give a little more than they are asked for, and more than 64 MiB have more time.
_SIZE = 63 * 2**20
_SECONDS, _MEMORY = 10.0, 512 * 2**20
# Seconds between two looks at the memory.
_PAUSE = 0.02
_BUILD = """
import sys
from pathlib import Path
from tests.fuzz.families import FAMILIES
Path(sys.argv[1]).write_bytes(FAMILIES[sys.argv[2]].build(int(sys.argv[3])))
"""
# A process that is the heir of all processes of the scan, so that their time counts.
_SCAN = """
import contextlib, ctypes, json, os, resource, signal, sys
from pathlib import Path
from safehold.scan import scan_bytes, scan_path
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
scan_bytes(b"N.", "a.pkl")
own, children = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
before = resource.getrusage(own)
[report] = scan_path(sys.argv[1]).files
# What is left serves other scans; a process that is no more has told its time to its heir.
for child in Path("/proc/thread-self/children").read_text("ascii").split():
    os.kill(int(child), signal.SIGKILL)
with contextlib.suppress(ChildProcessError):
    while True:
        os.wait()
after, below = resource.getrusage(own), resource.getrusage(children)
spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps([
    spent + below.ru_utime + below.ru_stime,
    max(after.ru_maxrss, below.ru_maxrss) * 1024,
    str(report.verdict),
    sorted({finding.rule.id for finding in report.findings}),
]))
"""


class Cost(NamedTuple):
    """Seconds, bytes, and what the scan said."""

    seconds: float
    memory: int
    verdict: str
    rules: list[str]


def rows() -> Iterator[Row]:
    """Yield the time of each family, of one-byte floods the longest, then the most memory."""
    floods: dict[str, Cost] = {}
    largest = ("", 0)
    with tempfile.TemporaryDirectory() as directory:
        for name in FAMILIES:
            found = cost(name, _SIZE, Path(directory))
            if found.memory > largest[1]:
                largest = (name, found.memory)
            if name.startswith("byte "):
                floods[name] = found
            else:
                yield _row(name, found)
    if floods:
        longest = max(floods, key=lambda name: floods[name].seconds)
        yield _row(f"{len(floods)} floods of one byte, longest: {longest}", floods[longest])
    yield value(f"most memory: {largest[0]}", largest[1], goal=_MEMORY, unit="B")


def _row(name: str, found: Cost) -> Row:
    note = f"{found.memory / 2**20:.0f} MiB, {found.verdict} {' '.join(found.rules)}"
    return value(name, found.seconds, goal=_SECONDS, note=note)


def cost(name: str, size: int, directory: Path) -> Cost:
    """Return what the scan of a file of one family costs."""
    suffix = FAMILIES[name].suffix
    path = directory / (f"hostile{suffix}" if suffix.startswith(".") else suffix)
    _run(_BUILD, str(path), name, str(size))
    said, together = _run(_SCAN, str(path))
    path.unlink()
    found = Cost(*json.loads(said))
    # The largest alone may have had more for a moment that nobody looked at.
    return found._replace(memory=max(found.memory, together))


def _run(code: str, *arguments: str) -> tuple[str, int]:
    """Return what a program printed, and the most memory that it and its children had."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        watch = _Watch(process.pid)
        watch.start()
        try:
            said, _ = process.communicate()
        finally:
            watch.over.set()
            watch.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return said, watch.most


class _Watch(threading.Thread):
    """Looks again and again at how much memory a process and all below it have."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.over = threading.Event()
        self.most = 0

    def run(self) -> None:
        while not self.over.wait(_PAUSE):
            self.most = max(self.most, sum(map(_memory, _family(self._process))))


def _family(process: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield process
    with suppress(OSError):
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            for child in children.read_text("ascii").split():
                yield from _family(int(child))


def _memory(process: int) -> int:
    """Return the proportional set size of a process; none of one that is gone."""
    try:
        rows = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
    except (ProcessLookupError, FileNotFoundError):
        return 0
    return sum(int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:"))


def main(wanted: Iterable[str]) -> None:
    """Print what each family costs whose name is one of these, or begins with one."""
    begins = tuple(wanted)
    with tempfile.TemporaryDirectory() as directory:
        for name in FAMILIES:
            if name.startswith(begins):
                found = cost(name, _SIZE, Path(directory))
                print(json.dumps({"family": name, **found._asdict()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
