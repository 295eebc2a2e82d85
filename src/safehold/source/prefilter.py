"""Which files need parsing at all, and for which rules: a substring search over raw bytes.

Nine files in ten never name what a rule is about, and a search costs about one thousandth of a
parse. It must not miss what Python would see: identifiers are compared after NFKC normalisation
(PEP 3131), so full-width letters spell `pickle` too, and codecs that are not based on ASCII can
spell any name with other bytes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, NamedTuple

from safehold.source.row import Hint, SourceRule
from safehold.source.text import UnreadableError, is_ascii_based, parse_encoding

# Parts that several needles have, so that one search does for all of them.
_SHARED: Final = (b"load_", b"read_")


# Behind a name of a program stands no other, unlike in prose.
_NOT_PROSE: Final = r"(?![ \t]+(?!(?:and|as|async|else|for|if|import|in|is|not|or)\b)[A-Za-z_])"
# A module is imported, called by its attributes, or named in a string.
_OF_MODULE: Final = r"(?:(?<=['\".]{0})|[ \t]*(?:\.\w|as\b|[,;)#\\\r\n'\"]|\Z)|[\s\\]+import\b)"


class _Wanted(NamedTuple):
    """A hint, and the rules that it speaks for by their places in the table."""

    hint: Hint
    rows: frozenset[int]


class Prefilter:
    """Searches for the hints of some rules, and for the names of the others.

    A file with one of the names is parsed for every rule without hints.
    """

    def __init__(self, rows: Iterable[SourceRule]) -> None:
        self._rows = tuple(rows)
        unhinted = frozenset(index for index, row in enumerate(self._rows) if not row.hints)
        wanted = [_Wanted(hint, unhinted) for row in self._rows for hint in _named(row)]
        for index, row in enumerate(self._rows):
            wanted += [_Wanted(hint, frozenset({index})) for hint in row.hints]
        self._exact = _Needles(item for item in wanted if not item.hint.any_case)
        self._folded = _Needles(item for item in wanted if item.hint.any_case)

    @cached_property
    def in_tests(self) -> Prefilter:
        """The same for tests, where some rules find nothing."""
        return Prefilter(row for row in self._rows if row.in_tests)

    def with_libraries(self, rows: tuple[SourceRule, ...]) -> tuple[SourceRule, ...]:
        """Return rules and those for libraries, which another module can hand on."""
        return tuple(row for row in self._rows if row in rows or row.library is not None)

    def wanted(self, data: bytes) -> tuple[SourceRule, ...]:
        """Return the rules that the source has to be parsed for; all when it cannot be decoded."""
        text = _searchable(data)
        if text is None:
            return self._rows
        hit: set[int] = set()
        hit.update(*self._exact.found(text, text))
        if self._folded.count:
            hit.update(*self._folded.found(text.lower(), text))
        return tuple(row for index, row in enumerate(self._rows) if index in hit) if hit else ()


class _Needles:
    """Hints by needle, and the needles by a part of them that is searched for first."""

    def __init__(self, wanted: Iterable[_Wanted]) -> None:
        by_needle: dict[bytes, list[_Wanted]] = {}
        for item in wanted:
            by_needle.setdefault(item.hint.needle, []).append(item)
        self.count = len(by_needle)
        self._parts: dict[bytes, list[tuple[bytes, list[_Wanted]]]] = {}
        parts = sorted([*by_needle, *_SHARED], key=len)
        for needle, items in by_needle.items():
            part = next(part for part in parts if part in needle)
            self._parts.setdefault(part, []).append((needle, items))

    def found(self, where: bytes, text: bytes) -> Iterator[frozenset[int]]:
        """Yield the rules of each hint that holds; `where` is the text as it is searched."""
        for part, needles in self._parts.items():
            if part in where:
                for needle, items in needles:
                    yield from _holding(where, text, needle, items)


def _holding(
    where: bytes, text: bytes, needle: bytes, items: list[_Wanted]
) -> Iterator[frozenset[int]]:
    """Yield the rules of the hints that hold at one of the places of a needle."""
    left = items
    at = where.find(needle)
    while at >= 0 and left:
        held = [item for item in left if item.hint.matches(text, at)]
        if held:
            yield from (item.rows for item in held if item.hint.is_accompanied(text))
            left = [item for item in left if item not in held]
        at = where.find(needle, at + len(needle))


def _named(row: SourceRule) -> Iterator[Hint]:
    """Yield the hints that the names of a rule are."""
    members = _members(row)
    behind = rf"(?!\.(?:{'|'.join(row.harmless)})(?!\w))" if row.harmless else ""
    modules = () if row.library is None else row.library.modules
    for name in row.names:
        is_module = any(name in module.split(".") for module in modules)
        after = _OF_MODULE.format(name) if is_module else _NOT_PROSE
        yield Hint.of(name, rf"(?<!\w){name}(?!\w){behind}{after}", beside=members)


def _members(row: SourceRule) -> str:
    """Return the expression for a member of a library of which single uses are rewritten.

    Without one of them nothing is found of it, but for `sys.modules["torch"] = fake`.
    """
    library = row.library
    if library is None or not library.by_use:
        return ""
    members = {
        member.rpartition(".")[2] for member in (*library.reads, *library.writes, *library.beyond)
    }
    # Each begins with its letters: what looks behind there would make the search slow.
    words = "|".join(rf"{member}(?<!\w{member})" for member in sorted(members))
    return rf"(?:{words})(?!\w){_NOT_PROSE}|modules\s*\["


def _searchable(data: bytes) -> bytes | None:
    """Return the bytes to search, with what Python would read for them; None if not to be told."""
    if b"\0" in data:
        return None
    try:
        encoding = parse_encoding(data)
    except UnreadableError:
        return None
    if not is_ascii_based(encoding):
        return None
    if data.isascii():
        return data
    try:
        text = data.decode(encoding)
    except ValueError:
        return None  # the parse reports it
    if unicodedata.is_normalized("NFKC", text):
        return data
    return data + b"\n" + unicodedata.normalize("NFKC", text).encode("utf-8", "surrogatepass")
