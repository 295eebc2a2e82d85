"""Numbers and addresses of an HDF5 file, bounded by its end and by a count of steps."""

from __future__ import annotations

from typing import Final

from safehold.scan.budget import Budget
from safehold.scan.values import Data

_MOST_STEPS: Final = 1_000_000
# One takes as long as so many of the budget's.
_STEPS: Final = 4


class BrokenError(ValueError):
    """The file is not what it says."""


class TooManyError(Exception):
    """Reading on would take more steps than any model needs."""


class Bytes:
    """A file, the width of its offsets and lengths, and where its addresses count from."""

    def __init__(self, data: Data, base: int, offsets: int, lengths: int, budget: Budget) -> None:
        if offsets not in (2, 4, 8) or lengths not in (2, 4, 8):
            raise BrokenError("addresses of an unknown width")
        self.data = data
        self.offsets = offsets
        self.lengths = lengths
        self.base = base
        self._budget = budget
        self._left = _MOST_STEPS

    def step(self, count: int = 1) -> None:
        """Count steps. Raises TooManyError, or OutOfTime."""
        self._left -= count
        if self._left < 0:
            raise TooManyError
        self._budget.spend(_STEPS * count)

    def number(self, at: int, width: int) -> int:
        """Return a number. Raises BrokenError outside the file."""
        if at < 0 or at + width > len(self.data):
            raise BrokenError("something stands outside the file")
        return int.from_bytes(self.data[at : at + width], "little")

    def address(self, at: int) -> int:
        """Return an address as an offset in the file. Raises BrokenError for one outside."""
        found = self.find(at)
        if found is None:
            raise BrokenError("an address that is missing")
        return found

    def find(self, at: int) -> int | None:
        """Return an address as an offset in the file; None for the one that means none."""
        value = self.number(at, self.offsets)
        if value == (1 << 8 * self.offsets) - 1:
            return None
        if value + self.base >= len(self.data):
            raise BrokenError("an address outside the file")
        return value + self.base

    def take(self, start: int, length: int) -> bytes:
        """Return bytes. Raises BrokenError outside the file."""
        if start < 0 or length < 0 or start + length > len(self.data):
            raise BrokenError("something stands outside the file")
        return bytes(self.data[start : start + length])

    def text(self, start: int, most: int = 4096) -> bytes:
        """Return what stands before the next NUL."""
        if start < 0 or start >= len(self.data):
            raise BrokenError("something stands outside the file")
        return bytes(self.data[start : start + most]).split(b"\0", 1)[0]

    def expect(self, at: int, sign: bytes) -> None:
        """Raise BrokenError unless a block begins here."""
        if bytes(self.data[at : at + len(sign)]) != sign:
            raise BrokenError(f"no {sign.decode()} where one is told")
