"""Small pickles of nothing but data, told by a few matches; the machine reads all others.

As in a run, see runs.py, the form alone shows that no opcode lacks what it needs. Here it is the
form of all that a file holds: a protocol, at most one frame, one list, dict or tuple, a STOP, and
nothing after it. For such a file the machine would note nothing and name nothing.

Read as a format, it is the only one that is asked, see formats/__init__.py.
"""

from __future__ import annotations

from typing import Final

from safehold.scan import inert
from safehold.scan.runs import (
    LONGEST_CHAIN,
    SOUND,
    TUPLES,
    Patterns,
    index_of,
    patterns,
    puts_among,
)
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

# A larger pickle is stepped over in runs just as well.
LARGEST: Final = 2**16
_DEEPEST: Final = 32
_PROTO, _FRAME, _STOP = 0x80, 0x95, 0x2E
_MARK, _LIST, _DICT, _TUPLE = b"(]}t"
_APPEND, _APPENDS, _SET, _SETS = b"aesu"
# PROTO, FRAME and its length.
_HEAD: Final = 11
_GETS: Final = (b"h", b"j")
_OPENING: Final = b"(]}"


def read(source: Source, visit: Visit) -> str:
    """Read what `is_plain` says is a pickle of nothing but data."""
    if visit.paranoid:
        inert.check(source, visit)
    return "pickle"


def is_plain(data: Data) -> bool:
    """Whether bytes are a pickle of nothing but data; False does not say that they are not."""
    size = len(data)
    if not (8 < size <= LARGEST and SOUND) or data[0] != _PROTO or data[size - 1] != _STOP:
        return False
    protocol, start = data[1], 2
    if not 2 <= protocol <= 5:
        return False
    if data[2] == _FRAME:
        if protocol < 4 or size <= _HEAD or int.from_bytes(data[3:_HEAD], "little") != size - _HEAD:
            return False
        start = _HEAD
    if data[start] not in _OPENING:
        return False
    data = bytes(data)
    forms = patterns(framed=protocol > 3, deep=False)
    return _Form(forms, data).container(start, _DEEPEST) == size - 1 and _memo_is_plain(
        forms, data, start, framed=protocol > 3
    )


class _Form:
    """Follows what no single match covers: where containers begin and end.

    Each method takes an offset and returns the one after what it followed, or 0 if that is none.
    Nothing is followed twice: what could be read in two ways is left to the machine.
    """

    __slots__ = ("_data", "_forms", "_last")

    def __init__(self, forms: Patterns, data: bytes) -> None:
        self._forms = forms
        self._data = data
        # The STOP, which no match may take for a part of something else.
        self._last = len(data) - 1

    def container(self, at: int, depth: int) -> int:
        """Follow one list, dict or tuple."""
        opcode = self._data[at]
        if not depth:
            return 0
        if opcode == _MARK:
            at = self._items(at + 1, depth)
            return self._after_memo(at + 1) if at and self._data[at] == _TUPLE else 0
        at = self._after_memo(at + 1)
        if opcode == _LIST:
            return self._list(at, depth)
        return self._dict(at, depth) if opcode == _DICT else 0

    def _list(self, at: int, depth: int) -> int:
        data = self._data
        if data[at] != _MARK:
            # Without an item it is empty, and what follows is no part of it.
            return self._one(at, depth, _APPEND) or (0 if data[at] in _OPENING else at)
        while data[at] == _MARK:
            at = self._items(at + 1, depth)
            if not at or data[at] != _APPENDS:
                return 0
            at += 1
        return at

    def _dict(self, at: int, depth: int) -> int:
        data, forms = self._data, self._forms
        if data[at] != _MARK:
            key = forms.key.match(data, at, self._last)
            if key is None:
                return at
            after = key.end()
            return self._one(after, depth, _SET) or (0 if data[after] in _OPENING else at)
        while data[at] == _MARK:
            at = self._pairs(at + 1)
            while data[at] != _SETS:
                key = forms.key.match(data, at, self._last)
                if key is None or data[key.end()] not in _OPENING:
                    return 0
                at = self.container(key.end(), depth - 1)
                if not at:
                    return 0
                at = self._pairs(at)
            at += 1
        return at

    def _one(self, at: int, depth: int, opcode: int) -> int:
        """Follow the one value of a list or dict, and the opcode that puts it there."""
        data = self._data
        if data[at] in _OPENING:
            at = self.container(at, depth - 1)
        else:
            value = self._forms.single.match(data, at, self._last)
            at = 0 if value is None else value.end()
        return at + 1 if at and data[at] == opcode else 0

    def _items(self, at: int, depth: int) -> int:
        data, values = self._data, self._forms.values
        while True:
            match = values.match(data, at, self._last)
            at = at if match is None else match.end()
            if data[at] not in _OPENING:
                return at
            at = self.container(at, depth - 1)
            if not at:
                return 0

    def _pairs(self, at: int) -> int:
        match = self._forms.pairs.match(self._data, at, self._last)
        return at if match is None else match.end()

    def _after_memo(self, at: int) -> int:
        match = self._forms.maybe.match(self._data, at, self._last)
        return at if match is None else match.end()


def _memo_is_plain(forms: Patterns, data: bytes, start: int, *, framed: bool) -> bool:
    """Whether each GET finds what was put before it, and no more than a short chain of tuples."""
    gets = set(forms.gets.findall(data, start))
    gets.discard(b"")
    if not gets:
        return True
    indexes = set(map(index_of, gets))
    most = max(indexes)
    count = 0
    tuples: dict[int, int] = {}
    # Once all of them are set, no GET can miss; PUTs that set one again are looked for afterwards.
    for match in forms.memos.finditer(data, start):
        code = match[1]
        if code[:1] in _GETS:
            if index_of(code) >= count:
                return False
            continue
        if not code:
            return False
        if code[0] in TUPLES:
            if count in indexes:
                tuples[count] = code[0]
            code = code[1:]
        if not framed and index_of(code) != count:
            return False
        count += 1
        if count > most:
            break
    makers = tuples.values()
    if len(makers) > LONGEST_CHAIN or _TUPLE in makers:
        return False
    return framed or not puts_among(forms, data, match.end(), len(data), indexes)
