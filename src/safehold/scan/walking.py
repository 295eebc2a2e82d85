"""JSON that is too large to be kept: walked from bracket to bracket, with no tree built of it.

Rows of numbers and short texts are stepped over by one pattern, up to a thousand at a time. None
of the patterns is possessive, as those are not sound in every CPython that is supported, see
runs.py; the numbers of repeats are bounded instead.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from typing import Final

from safehold.scan.budget import Budget
from safehold.scan.documents import encoding_of
from safehold.scan.values import Data

# So many keys, brackets, long texts and rows of short values: some seconds.
_MOST_STEPS: Final = 1_500_000
# A row, and a piece of the text that is decoded, take as long as so many steps of the budget.
_STEPS: Final = 100
_DEEPEST: Final = 10_000
_MOST_KEPT: Final = 64
_LONGEST_KEY: Final = 1024
_CHUNK: Final = 2**20

_BLANK: Final = rb"[ \t\r\n]*"
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_SMALL: Final = _NUMBER.replace(b"]*", b"]{0,40}").replace(b"]+", b"]{1,40}")
_SHORT: Final = rb'"[^"\\\x00-\x1f]{0,200}"'
_PLAIN: Final = rb"(?:%b|%b|true|false|null|NaN|-?Infinity)" % (_SMALL, _SHORT)
_PAIR: Final = rb"%b%b%b:%b%b%b" % (_BLANK, _SHORT, _BLANK, _BLANK, _PLAIN, _BLANK)
_SPACE: Final = re.compile(_BLANK)
_VALUE: Final = re.compile(rb"%b|true|false|null|NaN|-?Infinity" % _NUMBER)
_ITEMS: Final = re.compile(rb"(?:%b%b%b,){1,1000}" % (_BLANK, _PLAIN, _BLANK))
_PAIRS: Final = re.compile(rb"(?:%b,){1,1000}" % _PAIR)
# Records in a row, as tables are written.
_RECORDS: Final = re.compile(
    rb"(?:%b\{%b(?:,%b){0,100}\}%b,){1,1000}" % (_BLANK, _PAIR, _PAIR, _BLANK)
)
_PART: Final = re.compile(
    rb'(?:[^"\\\x00-\x1f]{1,60000}|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})){1,1000}'
)
_LEFT, _RIGHT = b"{["[0], b"{["[1]
_CLOSING: Final = {_LEFT: b"}"[0], _RIGHT: b"]"[0]}
_QUOTE, _COMMA, _COLON = b'",:'


class BrokenError(ValueError):
    """It is no JSON; the message says what is wrong, ``offset`` where."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class TooMuchError(Exception):
    """It has more parts than are looked at, or is nested deeper."""


Seen = Callable[[str, int, int], None]


def walk(
    data: Data,
    seen: Seen | None = None,
    keys: frozenset[str] = frozenset(),
    budget: Budget | None = None,
) -> set[str]:
    """Walk a document to its end and return the keys of its outermost object, the first of them.

    Args:
        data: the document, in UTF-8.
        seen: called with a key and the place of its value, for ``keys``; not for keys in that
            value. Keys are looked at in objects of any depth.
        keys: names of keys, and beginnings of them that end with a slash.
        budget: the time of the file.

    Raises:
        BrokenError: it is no JSON.
        TooMuchError: walking it would take too long.
        OutOfTime: the time for the file is used up.
    """
    if budget is None:
        budget = Budget()
    name = encoding_of(data)
    if name not in ("utf-8", "utf-8-sig"):
        raise TooMuchError(f"in {name}")
    _check_text(data, budget)
    walker = _Walker(data, seen, keys, budget)
    walker.walk(3 if name == "utf-8-sig" else 0)
    return walker.top


