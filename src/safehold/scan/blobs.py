"""Weights beside a model of Core ML: records, each with the place of its numbers ("blob v2").

A file is 64 bytes with the number of records, then each record of 64 bytes before its numbers, all
at multiples of 64. The same bytes may look like an empty stream of lzma.
"""

from __future__ import annotations

from typing import Final

from safehold.scan.values import Data

_HEAD: Final = 64
_VERSION: Final = b"\x02\0\0\0"
_SENTINEL: Final = b"\xef\xbe\xad\xde"
_MOST: Final = 1_000_000


class BrokenError(ValueError):
    """A record is not there, or its numbers; the message says which."""


def is_stored(data: Data) -> bool:
    """Whether bytes begin like a file of weights."""
    if bytes(data[4:8]) != _VERSION:
        return False
    head = bytes(data[: _HEAD + 4])
    return not head[8:_HEAD].strip(b"\0") and (
        head[_HEAD:] == _SENTINEL or (not any(head[:4]) and len(head) == _HEAD)
    )


def end_of(data: Data) -> int:
    """Return where the numbers of the last record end.

    Raises:
        BrokenError: a record is not there, or its numbers are not.
    """
    count, at, end = int.from_bytes(data[:4], "little"), _HEAD, _HEAD
    if count > _MOST:
        raise BrokenError("more weights than any model needs")
    for _ in range(count):
        record = bytes(data[at : at + _HEAD])
        if len(record) < _HEAD or record[:4] != _SENTINEL:
            raise BrokenError("a record that is not there")
        size, start = (int.from_bytes(record[place : place + 8], "little") for place in (8, 16))
        if start < at + _HEAD or size > len(data) - start:
            raise BrokenError("numbers outside the file")
        end = start + size
        at = -(-end // _HEAD) * _HEAD
    return end
