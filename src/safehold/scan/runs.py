r"""Patterns for runs: stretches of a pickle that hold plain data, stepped over by one match.

A run is a row of complete values, as picklers write them: numbers, short ASCII texts and bytes,
GETs, and tuples, lists and dicts of such, nested a few levels deep. Each alternative pushes as
many values as it says and takes none from below, whatever it holds, so the form alone shows that
no opcode lacks what it needs. Anything of another form is left to the machine.

All repeats are possessive, and alternatives begin with different bytes, so that a byte is read
once per level. The length of a text is spelled out: one branch for each.
"""

from __future__ import annotations

import re
from functools import cache, cached_property, lru_cache
from typing import Final

# Bytes of a text inside lists and dicts of a run, and in a run itself.
_SHORT: Final = 24
_LONG: Final = 256
_BYTES: Final = 64
_INTEGER: Final = 11
# More values than a tuple keeps, see containers.py.
MANY: Final = 1025
# So many tuples that a run puts may be got in it. Each may hold the one before three times, so that
# the last takes less to hash than a key may, see containers.py.
LONGEST_CHAIN: Final = 4
TUPLES: Final = b"t\x85\x86\x87"
_SHALLOW: Final = 1
_DEEP: Final = 2
# What makes a tuple of so many values that are there, at once and after one more.
_TAKERS: Final = {
    1: (b"\\x85", b"\\x86"),
    2: (b"[\\x85\\x86]", b"[\\x86\\x87]"),
    3: (b"[\\x85-\\x87]", b"[\\x86\\x87]"),
}
# In a longer run, a search says first whether PUTs may be there; compiling it takes long as well.
_SEARCHED: Final = 2**13
_FEW: Final = 8
# From this many bytes on, patterns for deeper nesting are worth the time to compile them.
LARGE: Final = 2**16

_NUMBERS: Final = rb"M..|J.{4}|G.{8}|[N\x88\x89)]"
_GETS: Final = rb"h.|j.{4}"
_MEMOIZE: Final = rb"\x94"
# Indexes that reserve little memory at any place, see `Machine.put`.
_PUTS: Final = rb"q.|r..[\x00-\x0f]\x00"
# Those of them whose index takes more than one byte.
_LATER: Final = rb"r.(?:[^\x00][\x00-\x0f]|\x00[\x01-\x0f])\x00"


