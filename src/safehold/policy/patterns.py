"""Path patterns of a policy: how they match and which of two is the more specific.

``**`` as a whole segment stands for any number of segments (at the end for at least one),
``*`` for any characters and ``?`` for one within a segment. Names are compared as they
stand: case counts, and so do the forms of Unicode.
"""

from __future__ import annotations

import re
from collections.abc import Callable


def pattern_weight(pattern: str) -> tuple[int, int, int, int]:
    """Rank a pattern: the most specific is the greatest.

    By leading segments without a wildcard, then by characters that are no wildcards, then by
    fewer ``**``, then by fewer wildcards of any kind.
    """
    segments = pattern.split("/")
    leading = 0
    for segment in segments:
        if "*" in segment or "?" in segment:
            break
        leading += 1
    wild = sum(1 for char in pattern if char in "*?")
    return (leading, len(pattern) - wild, -segments.count("**"), -wild)


def pattern_matcher(pattern: str) -> Callable[[str], object]:
    """Turn a path pattern into a matcher: `**` any depth, `*` and `?` within one segment.

    Whatever lies between two `**`, or within a segment between two `*`, has a fixed length
    in segments or characters, so its first place is as good as any: atomic groups keep the
    time linear on paths that an attacker chooses.
    """
    *before, last = _chunks(pattern.split("/"))
    regex = "".join(segment + "/" for segment in before[0]) if before else ""
    for chunk in before[1:]:
        regex += "(?>(?:[^/]+/)*?" + "".join(segment + "/" for segment in chunk) + ")"
    if before:
        regex += "(?:[^/]+/)*" if last else ".+"
    return re.compile(regex + "/".join(last), re.DOTALL).fullmatch


def _chunks(segments: list[str]) -> list[list[str]]:
    """Split at `**`."""
    chunks: list[list[str]] = [[]]
    for segment in segments:
        if segment == "**":
            chunks.append([])
        else:
            chunks[-1].append(_segment(segment))
    return chunks


def _segment(segment: str) -> str:
    first, *rest = (re.escape(part).replace(r"\?", "[^/]") for part in segment.split("*"))
    middle = "".join(f"(?>[^/]*?{part})" for part in rest[:-1])
    return first + middle + ("[^/]*" + rest[-1] if rest else "")
