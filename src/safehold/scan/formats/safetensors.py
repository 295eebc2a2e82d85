"""safetensors: a length, a JSON header, then nothing but the bytes the header accounts for."""

from __future__ import annotations

import json
from typing import Any, Final

from safehold.scan import rules
from safehold.scan.visit import Source, Visit

# The format allows 100 MB; ten thousand tensors need one.
_LONGEST_HEADER: Final = 16 * 2**20


class _Duplicate(ValueError):
    pass


def read(source: Source, visit: Visit) -> str | None:
    """Check that the header covers the file exactly; None if the bytes begin otherwise."""
    data = source.data
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or data[8] != 0x7B or not 2 <= length <= len(data) - 8:
        return None
    if length > _LONGEST_HEADER:
        visit.note(source, rules.LIMIT_EXCEEDED, "a header longer than any model needs")
        return "safetensors"
    try:
        header = json.loads(bytes(data[8 : 8 + length]), object_pairs_hook=_unique)
    except _Duplicate:
        visit.note(source, rules.UNREADABLE_STREAM, "a name stands in the header twice")
        return "safetensors"
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict):
        return None
    _check_extents(source, visit, header, len(data) - 8 - length)
    return "safetensors"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Duplicate
    return found


def _check_extents(source: Source, visit: Visit, header: dict[str, Any], size: int) -> None:
    extents: list[tuple[int, int]] = []
    for name, row in header.items():
        if name == "__metadata__":
            continue
        offsets = row.get("data_offsets") if isinstance(row, dict) else None
        if (
            not isinstance(offsets, list)
            or len(offsets) != 2
            or not all(type(at) is int for at in offsets)
        ):
            message = "a tensor without proper offsets"
            visit.note(source, rules.UNREADABLE_STREAM, message)
            return
        extents.append((offsets[0], offsets[1]))
    reached = 0
    for start, stop in sorted(extents):
        if start != reached or stop < start:
            message = "the tensors do not cover the file without holes"
            visit.note(source, rules.TRAILING_DATA, message)
            return
        reached = stop
    if reached > size:
        visit.note(source, rules.UNREADABLE_STREAM, "the file ends inside the bytes of a tensor")
    elif reached < size:
        detail = {"bytes": size - reached}
        visit.note(source, rules.TRAILING_DATA, "bytes after the last tensor", None, detail)
