"""Check a trail with several processes: writers side by side, and the segments of each.

A process begins where the lines before its segment say that they end, and what it comes to has to
be what the next one began with. If anything is not so the writer is read again from its first
line, which names the problem: a result is the same as that of `check_trail`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Final

from safehold.keys import Keyring
from safehold.observe.chain import key_after
from safehold.observe.check import Check, homes
from safehold.observe.following import LINE, LONGEST, Claims, Place, follow, is_proved
from safehold.observe.problems import Found, Problem, Verified, open_regular

_LEAST_LINE: Final = 100
_MAC: Final = b'"mac":"'

_End = tuple[Place, Problem | None] | None
"""What a process came to, and a torn last line; None if something did not hold."""


def check_in_parallel(directory: Path, keyring: Keyring, jobs: int) -> Iterator[Verified]:
    """Check as `check_trail` does, with so many processes. Raises OSError."""
    # Forked where that is possible: nothing has to be imported again, and no thread is there.
    methods = get_all_start_methods()
    context = get_context("fork" if "fork" in methods else None)
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        found: list[Verified | _Reading] = []
        for name, problem in homes(directory):
            if problem is not None:
                found.append(problem)
            else:
                reading = _Reading(Check(directory / name, keyring), [])
                reading.start(pool)
                found.append(reading)
        for one in found:
            yield one if isinstance(one, Verified) else one.result()


@dataclass(slots=True)
class _Reading:
    """One writer that is read in pieces, each with the place at which it begins."""

    check: Check
    pieces: list[tuple[Place, Future[_End]]]

    def start(self, pool: ProcessPoolExecutor) -> None:
        """Hand out the pieces, as far as the lines say where they begin."""
        writer = os.fsencode(self.check.directory.name)
        try:
            self.check.begin()
            paths = list(self.check.segments())
            place = _first(self.check, paths[0])
            for number, path in enumerate(paths):
                if number:
                    place = _next(place, paths[number - 1], path)
                future = pool.submit(_read, path, writer, place, self.check.claims)
                self.pieces.append((place, future))
        except (Found, OSError):
            # Reading it from the first line on says why.
            for _, future in self.pieces:
                future.cancel()
            self.pieces.clear()

    def result(self) -> Verified:
        """Return what holds, or what reading it from the first line on says."""
        check = self.check
        if self.pieces and self._holds():
            return check.held()
        return Check(check.directory, check.keyring).result()

    def _holds(self) -> bool:
        reached = replace(self.pieces[0][0])
        torn = None
        for begin, future in self.pieces:
            if torn is not None or (begin.lines, begin.mac) != (reached.lines, reached.mac):
                return False
            try:
                end = future.result()
            except (BrokenProcessPool, OSError):
                return False
            if end is None:
                return False
            proved = reached.on_disk
            reached, torn = end
            reached.on_disk = max(proved, reached.on_disk)
        self.check.place, self.check.torn = reached, torn
        try:
            self.check.compare()
        except (Found, OSError):
            return False
        return True


def _first(check: Check, path: Path) -> Place:
    """Return the place before the first line. Raises Found."""
    with open_regular(path) as file:
        match = LINE.fullmatch(file.readline(LONGEST))
    if match is None:
        raise _unknown(path)
    place = Place(key=check.open(path, 1, match[4]))
    if 0 in check.claims and is_proved(check.claims, 0, place.key):
        place.on_disk = 0
    return place


def _next(before: Place, former: Path, path: Path) -> Place:
    """Return the place at which a segment says that it begins. Raises Found."""
    with open_regular(path) as file:
        match = LINE.fullmatch(file.readline(LONGEST))
    with open_regular(former) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 80))
        mac = file.read().rpartition(_MAC)[2][:64]
    count = int(match[2][:18]) - before.lines if match is not None else 0
    if not 0 < count <= size // _LEAST_LINE:  # nobody has us look for a key without end
        raise _unknown(path)
    try:
        previous = bytes.fromhex(mac.decode())
    except ValueError as error:
        raise _unknown(path) from error
    return Place(before.lines + count, previous, key_after(before.key, count))


def _unknown(path: Path) -> Found:
    return Found(path, 1, "format", "it is not said where the segment begins")


def _read(path: Path, writer: bytes, place: Place, claims: Claims) -> _End:
    try:
        torn = follow(path, writer, place, claims, first_key_of=_no_key, was_cut_off=lambda: False)
    except (Found, OSError):
        return None
    return place, torn


def _no_key(number: int, event: bytes) -> bytes:
    raise Found(Path(), number, "key", f"no key for {len(event)} bytes")
