"""Processor time and memory of scanning 64 MiB of hostile bytes, of each family of them.

Time is that of all processes that a scan starts; memory is that of the largest of them, with the
pages of the file and of temporary ones, beyond an interpreter that has the scanner imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench._rows import Row, value
from tests.fuzz.hostile_bytes import FAMILIES

# Builders may give a little more than they are asked for, and more than 64 MiB have more time.
_SIZE = 63 * 2**20
_SECONDS, _MEMORY = 10.0, 512 * 2**20
_BUILD = """
import sys
from pathlib import Path
from tests.fuzz.hostile_bytes import FAMILIES
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
    (max(after.ru_maxrss, below.ru_maxrss) - before.ru_maxrss) * 1024,
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
    said = _run(_SCAN, str(path))
    path.unlink()
    return Cost(*json.loads(said))


def _run(code: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout
