"""Sizes as texts: ``4 GiB``."""

from __future__ import annotations

import re

_UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_UNITS |= {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"\s*([0-9]{1,18})\s*([KMGT]?I?B|)\s*", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Read ``4 GiB`` as bytes; -1 when it is not a size."""
    match = _SIZE.fullmatch(text)
    if match is None or match[2].upper() not in _UNITS:
        return -1
    return int(match[1]) * _UNITS[match[2].upper()]


def size_text(count: int) -> str:
    """Return the shortest text that `parse_size` reads as this count."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} B"
