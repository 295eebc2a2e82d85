"""The directory of a zip file as it stands in the bytes, with every disagreement in it.

`zipfile` refuses archives whose headers disagree, and torch's reader does not look; so neither
can be the judge of what an archive holds. This reads the central directory, each local header
it points to, and which bytes nothing accounts for.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from safehold.scan.values import Data

_END: Final = b"PK\x05\x06"
_CENTRAL: Final = b"PK\x01\x02"
_LOCAL: Final = b"PK\x03\x04"
_END64: Final = b"PK\x06\x06"
_LOCATOR64: Final = b"PK\x06\x07"
_END_SIZE: Final = 22
_LONGEST_COMMENT: Final = 65_535
_CENTRAL_ROW: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL_ROW: Final = struct.Struct("<4s5H3I2H")
_MAX32: Final = 0xFFFFFFFF
ENCRYPTED: Final = 0x0001
_SIZES_FOLLOW: Final = 0x0008


@dataclass(slots=True)
class Entry:
    """One member as the central directory has it; ``start`` and ``stop`` bound its data."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    mode: int
    header: int
    start: int = 0
    stop: int = 0
    # How the local header disagrees.
    differs: tuple[str, ...] = ()


@dataclass(slots=True)
class Directory:
    """All members, the stretches of bytes that belong to nothing, and what is wrong."""

    entries: list[Entry] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    comment: tuple[int, int] = (0, 0)
    overlaps: bool = False
    # More members than asked for: nothing can be said about the bytes between them.
    truncated: bool = False


def find_end(data: Data) -> int | None:
    """Return where the end record stands, or None if the bytes hold none."""
    start = max(0, len(data) - _END_SIZE - _LONGEST_COMMENT)
    at = bytes(data[start:]).rfind(_END)
    return None if at < 0 or start + at + _END_SIZE > len(data) else start + at


def parse(data: Data, most: int) -> Directory:
    """Read at most that many members; never raises for what the bytes hold."""
    found = Directory()
    end = find_end(data)
    if end is None:
        found.problems.append("the archive has no end record")
        _walk_local(data, found, most)
        return found
    size, offset = struct.unpack_from("<2I", data, end + 12)
    comment = int.from_bytes(data[end + 20 : end + 22], "little")
    record_stop = end + _END_SIZE + comment
    if record_stop > len(data):
        found.problems.append("the comment of the archive is cut off")
        record_stop = len(data)
    taken = [(end, record_stop)]
    found.comment = (end + _END_SIZE, record_stop)
    tail = end
    if data[max(0, end - 20) : max(0, end - 16)] == _LOCATOR64:
        tail, size, offset = _end64(data, end, size, offset, found)
        taken.append((tail, end))
    central = tail - size
    shift = central - offset
    if central < 0 or shift < 0:
        found.problems.append("the central directory lies outside the archive")
        _walk_local(data, found, most)
        return found
    _read_central(data, central, tail, shift, found, most)
    taken.append((central, tail))
    _locate(data, found, taken)
    return found


def _end64(data: Data, end: int, size: int, offset: int, found: Directory) -> tuple[int, int, int]:
    """Follow the zip64 records, which stand right before the end record."""
    at = end - 20 - 56
    if at < 0 or data[at : at + 4] != _END64:
        found.problems.append("the zip64 records are not where they belong")
        return end - 20, size, offset
    size, offset = struct.unpack_from("<2Q", data, at + 40)
    return at, size, offset


def _read_central(data: Data, pos: int, stop: int, shift: int, found: Directory, most: int) -> None:
    while pos + _CENTRAL_ROW.size <= stop and len(found.entries) < most:
        row = _CENTRAL_ROW.unpack_from(data, pos)
        if row[0] != _CENTRAL:
            found.problems.append("the central directory is broken")
            return
        flags, method, crc, packed, size = row[3], row[4], row[7], row[8], row[9]
        name_length, extra_length, comment_length = row[10], row[11], row[12]
        mode, offset = row[15] >> 16, row[16]
        name_start = pos + _CENTRAL_ROW.size
        extra_start = name_start + name_length
        raw = bytes(data[name_start:extra_start])
        extra = bytes(data[extra_start : extra_start + extra_length])
        size, packed, offset = _wide(extra, size, packed, offset)
        found.entries.append(
            Entry(_text(raw), method, flags, crc, packed, size, mode, offset + shift)
        )
        pos = extra_start + extra_length + comment_length
    if pos != stop and len(found.entries) < most:
        found.problems.append("the central directory is broken")
    found.truncated = len(found.entries) >= most


