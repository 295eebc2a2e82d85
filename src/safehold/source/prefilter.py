"""Which files need parsing at all: a substring search over raw bytes.

Nine files in ten never name a module that a rule knows, and a search costs about one
thousandth of a parse. It must not miss what Python would see: identifiers are compared after
NFKC normalisation (PEP 3131), so full-width letters spell `pickle` too, and codecs that are not
based on ASCII can spell any name with other bytes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from safehold.source.text import UnreadableError, is_ascii_based, parse_encoding


class Prefilter:
    """Searches for names; a name that contains another one is found with it."""

    def __init__(self, names: Iterable[str]) -> None:
        unique = sorted(set(names), key=len)
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

    def hits(self, data: bytes) -> bool:
        """Say whether the source has to be parsed; True also for what cannot be decoded."""
        if b"\0" in data:
            return True
        try:
            encoding = parse_encoding(data)
        except UnreadableError:
            return True
        if not is_ascii_based(encoding):
            return True
        if any(needle in data for needle in self._needles) and self._words.search(data):
            return True
        return not data.isascii() and self._hits_normalised(data, encoding)

    def _hits_normalised(self, data: bytes, encoding: str) -> bool:
        try:
            text = data.decode(encoding)
        except ValueError:
            return True  # the parse reports it
        if unicodedata.is_normalized("NFKC", text):
            return False
        normal = unicodedata.normalize("NFKC", text)
        return self._words.search(normal.encode("utf-8", "surrogatepass")) is not None
