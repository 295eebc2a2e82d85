"""GGUF: values by key, among them chat templates, then tensors whose places must fit the file."""

from __future__ import annotations

from typing import Any, Final, Literal

from safehold.scan import rules
from safehold.scan.templates import check_template, is_template
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

_MAGIC: Final = b"GGUF"
FIRSTS: Final = _MAGIC[:1]
_WIDTHS: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_DEEPEST: Final = 4
_MOST_ITEMS: Final = 4_000_000
# A value takes as long as so many steps of the budget.
_STEPS: Final = 4
_MOST_DIMENSIONS: Final = 8
_LONGEST_TEXT: Final = 2**21
# Items in a block and bytes of a block; kinds that are not listed are not measured.
_BLOCKS: Final = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


class _BrokenError(ValueError):
    pass


def read(source: Source, visit: Visit) -> str | None:
    """Check templates and extents; None for anything else."""
    if not source.starts(_MAGIC):
        return None
    reader = _Reader(source, visit)
    try:
        reader.read()
    except _BrokenError as error:
        visit.note(source, rules.UNREADABLE_STREAM, f"the model is broken: {error}")
    return "gguf"


class _Reader:
    def __init__(self, source: Source, visit: Visit) -> None:
        self._source = source
        self._visit = visit
        self._data: Data = source.data
        self._at = len(_MAGIC)
        self._order: Literal["little", "big"] = "little"
        self._narrow = False
        self._left = _MOST_ITEMS
        self._alignment = 32

    def read(self) -> None:
        version = self._number(4)
        if version & 0xFFFF == 0:
            self._order = "big"
            version = int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in (1, 2, 3):
            raise _BrokenError("a version that is not known here")
        self._narrow = version == 1
        tensors, values = self._size(), self._size()
        seen: set[str] = set()
        for _ in range(values):
            self._step()
            key = self._text()
            if key in seen:
                raise _BrokenError("a key stands in it twice")
            seen.add(key)
            self._value(key, self._number(4), 0)
        self._tensors(tensors)

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _BrokenError("more values than any model needs")
        self._visit.budget.spend(_STEPS)

    def _number(self, width: int) -> int:
        start = self._at
        self._at += width
        if self._at > len(self._data):
            raise _BrokenError("it ends early")
        return int.from_bytes(self._data[start : self._at], self._order)

    def _size(self) -> int:
        return self._number(4 if self._narrow else 8)

    def _text(self) -> str:
        length = self._size()
        start = self._at
        self._at += length
        if self._at > len(self._data):
            raise _BrokenError("a text is longer than the file")
        stop = min(self._at, start + _LONGEST_TEXT)
        return bytes(self._data[start:stop]).decode("utf-8", "backslashreplace")

    def _value(self, key: str, kind: int, depth: int) -> None:
        if kind == _STRING:
            self._check(key, self._text())
        elif kind == _ARRAY:
            self._array(key, depth + 1)
        elif kind in _WIDTHS:
            value: Any = self._number(_WIDTHS[kind])
            if key == "general.alignment":
                if kind != 4 or value <= 0 or value & (value - 1) or value > 2**20:
                    raise _BrokenError("an alignment that is none")
                self._alignment = value
        else:
            raise _BrokenError("a value of an unknown type")

    def _array(self, key: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise _BrokenError("arrays are nested too deeply")
        kind, count = self._number(4), self._size()
        if kind in _WIDTHS:
            self._at += count * _WIDTHS[kind]
            if self._at > len(self._data):
                raise _BrokenError("an array is longer than the file")
            return
        for _ in range(count):
            self._step()
            self._value(key, kind, depth)

    def _check(self, key: str, text: str) -> None:
        """Every text counts: loaders take templates from keys of several names."""
        if is_template(text) and (len(text) > 64 or "chat_template" in key):
            check_template(self._source, self._visit, text, f"the template {key[:100]}")

    def _tensors(self, count: int) -> None:
        end, measured, aligned = 0, True, True
        for _ in range(count):
            self._step()
            self._text()
            dimensions = self._number(4)
            if dimensions > _MOST_DIMENSIONS:
                raise _BrokenError("a tensor of too many dimensions")
            items = 1
            for _ in range(dimensions):
                items *= self._size()
            kind, offset = self._number(4), self._number(8)
            if items >= 2**63:
                raise _BrokenError("a tensor whose size does not fit any number")
            block, width = _BLOCKS.get(kind, (1, 0))
            end = max(end, offset - (-items // block) * width)
            measured = measured and width > 0 and items > 0
            aligned = aligned and offset % self._alignment == 0
        start = -(-self._at // self._alignment) * self._alignment
        if count and start + end > len(self._data):
            raise _BrokenError("a tensor lies outside the file")
        if not aligned:
            raise _BrokenError("a tensor that is not aligned")
        rest = self._data[start + end :]
        if measured and len(rest) > self._alignment:
            detail = {"bytes": len(rest)}
            message = "bytes after the last tensor"
            self._visit.note(self._source, rules.TRAILING_DATA, message, start + end, detail)
            inner = self._source.inner(rest, "", f"{self._source.member or ''}@{start + end}")
            self._visit.scan(inner)