class Patterns:
    """What runs look like under some protocols; each pattern is compiled when it is needed."""

    def __init__(self, *, framed: bool, deep: bool, tupled: bool = False) -> None:
        self._grammar = _Grammar(framed=framed, tupled=tupled)
        self._depth = _DEEP if deep else _SHALLOW
        # Bytes of a text in a tuple, or of a key.
        self._most = _LONG if deep else _SHORT
        self._framed = framed
        self._takers: dict[int, re.Pattern[bytes]] = {}

    @cached_property
    def values(self) -> re.Pattern[bytes]:
        """A row of values; the first group is where the last tuple or container of it ended.

        If a tuple or container is the last of the row, it is where that one's values begin.
        """
        return _compiled(
            b"(?:()%b)*+" % self._grammar.row(self._depth, _LONG, self._most, told=True)
        )

    @cached_property
    def pairs(self) -> re.Pattern[bytes]:
        """A row of an even number of values; the first of each two is no container.

        The first group is as that of the values.
        """
        key = self._grammar.scalar(self._most)
        value = self._grammar.value(self._depth, _LONG, told=True)
        return _compiled(b"(?:()%b%b)*+" % (key, value))

    @cached_property
    def scalars(self) -> re.Pattern[bytes]:
        """A row of values that are no containers."""
        return _compiled(b"(?:%b)*+" % self._grammar.scalar(_LONG))

    def taker(self, pushed: int) -> re.Pattern[bytes]:
        """A tuple of whose items one to three at most were pushed before."""
        found = self._takers.get(pushed)
        if found is None:
            one, maybe = self._grammar.scalar(self._most), self._grammar.maybe
            now, then = _TAKERS[pushed]
            form = b"(?:%b|%b(?:%b|%b\\x87))%b" % (now, one, then, one, maybe)
            found = self._takers[pushed] = _compiled(form)
        return found

    @cached_property
    def many(self) -> re.Pattern[bytes]:
        """So many of these."""
        return _compiled(b"(?:%b){%d}+" % (self._grammar.scalar(self._most), MANY))

    @cached_property
    def gets(self) -> re.Pattern[bytes]:
        """Opcodes up to a GET, which is captured, or to the end."""
        opcodes, memo = self._grammar.opcodes(), self._grammar.memo
        return _compiled(b"(?:(?:%b)(?:%b)?+|%b)*+(%b|)" % (opcodes, memo, memo, _GETS))

    @cached_property
    def puts(self) -> re.Pattern[bytes] | None:
        """Opcodes up to a PUT, which is captured, or to the end."""
        if self._framed:
            return None
        skipped = b"%b|%b" % (self._grammar.opcodes(), _GETS)
        return _compiled(b"(?:%b)*+(%b|)" % (skipped, self._grammar.memo))

    @cached_property
    def early(self) -> re.Pattern[bytes] | None:
        """Opcodes up to a PUT of an index that takes one byte, which is captured, or to the end."""
        if self._framed:
            return None
        skipped = b"%b|%b|%b" % (self._grammar.opcodes(), _GETS, _LATER)
        return _compiled(b"(?:%b)*+(q.|r.\\x00{3}|)" % skipped)

    @cached_property
    def memos(self) -> re.Pattern[bytes]:
        """Opcodes up to a GET, PUT or MEMOIZE, or to the end.

        It is captured; a PUT or MEMOIZE with the opcode before it, if that makes a tuple.
        """
        tuples = b"[t\\x85-\\x87](?!%b)" % (b"\\x94" if self._framed else b"[qr]")
        skipped = b"%b|%b" % (self._grammar.opcodes(b"[]}(euas]"), tuples)
        put = b"[t\\x85-\\x87]?+(?:%b)" % self._grammar.memo
        return _compiled(b"(?:%b)*+(%b|%b|)" % (skipped, put, _GETS))

    @cached_property
    def key(self) -> re.Pattern[bytes]:
        """One value that is no container."""
        return _compiled(self._grammar.scalar(self._most))

    @cached_property
    def single(self) -> re.Pattern[bytes]:
        """One value that is no container, or a tuple of one to three such."""
        one, maybe = self._grammar.scalar(self._most), self._grammar.maybe
        made = (one, maybe, one, maybe, one, maybe)
        return _compiled(b"%b(?:\\x85%b|%b(?:\\x86%b|%b\\x87%b))?" % (one, *made[1:]))

    @cached_property
    def maybe(self) -> re.Pattern[bytes]:
        """A PUT or MEMOIZE, or nothing."""
        return _compiled(self._grammar.maybe)

    @cached_property
    def unmemoized(self) -> re.Pattern[bytes]:
        """Opcodes that neither put nor get anything."""
        return _compiled(b"(?:%b)*+" % self._grammar.opcodes())


@cache
def patterns(*, framed: bool, deep: bool, tupled: bool = False) -> Patterns:
    """Return the patterns of protocols 4 and later (``framed``), or of those before.

    ``tupled``: values of dicts may be tuples of one to three values; others are read faster.
    """
    return Patterns(framed=framed, deep=deep, tupled=tupled)


def puts_among(
    forms: Patterns, data: bytes | memoryview, start: int, stop: int, indexes: set[int]
) -> set[int]:
    """Return which of the indexes a run sets by PUT."""
    # A GET in text may ask for any number; no PUT of a run writes another than these.
    indexes = {index for index in indexes if 0 <= index < 2**32}
    pattern = forms.early if max(indexes, default=0) < 2**8 else forms.puts
    if pattern is None or not indexes:
        return set()
    wanted = {b"q%c" % index for index in indexes if index < 2**8}
    wanted |= {b"r" + index.to_bytes(4, "little") for index in indexes}
    if len(wanted) <= _FEW and isinstance(data, bytes):
        seen = any(data.find(code, start, stop) >= 0 for code in wanted)
    else:
        searched = stop - start > _SEARCHED
        seen = (
            not searched or _bytes_of_puts(frozenset(indexes)).search(data, start, stop) is not None
        )
    if not seen:
        return set()
    return set(map(index_of, wanted.intersection(pattern.findall(data, start, stop))))


def index_of(opcode: bytes) -> int:
    """Return the index of a GET or PUT."""
    return int.from_bytes(opcode[1:], "little")


@lru_cache(maxsize=64)
def _bytes_of_puts(indexes: frozenset[int]) -> re.Pattern[bytes]:
    """Return a pattern of what looks like these PUTs, wherever an opcode may begin."""
    short = b"".join(b"\\x%02x" % index for index in indexes if index < 2**8)
    wide = (re.escape(index.to_bytes(4, "little")) for index in indexes)
    return _compiled(b"q[%b]|r(?:%b)" % (short or b"^\\x00-\\xff", b"|".join(wide)))


def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


