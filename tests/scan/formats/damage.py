"""What every reader must stand: files that are cut off, and files of which bits are flipped."""

from __future__ import annotations

import random
from collections.abc import Callable

from safehold.scan import scan_bytes


def clean_prefixes(data: bytes, name: str) -> list[int]:
    """Return the lengths at which a file that is cut off there is clean."""
    return [end for end in range(len(data)) if verdict(data[:end], name) == "clean"]


def verdict(data: bytes, name: str) -> str:
    report = scan_bytes(data, name)
    assert not any("the scanner failed" in one.message for one in report.findings), report.findings
    return str(report.verdict)


def flip(data: bytes, name: str, times: int = 300, seed: int = 1) -> None:
    """Scan copies of a file with a few bits flipped; none may make the reader fail."""
    rng = random.Random(seed)
    for _ in range(times):
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            copy[rng.randrange(len(copy))] ^= 1 << rng.randrange(8)
        verdict(bytes(copy), name)


def replace(data: bytes, name: str, make: Callable[[random.Random], bytes], times: int) -> None:
    """Scan copies in which a few bytes are others, longer or shorter."""
    rng = random.Random(2)
    for _ in range(times):
        start = rng.randrange(len(data))
        stop = min(len(data), start + rng.randrange(9))
        verdict(data[:start] + make(rng) + data[stop:], name)
