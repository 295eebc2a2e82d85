"""How much processor time and memory the reading of one file may take.

Every loop whose length a file decides counts its steps here, or asks for the time at each step
that may take long. What no loop sees, a single call that does not return, is bounded by the size
of what it is given, or ends with the process that reads large files, see isolated.py.
"""

from __future__ import annotations

import math
import mmap
import time
from typing import Final
from weakref import WeakSet

from safehold.scan.mapped import Mapped

SHARE: Final = 64 * 2**20
"""Bytes of a file for which `Limits.seconds` and `MEMORY` are meant; a smaller file has as much."""
MEMORY: Final = 512 * 2**20
"""Bytes of memory that reading one share may take, in all processes together."""
# Of that, what the interpreters of these processes take, and what a moment adds that nobody counts.
_INTERPRETERS: Final = 96 * 2**20
_LEAST_ROOM: Final = 32 * 2**20
# What so few bytes unfold to is little.
_WEIGHED: Final = 2**16
STRIDE: Final = 10_000
"""After so many steps the clock is asked; a step takes a microsecond or less, as an opcode does."""
# Seconds in which pages of files stay in memory.
_FORGETTING: Final = 0.005
# Bytes that one match reads in the time of a step; it takes up to 100 nanoseconds for each.
_MATCHED: Final = 16
# Of the time, unpacking may take so much, so that what was unpacked is read as well.
_UNPACKING: Final = 0.5


class Exceeded(Exception):
    """The reading of the file ends at a limit; says which, for people."""


class OutOfTime(Exceeded):
    """The processor time for the file is used up."""


def spent(seconds: float) -> str:
    """Say that so much time is used up."""
    return f"took more than {seconds:g} seconds of processor time: raise limits.seconds"


class Budget:
    """The time of one file, which begins now and is that of this thread; without limit if none."""

    __slots__ = (
        "_ends",
        "_forgets",
        "_had",
        "_left",
        "_mapped",
        "blocks",
        "over",
        "seconds",
        "shares",
    )

    def __init__(self, seconds: float = math.inf, size: int = 0) -> None:
        """Allow so many seconds for each share of a file of ``size`` bytes."""
        self.shares = max(1, -(-size // SHARE))
        self.seconds = seconds * self.shares
        self._ends = time.thread_time() + self.seconds
        self._left = STRIDE
        # Made when there is one: it takes as long as all the rest.
        self._mapped: WeakSet[Mapped] | None = None
        # Whether the time was used up when it was last asked for.
        self.over = False
        # Blocks of memory that the interpreter had when they were first counted for this file.
        self.blocks: int | None = None
        # When pages are let go of again.
        self._forgets = 0.0
        # Memory of this process before anything large was read.
        self._had: int | None = None

    def spend(self, steps: int = 1) -> None:
        """Count steps. Raises OutOfTime."""
        self._left -= steps
        if self._left < 0:
            self.ask()

    def match(self, size: int) -> None:
        """Count bytes that a pattern matched. Raises OutOfTime."""
        self.spend(size // _MATCHED)

    def ask(self) -> None:
        """Ask the clock now, and let go of pages now and then. Raises OutOfTime."""
        self._left = STRIDE
        now = time.thread_time()
        if now > self._forgets:
            self._forgets = now + _FORGETTING
            self.forget()
        if self.over or now > self._ends:
            self.over = True
            raise OutOfTime(spent(self.seconds))

    def keep(self, data: bytes | memoryview) -> None:
        """Count what is about to be read as memory; pages of files are let go of again."""
        if isinstance(data, memoryview) and isinstance(data.obj, Mapped):
            self._mapped = self._mapped or WeakSet()
            self._mapped.add(data.obj)
        if self._had is None and len(data) > _WEIGHED:
            self._had = _own_memory()

    def forget(self) -> None:
        """Let go of the pages of what is kept."""
        for one in tuple(self._mapped or ()):
            one.forget()

    @property
    def room(self) -> int:
        """Bytes of memory that another process may take for this file, as this one stands."""
        more = 0 if self._had is None else _own_memory() - self._had
        return max(_LEAST_ROOM, MEMORY * self.shares - _INTERPRETERS - max(0, more))

    @property
    def left(self) -> float:
        """Seconds that are left; zero once the time was found to be used up."""
        return 0.0 if self.over else max(0.0, self._ends - time.thread_time())

    @property
    def may_unpack(self) -> bool:
        """Whether more may be unpacked; the rest of the time is for reading it."""
        return self.left > self.seconds * (1 - _UNPACKING) or math.isinf(self.seconds)

    def charge(self, seconds: float) -> None:
        """Count time that another process spent for this file."""
        self._ends -= seconds


def _own_memory() -> int:
    """Return the bytes that this process has in memory and no file holds; 0 if nobody tells."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            _, resident, shared, *_ = map(int, file.read(128).split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * mmap.PAGESIZE