# CPython before 3.11.5 says that `*+` matched what it had only begun to match (gh-106052).
SOUND: Final = re.fullmatch(b"(?:ab?c)*+", b"aca") is None
NUMBERS: Final = _compiled(b"(?:K.|%b)*+" % _NUMBERS)


class _Grammar:
    """Builds patterns from the inside out."""

    def __init__(self, *, framed: bool, tupled: bool) -> None:
        self._tupled = tupled
        self.memo = _MEMOIZE if framed else _PUTS
        self.maybe = b"(?:%b)?+" % self.memo
        self._text = (b"\\x8c", b"") if framed else (b"X", b"\\x00\\x00\\x00")

    def _held(self, most: int, each: bytes = b"[\\x00-\\x7f]") -> bytes:
        """Texts, bytes and long integers of less than so many bytes; ``each`` is one of a text."""
        text = self._texts(0, most, each)
        if most == _LONG:
            text += b"|" + counted(b"[CU]", b".", b"", 0, _BYTES)
        return text + b"|" + counted(b"\\x8a", b".", b"", 0, _INTEGER)

    def _texts(self, least: int, most: int, each: bytes = b"[\\x00-\\x7f]") -> bytes:
        code, after = self._text
        return counted(code, each, after, least, most)

    def opcodes(self, of_containers: bytes = b"[]}(eutas\\x85-\\x87]") -> bytes:
        """All opcodes of a run but GETs, PUTs and MEMOIZE; what texts hold was seen before."""
        return b"K.|%b|%b|%b" % (self._held(_LONG, b"."), _NUMBERS, of_containers)

    def scalar(self, most: int) -> bytes:
        """One value that is no container."""
        held = self._held(most)
        return b"(?:K.|%b|(?:%b)%b|%b)" % (_GETS, held, self.maybe, _NUMBERS)

    def _group(self, most: int) -> bytes:
        """One or more scalars, the last of them in a tuple if a TUPLE1 to TUPLE3 follows."""
        one = self.scalar(most)
        made = b"[\\x85-\\x87]" + self.maybe
        pair = b"\\x86" + self.maybe
        single = b"\\x85" + self.maybe
        return b"%b(?:%b|%b(?:%b|(?:%b)++(?:%b)?+)?+)?+" % (one, single, one, pair, one, made)

    def row(self, depth: int, most: int, tupled: int = _SHORT, *, told: bool = False) -> bytes:
        """One or more values; containers may be nested so deep, tuples hold ``tupled`` bytes each.

        If it is to be ``told``, an empty list ends where the next group does, an empty dict where
        the one after it does.
        """
        return b"(?:%b%b)" % (self._group(tupled), self._containers(depth, most, told=told))

    def value(self, depth: int, most: int, *, told: bool = False) -> bytes:
        """Exactly one value."""
        value = b"%b%b" % (self.scalar(_SHORT), self._containers(depth, most, told=told))
        return b"(?>%b|%b)" % (self.tuples(_SHORT), value) if self._tupled else b"(?:%b)" % value

    def tuples(self, most: int) -> bytes:
        """A tuple of one to three scalars; what comes after the first may be read twice."""
        one, maybe = self.scalar(most), self.maybe
        return b"%b(?:\\x85|%b(?:\\x86|%b\\x87))%b" % (one, one, one, maybe)

    def _containers(self, depth: int, most: int, *, told: bool) -> bytes:
        found = b"|" + self._texts(_SHORT, most) + self.maybe if most > _SHORT else b""
        if depth:
            inner = _LONG if depth == _DEEP else _SHORT
            row, value = self.row(depth - 1, inner), self.value(depth - 1, inner)
            key, maybe = self.scalar(_SHORT), self.maybe
            # A container that goes on in a way which is no data is no complete value yet.
            ends = b"(?=[^(])"
            none = b"()" if told else b""
            found += b"|\\]%b(?>(?:\\(%b*+e)++|%ba|%b)%b" % (maybe, row, key, none, ends)
            only = b"(?>%b|%b)" % (self.tuples(_SHORT), key) if self._tupled else key
            pairs = b"(?:\\((?:%b%b)*+u)++|%b%bs" % (key, value, key, only)
            found += b"|\\}%b(?>%b|%b)%b" % (maybe, pairs, none, ends)
            found += b"|\\(%b*+t%b" % (row, maybe)
        return found


def counted(code: bytes, each: bytes, after: bytes, least: int, most: int) -> bytes:
    """Return a pattern of an opcode with a length of one byte and as many bytes."""
    branches = (
        b"\\x%02x%b" % (length, after) + (b"%b{%d}" % (each, length) if length else b"")
        for length in range(least, most)
    )
    return b"%b(?:%b)" % (code, b"|".join(branches))
