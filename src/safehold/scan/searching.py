"""Searches for short signs in bytes of any size, piece by piece.

A single search of a pattern does not return before it found something, whatever time it takes, and
has all pages of a mapped file in memory by then. Between two pieces the clock is asked, and pages
are let go of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from safehold.scan.budget import Budget
from safehold.scan.values import Data

_PIECE: Final = 4 * 2**20
# No sign is longer than this, or its pattern belongs elsewhere.
LONGEST: Final = 1024


def search(
    sign: re.Pattern[bytes], data: Data, budget: Budget, start: int = 0
) -> re.Match[bytes] | None:
    """Return the first match from an offset on, as ``sign.search`` does. Raises OutOfTime."""
    return next(matches(sign, data, budget, start), None)


def matches(
    sign: re.Pattern[bytes], data: Data, budget: Budget, start: int = 0
) -> Iterator[re.Match[bytes]]:
    """Yield the matches from an offset on, as ``sign.finditer`` does. Raises OutOfTime."""
    size = len(data)
    while start < size:
        stop = start + _PIECE
        for found in sign.finditer(data, start, stop + LONGEST):
            if found.start() >= stop:
                break
            yield found
            start = found.end()
        start = max(start, stop)
        if start < size:
            budget.ask()