def _wide(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Take the numbers that need 64 bits from the extra field."""
    pos = 0
    while pos + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, pos)
        if kind == 1:
            wide = iter(extra[pos + 4 + i : pos + 12 + i] for i in range(0, length, 8))
            size, packed, offset = (
                int.from_bytes(next(wide, b"\xff" * 8), "little") if value == _MAX32 else value
                for value in (size, packed, offset)
            )
            break
        pos += 4 + length
    return size, packed, offset


def _locate(data: Data, found: Directory, taken: list[tuple[int, int]]) -> None:
    """Read each local header and find what lies between the members."""
    for entry in found.entries:
        _read_local(data, entry)
        taken.append((entry.header, entry.stop))
    if found.truncated:
        return
    taken.sort()
    reached = 0
    for start, stop in taken:
        if start > reached:
            found.gaps.append((reached, start))
        elif start < reached and stop > start:
            found.overlaps = True
        reached = max(reached, stop)
    if reached < len(data):
        found.gaps.append((reached, len(data)))


def _read_local(data: Data, entry: Entry) -> None:
    at = entry.header
    if at < 0 or at + _LOCAL_ROW.size > len(data) or data[at : at + 4] != _LOCAL:
        entry.differs = ("no local header where the directory says",)
        entry.header = entry.start = entry.stop = max(0, min(at, len(data)))
        return
    row = _LOCAL_ROW.unpack_from(data, at)
    flags, method, crc, packed, size, name_length, extra_length = (
        row[2], row[3], row[6], row[7], row[8], row[9], row[10],
    )  # fmt: skip
    name_start = at + _LOCAL_ROW.size
    raw = bytes(data[name_start : name_start + name_length])
    entry.start = name_start + name_length + extra_length
    entry.stop = entry.start + entry.packed
    differs = []
    if _text(raw) != entry.name:
        differs.append("name")
    if method != entry.method:
        differs.append("method")
    if (flags ^ entry.flags) & ENCRYPTED:
        differs.append("encryption")
        entry.flags |= ENCRYPTED
    later = bool(flags & _SIZES_FOLLOW)
    if not later or crc:
        differs += ["checksum"] if crc != entry.crc else []
    if not later or packed:
        differs += ["packed size"] if packed not in (entry.packed, _MAX32) else []
    if not later or size:
        differs += ["size"] if size not in (entry.size, _MAX32) else []
    if entry.stop > len(data):
        differs.append("end of data")
        entry.stop = len(data)
    entry.differs = tuple(differs)
    if later:
        entry.stop += _descriptor(data, entry)


def _descriptor(data: Data, entry: Entry) -> int:
    """Return the length of the record with the sizes that may follow the data."""
    at = entry.stop
    signed = data[at : at + 4] == b"PK\x07\x08"
    at += 4 if signed else 0
    if data[at : at + 4] != entry.crc.to_bytes(4, "little"):
        return 0
    wide = struct.pack("<2Q", entry.packed, entry.size)
    length = 4 + (16 if data[at + 4 : at + 20] == wide else 8)
    return length + (4 if signed else 0)


def _walk_local(data: Data, found: Directory, most: int) -> None:
    """Without a directory, follow the local headers from the start, as streaming readers do."""
    pos = 0
    while len(found.entries) < most and data[pos : pos + 4] == _LOCAL:
        if pos + _LOCAL_ROW.size > len(data):
            break
        row = _LOCAL_ROW.unpack_from(data, pos)
        name_start = pos + _LOCAL_ROW.size
        raw = bytes(data[name_start : name_start + row[9]])
        entry = Entry(_text(raw), row[3], row[2], row[6], row[7], row[8], 0, pos)
        entry.start = name_start + row[9] + row[10]
        # Sizes that follow the data cannot be known before: take everything.
        unknown = bool(row[2] & _SIZES_FOLLOW)
        entry.stop = len(data) if unknown else min(entry.start + row[7], len(data))
        found.entries.append(entry)
        pos = entry.stop
    if pos < len(data):
        found.gaps.append((pos, len(data)))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