def _check_text(data: Data, budget: Budget) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _CHUNK):
            budget.spend(_STEPS)
            decoder.decode(data[start : start + _CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise BrokenError("a text that is not UTF-8", 0) from error


class _Walker:
    def __init__(self, data: Data, seen: Seen | None, keys: frozenset[str], budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self._size = len(data)
        self._seen = seen
        self._keys = keys
        self._starts = tuple(key for key in keys if key.endswith("/"))
        self._left = _MOST_STEPS
        self._open = bytearray()
        # The key whose value is being walked, where that begins, and how deep.
        self._watched: tuple[str, int, int] | None = None
        self.top: set[str] = set()

    def walk(self, at: int) -> None:
        at = self._value(self._blank(at))
        while self._open:
            self._step()
            at = self._blank(at)
            byte = self._byte(at)
            if byte == _CLOSING[self._open[-1]]:
                self._open.pop()
                at += 1
                self._end(at)
            elif byte == _COMMA:
                at = self._item(self._blank(at + 1))
            else:
                raise BrokenError("a bracket that is not closed", at)
        at = self._blank(at)
        if at < self._size:
            raise BrokenError("bytes after the end of the document", at)

    def _step(self) -> None:
        self._budget.spend(_STEPS)
        self._left -= 1
        if self._left < 0:
            raise TooMuchError("more parts than are looked at")

    def _blank(self, at: int) -> int:
        found = _SPACE.match(self._data, at)
        return found.end() if found else at

    def _byte(self, at: int) -> int:
        if at >= self._size:
            raise BrokenError("the document ends early", at)
        return self._data[at]

    def _value(self, at: int) -> int:
        """Return where a value ends, or, of one with brackets, its first item or its beginning."""
        byte = self._byte(at)
        if byte in _CLOSING:
            return self._begin(at, byte)
        if byte == _QUOTE:
            at = self._text(at)
        else:
            found = _VALUE.match(self._data, at)
            if found is None:
                raise BrokenError("no value", at)
            at = found.end()
        self._end(at)
        return at

    def _begin(self, at: int, byte: int) -> int:
        if len(self._open) >= _DEEPEST:
            raise TooMuchError(f"nested deeper than {_DEEPEST} levels")
        self._open.append(byte)
        inner = self._blank(at + 1)
        if self._byte(inner) == _CLOSING[byte]:
            return inner
        return self._item(inner)

    def _item(self, at: int) -> int:
        """Step over an item, and over the plain ones before it."""
        while True:
            self._step()
            inside = self._open[-1]
            found = self._row(at, inside)
            if found is not None:
                at = self._blank(found.end())
                continue
            if inside == _LEFT:
                at = self._key(at)
            byte = self._byte(at)
            if byte not in _CLOSING:
                return self._value(at)
            if len(self._open) >= _DEEPEST:
                raise TooMuchError(f"nested deeper than {_DEEPEST} levels")
            self._open.append(byte)
            inner = self._blank(at + 1)
            if self._byte(inner) == _CLOSING[byte]:
                return inner
            at = inner

    def _row(self, at: int, inside: int) -> re.Match[bytes] | None:
        """Return items that may be stepped over together."""
        if inside == _RIGHT:
            found = _ITEMS.match(self._data, at)
            if found is None and self._seen is None and self._byte(at) == _LEFT:
                found = _RECORDS.match(self._data, at)
            return found
        if self._seen is not None or len(self._open) == 1:
            return None
        return _PAIRS.match(self._data, at)

    def _key(self, at: int) -> int:
        """Return where the value of a key begins."""
        if self._byte(at) != _QUOTE:
            raise BrokenError("no key", at)
        stop = self._text(at)
        colon = self._blank(stop)
        if self._byte(colon) != _COLON:
            raise BrokenError("a key without a value", colon)
        start = self._blank(colon + 1)
        outermost = len(self._open) == 1 and len(self.top) < _MOST_KEPT
        if (outermost or self._seen is not None) and stop - at < _LONGEST_KEY:
            raw = bytes(self._data[at:stop])
            name = json.loads(raw) if b"\\" in raw else raw[1:-1].decode("utf-8")
            if outermost:
                self.top.add(name)
            if self._watched is None and (name in self._keys or name.startswith(self._starts)):
                self._watched = (name, start, len(self._open))
        return start

    def _text(self, at: int) -> int:
        at += 1
        while self._byte(at) != _QUOTE:
            self._step()
            found = _PART.match(self._data, at)
            if found is None:
                raise BrokenError("a text that is broken", at)
            at = found.end()
        return at + 1

    def _end(self, at: int) -> None:
        """A value ends here: say so if it was waited for."""
        if self._watched is None or self._seen is None:
            return
        name, start, depth = self._watched
        if len(self._open) == depth:
            self._watched = None
            self._seen(name, start, at)
