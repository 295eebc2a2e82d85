"""safetensors: a length, a JSON header, then nothing but the bytes the header accounts for."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from safehold.scan import rules
from safehold.scan.documents import bounded
from safehold.scan.visit import Source, Visit

# The format allows 100 MB; ten thousand tensors need one.
_LONGEST_HEADER: Final = 16 * 2**20
HEAD: Final = rb".{8}\{"

_BITS: Final = (
    dict.fromkeys(("F4",), 4)
    | dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6)
    | dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8)
    | dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8)
    | dict.fromkeys(("I16", "U16", "F16", "BF16"), 16)
    | dict.fromkeys(("I32", "U32", "F32"), 32)
    | dict.fromkeys(("I64", "U64", "F64", "C64"), 64)
)


class _Duplicate(ValueError):
    pass


def read(source: Source, visit: Visit) -> str | None:
    """Check that the header covers the file exactly; None if the bytes begin otherwise."""
    data = source.data
    if len(data) < 10 or data[8] != 0x7B:
        return None
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        return None
    if length > _LONGEST_HEADER:
        visit.note(source, rules.LIMIT_EXCEEDED, "a header longer than any model needs")
        return "safetensors"
    try:
        header = _parsed(bytes(data[8 : 8 + length]))
    except _Duplicate:
        visit.note(source, rules.UNREADABLE_STREAM, "a name stands in the header twice")
        return "safetensors"
    except ValueError:
        return None
    except RecursionError:
        visit.depends()
        return None
    if not isinstance(header, dict):
        return None
    if not _is_texts(header.get("__metadata__")):
        visit.note(source, rules.UNREADABLE_STREAM, "metadata that is not text")
    _check_extents(source, visit, header, len(data) - 8 - length)
    return "safetensors"


def _parsed(header: bytes) -> Any:
    # json would guess UTF-16 and take NaN and halves of characters; the loader refuses them.
    text = bounded(header).decode()
    value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _is_texts(metadata: object) -> bool:
    if metadata is None:
        return True
    return isinstance(metadata, dict) and all(type(text) is str for text in metadata.values())


def _is_counts(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**64 for n in value)


def _fits(row: dict[str, Any]) -> bool:
    dtype, shape = row.get("dtype"), row.get("shape")
    if not isinstance(dtype, str) or dtype not in _BITS or not _is_counts(shape):
        return False
    start, stop = row["data_offsets"]
    # The loader multiplies from the left in 64 bits, so that a zero further on does not help.
    count: int = 1
    for n in shape or ():
        count *= n
        if count >= 2**64:
            return False
    return bool(count * _BITS[dtype] == (stop - start) * 8)


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
        if not isinstance(offsets, list) or len(offsets) != 2 or not _is_counts(offsets):
            message = "a tensor without proper offsets"
            visit.note(source, rules.UNREADABLE_STREAM, message)
            return
        if not _fits(row):
            message = "type and shape of a tensor do not give the length of its bytes"
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
