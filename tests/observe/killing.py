"""Writers that are killed at random moments: what was acknowledged is there, and holds.

python -m tests.observe.killing --rounds 1000
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from safehold.events import Event
from safehold.keys import Key, Keyring
from safehold.observe import writer
from safehold.observe.check import check_trail
from safehold.observe.check_manifest import Listed
from safehold.observe.trail import Trail

RING = Keyring(Key("k1", hashlib.sha256(b"a key of these tests").digest()))
_WRITERS = 4
_SEGMENT = 20_000


class Round(NamedTuple):
    """Lines that were acknowledged and those that are there, and what is wrong with the trail."""

    acknowledged: int
    there: int
    problems: list[str]


def _write(directory: Path, told: int) -> None:
    writer._SEGMENT_BYTES = _SEGMENT
    trail = Trail(directory, RING)
    number = 0
    while True:
        outcome = "allowed" if number % 50 else "refused"
        trail.export(Event(action="load", outcome=outcome, size=number))
        number += 1
        os.write(told, struct.pack("<I", number))
        if number % 400 == 0:
            trail.close()
            number = 0
            os.write(told, struct.pack("<I", 2**32 - 1))


def killed(directory: Path, rng: random.Random) -> Round:
    """Start the writers, kill each at some moment, and check what they have left."""
    pipes = []
    for _ in range(_WRITERS):
        out, into = os.pipe()
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                _write(directory, into)
            os._exit(1)
        os.close(into)
        pipes.append((pid, out))
    for pid, _ in rng.sample(pipes, _WRITERS):
        time.sleep(rng.random() * 0.02)
        os.kill(pid, signal.SIGKILL)
    acknowledged = 0
    for pid, out in pipes:
        os.waitpid(pid, 0)
        with open(out, "rb") as file:
            data = file.read()
        count = 0
        for (number,) in struct.iter_unpack("<I", data[: len(data) // 4 * 4]):
            if number == 2**32 - 1:
                acknowledged += count
                count = 0
            else:
                count = number
        acknowledged += count
    if not directory.exists():
        return Round(acknowledged, 0, [])
    listed = Listed(directory, RING)
    results = list(check_trail(directory, RING))
    problems = [result.problem for result in results if result.problem]
    # The first line of a writer is its own.
    there = sum(result.lines - 1 for result in results)
    return Round(acknowledged, there, list(map(str, problems + listed.compare(results))))


def main() -> int:
    """Run it; exit code 1 when a line is lost, or a trail does not verify."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    lines = bad = 0
    for number in range(options.rounds):
        directory = Path(tempfile.mkdtemp())
        try:
            found = killed(directory / "trail", rng)
        finally:
            shutil.rmtree(directory)
        lines += found.acknowledged
        if found.problems or found.there < found.acknowledged:
            bad += 1
            sys.stdout.write(f"{number}: {found}\n")
    sys.stdout.write(f"{options.rounds} rounds, {lines} lines acknowledged, {bad} rounds bad\n")
    return 1 if bad or not lines else 0  # writers that write nothing would show nothing


if __name__ == "__main__":
    raise SystemExit(main())
