"""Writes flatbuffers: a table is a list of fields, what it leads to stands behind it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any


class Number:
    """A number of so many bytes, in the table itself."""

    def __init__(self, width: int, value: int) -> None:
        self.raw = value.to_bytes(width, "little")


class Row:
    """Numbers of so many bytes, or bytes."""

    def __init__(self, width: int, values: Sequence[int]) -> None:
        self.raw = struct.pack("<I", len(values))
        self.raw += b"".join(value.to_bytes(width, "little") for value in values)


class Struct:
    """Bytes that a field of a union leads to."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


def build(root: list[Any], kind: bytes = b"", gap: bytes = b"") -> bytes:
    out = bytearray(4) + kind + gap
    place = _write(out, root)
    out[0:4] = struct.pack("<I", place)
    return bytes(out)


def _write(out: bytearray, value: Any) -> int:
    out += bytes(-len(out) % 8)
    if isinstance(value, str):
        raw = value.encode()
        out += struct.pack("<I", len(raw)) + raw + b"\0"
        return len(out) - len(raw) - 5
    if isinstance(value, Row | Struct):
        out += value.raw
        return len(out) - len(value.raw)
    if isinstance(value, tuple):
        at = len(out)
        out += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for index, one in enumerate(value):
            _lead(out, at + 4 + 4 * index, one)
        return at
    return _table(out, value)


def _lead(out: bytearray, place: int, value: Any) -> None:
    target = _write(out, value)
    out[place : place + 4] = struct.pack("<I", target - place)


def _table(out: bytearray, fields: list[Any]) -> int:
    inline, offsets = bytearray(4), []
    for value in fields:
        offsets.append(0 if value is None else len(inline))
        if value is not None:
            inline += value.raw if isinstance(value, Number) else bytes(4)
    start = len(out)
    out += struct.pack(f"<{2 + len(fields)}H", 4 + 2 * len(fields), len(inline), *offsets)
    out += bytes(-len(out) % 4)
    at = len(out)
    out += inline
    out[at : at + 4] = struct.pack("<i", at - start)
    for value, offset in zip(fields, offsets, strict=True):
        if isinstance(value, Number):
            continue
        if value is not None:
            _lead(out, at + offset, value)
    return at
