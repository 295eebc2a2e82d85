"""UBJSON as xgboost writes and reads it: lengths are always ``L``, arrays may be of one type.

https://ubjson.org/, of which xgboost takes a part: no objects with a type or a count, no numbers
as text, no ``N`` between values. What xgboost's reader refuses is broken here.
"""

from __future__ import annotations

from typing import Any, Final

from safehold.scan.budget import Budget
from safehold.scan.values import Data

_MOST_STEPS: Final = 1_500_000
# A value takes as long as so many steps of the budget.
_STEPS: Final = 3
_DEEPEST: Final = 64
# Objects and texts are kept so deep; arrays never are.
_KEPT_DEPTH: Final = 4
_KEPT_KEYS: Final = 100
_LONGEST_TEXT: Final = 256
_WIDTHS: Final = {
    b"i"[0]: 1, b"U"[0]: 1, b"I"[0]: 2, b"l"[0]: 4, b"L"[0]: 8, b"d"[0]: 4, b"D"[0]: 8,
    b"Z"[0]: 0, b"T"[0]: 0, b"F"[0]: 0, b"C"[0]: 1,
}  # fmt: skip
_TYPED: Final = frozenset(b"iUIlLdD")
_OBJECT, _ARRAY, _TEXT = b"{[S"
_END_OBJECT, _END_ARRAY, _TYPE, _COUNT, _LONG = b"}]$#L"


class BrokenError(ValueError):
    """It is no such file; the message says what is wrong, ``offset`` where."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class TooMuchError(Exception):
    """It has more values than are looked at."""


class _Frame:
    """An object or an array that was begun; ``left`` items are to come, -1 if nobody says."""

    def __init__(self, kept: dict[str, Any] | None, left: int, *, is_object: bool) -> None:
        self.kept = kept
        self.left = left
        self.is_object = is_object


def read(data: Data, budget: Budget | None = None) -> tuple[dict[str, Any], int]:
    """Return the outer objects of a file that begins with one, and where it ends.

    Texts of these objects are in it as far as they are short; of anything else only that it is
    there.

    Raises:
        BrokenError: it is cut off, or no such file.
        TooMuchError: it has more values than are looked at.
        OutOfTime: the time for the file is used up.
    """
    return _Reader(data, Budget() if budget is None else budget).read()


class _Reader:
    def __init__(self, data: Data, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self._size = len(data)
        self._at = 0
        self._left = _MOST_STEPS

    def read(self) -> tuple[dict[str, Any], int]:
        if self._byte() != _OBJECT:
            raise BrokenError("no object", 0)
        top: dict[str, Any] = {}
        frames = [_Frame(top, -1, is_object=True)]
        while frames:
            self._budget.spend(_STEPS)
            self._left -= 1
            if self._left < 0:
                raise TooMuchError
            frame = frames[-1]
            key = self._key(frame) if self._goes_on(frame) else None
            if key is None:
                frames.pop()
                continue
            inner = self._value(frame, key)
            if inner is not None:
                if len(frames) >= _DEEPEST:
                    raise BrokenError("values are nested too deeply", self._at)
                if len(frames) >= _KEPT_DEPTH or not inner.is_object:
                    inner.kept = None
                frames.append(inner)
        return top, self._at

    def _goes_on(self, frame: _Frame) -> bool:
        """Whether another item follows; steps over the end if none does."""
        if frame.left >= 0:
            frame.left -= 1
            return frame.left >= 0
        if self._peek() == (_END_OBJECT if frame.is_object else _END_ARRAY):
            self._at += 1
            return False
        return True

    def _key(self, frame: _Frame) -> str:
        return self._text() if frame.is_object else ""

    def _value(self, frame: _Frame, key: str) -> _Frame | None:
        """Read a value; return it if it has others in it."""
        kind = self._byte()
        value: Any = True
        inner: _Frame | None = None
        if kind == _TEXT:
            value = self._text()
        elif kind == _OBJECT:
            value = {}
            inner = _Frame(value, -1, is_object=True)
        elif kind == _ARRAY:
            inner = self._array()
        elif kind in _WIDTHS:
            self._skip(_WIDTHS[kind])
        else:
            raise BrokenError("a value of an unknown type", self._at - 1)
        if frame.kept is not None and len(frame.kept) < _KEPT_KEYS:
            frame.kept[key] = value
        return inner

    def _array(self) -> _Frame | None:
        """Step over an array of one type; return any other."""
        if self._peek() == _TYPE:
            self._at += 1
            kind = self._byte()
            if kind not in _TYPED:
                raise BrokenError("an array of an unknown type", self._at - 1)
            self._skip(self._count() * _WIDTHS[kind])
            return None
        if self._peek() == _COUNT:
            return _Frame(None, self._count(), is_object=False)
        return _Frame(None, -1, is_object=False)

    def _count(self) -> int:
        if self._byte() != _COUNT:
            raise BrokenError("an array without a length", self._at - 1)
        return self._length()

    def _length(self) -> int:
        if self._byte() != _LONG:
            raise BrokenError("a length of another type", self._at - 1)
        start = self._at
        self._skip(8)
        length = int.from_bytes(self._data[start : self._at], "big", signed=True)
        if length < 0:
            raise BrokenError("a negative length", start)
        return length

    def _text(self) -> str:
        length = self._length()
        start = self._at
        self._skip(length)
        stop = min(self._at, start + _LONGEST_TEXT)
        return bytes(self._data[start:stop]).decode("utf-8", "backslashreplace")

    def _skip(self, width: int) -> None:
        if width > self._size - self._at:
            raise BrokenError("it ends early", self._size)
        self._at += width

    def _byte(self) -> int:
        self._skip(1)
        return self._data[self._at - 1]

    def _peek(self) -> int:
        if self._at >= self._size:
            raise BrokenError("it ends early", self._size)
        return self._data[self._at]
