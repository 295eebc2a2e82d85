"""Pickles of nothing but data, told by a few matches; the machine reads all others.

As in a run, see runs.py, the form alone shows that no opcode lacks what it needs. Here it is the
form of all that a file holds: a protocol, frames that cover the rest, one list, dict or tuple, a
STOP, and nothing after it. For such a file the machine would note nothing and name nothing.

Read as a format, it is the only one that is asked, see formats/__init__.py.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from safehold.scan import inert
from safehold.scan.runs import (
    LARGE,
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

# The machine may hold so many values, see machine.py; fewer that take memory are in a file of twice
# as many bytes, unless most of it is containers. GETs of many indexes take memory here.
LARGEST: Final = 2**23
_ANY_VALUES: Final = 2**22
_DEAR: Final = (b"]", b"}", b"\x85", b"\x86", b"\x87", b"j")
_MOST_DEAR: Final = 2**20
_DEEPEST: Final = 32
# After so many containers in each other, patterns for deeper nesting are compiled.
_MOST_SHALLOW: Final = 10_000
_PROTO, _FRAME, _STOP = 0x80, 0x95, 0x2E
_MARK, _LIST, _DICT, _TUPLE = b"(]}t"
_APPEND, _APPENDS, _SET, _SETS = b"aesu"
# Of a tuple without a mark.
_MOST_ITEMS: Final = 3
# FRAME and its length.
_FRAMING: Final = 9
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
    protocol = data[1]
    if not 2 <= protocol <= 5:
        return False
    data = bytes(data)
    if size > _ANY_VALUES and sum(map(data.count, _DEAR)) > _MOST_DEAR:
        return False
    framed = protocol > 3
    form = _Form(patterns(framed=framed, deep=False), data, framed=framed)
    start = form.framed(2)
    if not start or data[start] not in _OPENING:
        return False
    return form.ends(form.container(start, _DEEPEST)) and _memo_is_plain(
        form.parts(), data, framed=framed
    )


class _Form:
    """Follows what no single match covers: where containers and frames begin and end.

    Each method takes an offset and returns the one after what it followed, or 0 if that is none.
    Nothing is followed twice: what could be read in two ways is left to the machine.
    """

    __slots__ = (
        "_begins",
        "_data",
        "_deep",
        "_empty_dict",
        "_end",
        "_forms",
        "_framed",
        "_last",
        "_left",
    )

    def __init__(self, forms: Patterns, data: bytes, *, framed: bool) -> None:
        self._forms = forms
        self._data = data
        # The STOP, which no match may take for a part of something else.
        self._last = len(data) - 1
        self._framed = framed
        # Where opcodes begin that are no frames, and the end of the last frame.
        self._begins = [2]
        self._end = 0
        self._deep = len(data) < LARGE
        self._left = _MOST_SHALLOW
        # Where the last pair ended, if its value was an empty dict.
        self._empty_dict = 0

    def parts(self) -> list[tuple[int, int]]:
        """Return where the opcodes stand, frames left out."""
        stops = [begin - _FRAMING for begin in self._begins[1:]]
        rows = zip(self._begins, [*stops, len(self._data)], strict=True)
        return [(start, stop) for start, stop in rows if start < stop]

    def ends(self, at: int) -> bool:
        """Whether the STOP is here, and at the end of the last frame."""
        return at == self._last and self._end in (0, self._last + 1)

    def framed(self, at: int) -> int:
        """Step over a FRAME that stands where the one before it ends, and that ends in time."""
        data = self._data
        if data[at] != _FRAME:
            return at
        after = at + _FRAMING
        end = after + int.from_bytes(data[at + 1 : after], "little")
        if not self._framed or self._end not in (0, at) or (at > 2 and not self._end):
            return 0
        if end > len(data) or end <= after:
            return 0
        self._end = end
        self._begins.append(after)
        return after

    def container(self, at: int, depth: int) -> int:
        """Follow one list, dict or tuple."""
        opcode = self._data[at]
        if depth <= 0:
            return 0
        self._left -= 1
        if self._left < 0 and not self._deep:
            self._deep = True
            self._forms = patterns(framed=self._framed, deep=True)
        if opcode == _MARK:
            at = self._items(at + 1, depth)
            return self._after_memo(at + 1) if at and self._data[at] == _TUPLE else 0
        at = self._after_memo(at + 1)
        if not at:
            return 0
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
            at = self.framed(at + 1)
        return at

    def _dict(self, at: int, depth: int) -> int:
        data = self._data
        if data[at] != _MARK:
            key = self._forms.key.match(data, at, self._last)
            if key is None:
                return at
            after = self.framed(key.end())
            return self._one(after, depth, _SET) or (0 if data[after] in _OPENING else at)
        while data[at] == _MARK:
            at = self._pairs(at + 1, depth)
            while at and data[at] != _SETS:
                # After an empty dict, the next key and value may be its only ones.
                empty = at == self._empty_dict
                at = self._pair(at, depth)
                if at and data[at] == _SET:
                    at = self.framed(at + 1) if empty else 0
                at = at and self._pairs(at, depth)
            if not at:
                return 0
            at = self.framed(at + 1)
        return at

    def _pair(self, at: int, depth: int) -> int:
        """Follow a key and its value, between which a frame may end."""
        key = self._forms.key.match(self._data, at, self._last)
        at = 0 if key is None else self.framed(key.end())
        return at and self._value(at, depth)

    def _value(self, at: int, depth: int) -> int:
        """Follow one value."""
        if self._data[at] in _OPENING:
            return self.container(at, depth - 1)
        value = self._forms.single.match(self._data, at, self._last)
        return 0 if value is None else self.framed(value.end())

    def _one(self, at: int, depth: int, opcode: int) -> int:
        """Follow the one value of a list or dict, and the opcode that puts it there."""
        at = at and self._value(at, depth)
        return self.framed(at + 1) if at and self._data[at] == opcode else 0

    def _items(self, at: int, depth: int) -> int:
        data, key = self._data, self._forms.key
        if data[at] == _FRAME:
            at = self.framed(at)
        while at:
            match = self._forms.values.match(data, at, self._last)
            lists, dicts = (-1, -1) if match is None else (match.end(2), match.end(3))
            at = at if match is None else match.end()
            if data[at] == _FRAME:
                ended, at = at, self.framed(at)
                if not at or ended not in (lists, dicts) or data[at] not in _OPENING:
                    at = at if match is None else self._taken(at, match.start(1), ended)
                    continue
                if data[at] == _MARK:
                    at = self._items_of(at, depth - 1, is_list=ended == lists)
                    continue
                lists, dicts = (at, -1) if ended == lists else (-1, -1)
            if data[at] in _OPENING:
                begin, at = at, self.container(at, depth - 1)
                if at and data[at] == _APPEND and lists == begin:
                    at = self.framed(at + 1)
                elif at and data[at] == _SET and dicts > 0:
                    named = key.match(data, dicts, begin)
                    at = self.framed(at + 1) if named and named.end() == begin else 0
            else:
                return at
        return 0

    def _taken(self, at: int, start: int, stop: int) -> int:
        """Follow a tuple of which the first items are the last values of the frame before."""
        data, forms = self._data, self._forms
        if not at or start < 0 or not forms.scalars.fullmatch(data, start, stop):
            return at
        pushed = 0
        while start < stop and pushed < _MOST_ITEMS:
            one = forms.key.match(data, start, stop)
            start = stop if one is None else one.end()
            pushed += 1
        found = forms.taker(pushed).match(data, at, self._last) if pushed else None
        return at if found is None else found.end()

    def _pairs(self, at: int, depth: int) -> int:
        """Follow pairs that are no deeper than a match, or none."""
        data = self._data
        if data[at] == _FRAME:
            at = self.framed(at)
        self._empty_dict = 0
        while at:
            match = self._forms.pairs.match(data, at, self._last)
            if match is not None and match.end() > at:
                at = match.end()
                self._empty_dict = match.end(3)
                if data[at] == _FRAME and at in (match.end(2), match.end(3)):
                    at = self._goes_on(at, depth, is_list=at == match.end(2))
                    self._empty_dict = 0
                    continue
                if data[at] in _OPENING and match.end(2) == at:
                    # The last value is a list, and this is its only item.
                    at = self.container(at, depth - 1)
                    at = self.framed(at + 1) if at and data[at] == _APPEND else 0
                    self._empty_dict = 0
                    continue
            if data[at] != _FRAME:
                return at
            at = self.framed(at)
        return 0

    def _goes_on(self, at: int, depth: int, *, is_list: bool) -> int:
        """Follow what a value, a list or dict that seemed to be empty, holds in the next frame."""
        data = self._data
        at = self.framed(at)
        if at and data[at] == _MARK:
            return self._items_of(at, depth - 1, is_list=is_list)
        if at and is_list and data[at] in _OPENING:
            at = self.container(at, depth - 2)
            return self.framed(at + 1) if at and data[at] == _APPEND else 0
        return at

    def _items_of(self, at: int, depth: int, *, is_list: bool) -> int:
        """Follow what a list or dict holds that began in the frame before."""
        if depth <= 0:
            return 0
        return self._list(at, depth) if is_list else self._dict(at, depth)

    def _after_memo(self, at: int) -> int:
        match = self._forms.maybe.match(self._data, at, self._last)
        if match is not None:
            at = match.end()
        return at if self._data[at] != _FRAME else self.framed(at)


def _memo_is_plain(parts: list[tuple[int, int]], data: bytes, *, framed: bool) -> bool:
    """Whether each GET finds what was put before it, and no more than a short chain of tuples."""
    forms = patterns(framed=framed, deep=False)
    gets: set[bytes] = set()
    for start, stop in parts:
        # Of few bytes a list of the GETs is small, and sooner made.
        gets.update(
            forms.gets.findall(data, start, stop)
            if stop - start <= LARGE
            else map(itemgetter(1), forms.gets.finditer(data, start, stop))
        )
    gets.discard(b"")
    if not gets:
        return True
    indexes = set(map(index_of, gets))
    most = max(indexes)
    count = 0
    tuples: dict[int, int] = {}
    at = 0
    # Once all of them are set, no GET can miss; PUTs that set one again are looked for afterwards.
    for start, stop in parts:
        for match in forms.memos.finditer(data, start, stop):
            code = match[1]
            if not code or count > most:
                break
            if code[:1] in _GETS:
                if index_of(code) >= count:
                    return False
                continue
            maker = code[0] in TUPLES
            if maker and count in indexes:
                tuples[count] = code[0]
            if not framed and index_of(code[maker:]) != count:
                return False
            count += 1
            at = match.end()
    makers = tuples.values()
    if count <= most or len(makers) > LONGEST_CHAIN or _TUPLE in makers:
        return False
    return framed or not puts_among(forms, data, at, len(data), indexes)
