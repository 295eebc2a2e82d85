"""Which files need parsing at all, and for which rules: a substring search over raw bytes.

Nine files in ten never name what a rule is about, and a search costs about one thousandth of a
parse. It must not miss what Python would see: identifiers are compared after NFKC normalisation
(PEP 3131), so full-width letters spell `pickle` too, and codecs that are not based on ASCII can
spell any name with other bytes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from safehold.source.row import Hint, SourceRule
from safehold.source.text import UnreadableError, is_ascii_based, parse_encoding


class Prefilter:
    """Searches for the names of some rules and the hints of others.

    A name that contains another one is found with it.
    """

    def __init__(self, rows: Iterable[SourceRule]) -> None:
        self._rows = tuple(rows)
        unique = sorted({name for row in self._rows for name in row.names}, key=len)
        self._needles = [
            name.encode("ascii")
            for index, name in enumerate(unique)
            if not any(shorter in name for shorter in unique[:index])
        ]
        # A second look at the few files that pass the first: `read_pickle` is another name.
        self._words = re.compile(
            rb"(?<!\w)(?:" + b"|".join(name.encode("ascii") for name in unique) + rb")(?!\w)",
            re.ASCII,
        )
        self._exact: dict[bytes, list[tuple[Hint, int]]] = defaultdict(list)
        self._folded: dict[bytes, list[tuple[Hint, int]]] = defaultdict(list)
        for index, row in enumerate(self._rows):
            for hint in row.hints:
                table = self._folded if hint.any_case else self._exact
                table[hint.needle].append((hint, index))

    @cached_property
    def in_tests(self) -> Prefilter:
        """The same for tests, where some rules find nothing."""
        return Prefilter(row for row in self._rows if row.in_tests)

    def wanted(self, data: bytes) -> tuple[SourceRule, ...]:
        """Return the rules that the source has to be parsed for; all when it cannot be decoded."""
        text = _searchable(data)
        if text is None:
            return self._rows
        hit: set[int] = set()
        for needles, where in (
            (self._exact, text),
            (self._folded, text.lower() if self._folded else text),
        ):
            for needle, hints in needles.items():
                if needle in where:
                    hit.update(_hit(where, text, needle, hints))
        named = any(needle in text for needle in self._needles) and self._words.search(text)
        return tuple(
            row for index, row in enumerate(self._rows) if index in hit or (named and not row.hints)
        )


def _hit(where: bytes, text: bytes, needle: bytes, hints: list[tuple[Hint, int]]) -> Iterable[int]:
    """Yield the rules of the hints that hold at one of the places of a needle."""
    left = list(hints)
    at = where.find(needle)
    while at >= 0 and left:
        for item in [item for item in left if item[0].around.match(text, at)]:
            left.remove(item)
            yield item[1]
        at = where.find(needle, at + len(needle))


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
