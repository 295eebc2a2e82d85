"""Follow the chain of one writer through one segment, line by line."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from safehold.observe.chain import START, line_mac, next_key, on_disk
from safehold.observe.problems import Found, Problem, open_regular

LONGEST: Final = 2**20
LINE: Final = re.compile(
    rb'(\{"v":1,"seq":(\d+),"t":"[^"]*","w":"([^"]*)","e":(\{[\x20-\x7e]*\})),"mac":"([0-9a-f]{64})"\}\n'
)

Claims = Mapping[int, list[bytes]]
"""Counts of lines that a state says are on disk, each with what it gives as the proof."""


@dataclass(slots=True)
class Place:
    """Where a reading is: lines that hold, the mac of the last one, and the keys around it.

    ``on_disk``: the most lines that a claim proves to have been on disk, -1 before the first.
    """

    lines: int = 0
    mac: bytes = START
    key: bytes = field(default=b"", repr=False)
    before: bytes = field(default=b"", repr=False)
    on_disk: int = -1


def follow(
    path: Path,
    writer: bytes,
    place: Place,
    claims: Claims,
    *,
    first_key_of: Callable[[int, bytes], bytes],
    was_cut_off: Callable[[], bool],
) -> Problem | None:
    """Move `place` over the lines of a segment; return the problem of a torn last line.

    `first_key_of` is asked for K_0 at the first line of all, given its number and event.

    Raises:
        Found: the first line that does not hold; `place` is before it.
        OSError
    """
    lines, previous, key, before = place.lines, place.mac, place.key, place.before
    number = 0
    fullmatch, is_same = LINE.fullmatch, hmac.compare_digest
    try:
        with open_regular(path) as file:
            readline = file.readline
            while line := readline(LONGEST):
                number += 1
                match = fullmatch(line)
                if match is None:
                    place.lines, place.key = lines, key
                    return _torn(path, number, line, lines, was_cut_off)
                body, sequence, name, mac = match.group(1, 2, 3, 5)
                if name != writer:
                    message = "the line is another writer's: the directory was renamed or copied"
                    raise Found(path, number, "writer", message)
                if sequence != b"%d" % lines:
                    message = f"line {sequence[:20].decode()} stands where line {lines} is expected"
                    raise Found(path, number, "order", message)
                if not key:
                    key = first_key_of(number, match[4])
                    if 0 in claims and is_proved(claims, 0, key):
                        place.on_disk = 0
                expected = line_mac(key, previous, body)
                if not is_same(expected.hex().encode(), mac):
                    message = "the line, the one before it or the key was changed"
                    raise Found(path, number, "changed", message)
                previous, before, key = expected, key, next_key(key)
                lines += 1
                if lines in claims and is_proved(claims, lines, key):
                    place.on_disk = lines
    finally:
        place.lines, place.mac, place.key, place.before = lines, previous, key, before
        del key, before  # no traceback with locals shows them
    return None


def is_proved(claims: Claims, count: int, key: bytes) -> bool:
    """Say whether one of the proofs of a count is what K_count makes."""
    proof = on_disk(key, count)
    return any(hmac.compare_digest(claim, proof) for claim in claims[count])


def _torn(
    path: Path, number: int, line: bytes, lines: int, was_cut_off: Callable[[], bool]
) -> Problem:
    if not line.endswith(b"\n") and _is_beginning(line, lines):
        message = "the last line is not complete: the writer was killed inside it"
    elif b"\0" in line and was_cut_off():
        message = "the machine stopped before this line was on disk"
    else:
        raise Found(path, number, "format", "not a line of the trail format")
    return Problem(path, number, "torn", message)


def _is_beginning(line: bytes, lines: int) -> bool:
    start = f'{{"v":1,"seq":{lines},"t":"'.encode()
    is_printable = len(line) < LONGEST and all(0x20 <= byte <= 0x7E for byte in line)
    return is_printable and (line.startswith(start) or start.startswith(line))
