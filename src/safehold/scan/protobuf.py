"""Protocol buffers, walked by the numbers of their fields: nothing is built from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from safehold.scan.budget import Budget
from safehold.scan.values import Data

# A graph of 100,000 operations has a million.
_MOST_FIELDS: Final = 2_000_000
# After so many fields the time is asked for, as if each took a few steps.
_TOGETHER: Final = 2048
_STEPS: Final = 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class BrokenError(ValueError):
    """The bytes are no message."""


class TooManyError(Exception):
    """The message has more fields than any model needs."""


class Field(NamedTuple):
    """One field: its number, its value if it is a number, and where its bytes stand."""

    number: int
    value: int | None
    start: int
    stop: int


class Message:
    """The bytes of a message and of those in it, with one budget of fields for all of them."""

    def __init__(self, data: Data, budget: Budget | None = None, most: int = _MOST_FIELDS) -> None:
        self.data = data
        self._budget = Budget() if budget is None else budget
        self._left = most

    def fields(self, start: int = 0, stop: int | None = None) -> Iterator[Field]:
        """Yield the fields between two offsets, in their order.

        Raises:
            BrokenError: they do not end where the message does, or have a type that is none.
            TooManyError: there are more than any model needs.
            OutOfTime: the time for the file is used up.
        """
        at, end = start, len(self.data) if stop is None else stop
        while at < end:
            found = self._field(at, end)
            at = found.stop
            yield found

    def first(self, number: int, start: int, stop: int, most: int) -> Field | None:
        """Return the first field of a number, if it is among so many; raises as `fields` does."""
        at = start
        for _ in range(most):
            if at >= stop:
                break
            found = self._field(at, stop)
            if found.number == number:
                return found
            at = found.stop
        return None

    def _field(self, at: int, end: int) -> Field:
        self._left -= 1
        if self._left < 0:
            raise TooManyError
        if not self._left % _TOGETHER:
            self._budget.spend(_STEPS * _TOGETHER)
        key, at = self._varint(at, end)
        number, wire = key >> 3, key & 7
        if not number:
            raise BrokenError("a field without a number")
        if wire == _BYTES:
            length, at = self._varint(at, end)
            found = Field(number, None, at, at + length)
        elif wire == _VARINT:
            value, after = self._varint(at, end)
            found = Field(number, value, at, after)
        elif wire in (_FIXED32, _FIXED64):
            found = Field(number, None, at, at + (4 if wire == _FIXED32 else 8))
        else:
            raise BrokenError("a field of an unknown type")
        if found.stop > end:
            raise BrokenError("a field is longer than its message")
        return found

    def bytes_of(self, field: Field, most: int) -> bytes:
        """Return the content of a field, or its beginning if it is longer than ``most``."""
        return bytes(self.data[field.start : min(field.stop, field.start + most)])

    def text(self, field: Field, most: int = 1024) -> str:
        """Return the content of a field as text, or its beginning."""
        return self.bytes_of(field, most).decode("utf-8", "backslashreplace")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 70:
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, at
            shift += 7
        raise BrokenError("a number that does not end")
