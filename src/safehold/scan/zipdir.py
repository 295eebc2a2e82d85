"""The directory of a zip file as it stands in the bytes, with every disagreement in it.

`zipfile` refuses archives whose headers disagree, and torch's reader does not look; so neither
can be the judge of what an archive holds. This reads the central directory where each of the two
would look for it, each local header it points to, and which bytes nothing accounts for.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from safehold.scan.values import Data

_END: Final = b"PK\x05\x06"
_CENTRAL: Final = b"PK\x01\x02"
_LOCAL: Final = b"PK\x03\x04"
_END64: Final = b"PK\x06\x06"
_LOCATOR64: Final = b"PK\x06\x07"
_END_SIZE: Final = 22
_END64_SIZE: Final = 56
_LOCATOR64_SIZE: Final = 20
_LONGEST_COMMENT: Final = 65_535
_CENTRAL_ROW: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL_ROW: Final = struct.Struct("<4s5H3I2H")
_MAX32: Final = 0xFFFFFFFF
# Bytes of all names together; decoded they take several times as much.
_MOST_NAMES: Final = 16 * 2**20
_UNICODE_PATH: Final = 0x7075
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
    # The name that readers take instead which know the field for one in Unicode.
    other_name: str = ""


@dataclass(slots=True)
class Directory:
    """All members, the stretches of bytes that belong to nothing, and what is wrong."""

    entries: list[Entry] = field(default_factory=list)
    # Members that another reader finds where it looks for the directory.
    others: list[Entry] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    comment: tuple[int, int] = (0, 0)
    overlaps: bool = False
    # More members than asked for: nothing can be said about the bytes between them.
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class _View:
    """Where one reader takes the central directory to be; ``shift`` is added to its offsets."""

    central: int
    stop: int
    shift: int
    count: int

    def is_one(self, data: Data) -> bool:
        """Whether a directory stands there."""
        if self.central < 0 or self.shift < 0 or self.stop > len(data):
            return False
        empty = self.central == self.stop and self.count == 0
        return empty or data[self.central : self.central + 4] == _CENTRAL


def find_end(data: Data) -> int | None:
    """Return where the end record stands, or None if the bytes hold none."""
    start = max(0, len(data) - _END_SIZE - _LONGEST_COMMENT)
    tail = bytes(data[start:]) if start else bytes(data)
    # The last one that is whole: its own numbers may hold the magic again.
    at = tail.rfind(_END, 0, max(0, len(tail) - _END_SIZE + len(_END)))
    return None if at < 0 else start + at


def has_directory(data: Data, end: int) -> bool:
    """Say whether an end record amid other bytes belongs to an archive, by any reader's rule."""
    views = [_by_distance(data, end), _by_offset(data, end)]
    return any(view.is_one(data) for view in views) and (
        any(view.count for view in views) or end + _END_SIZE == len(data)
    )


def parse(data: Data, most: int) -> Directory:
    """Read at most that many members; never raises for what the bytes hold."""
    found = Directory()
    end = find_end(data)
    if end is None:
        found.problems.append("the archive has no end record")
        _walk_local(data, found, most)
        return found
    comment = int.from_bytes(data[end + 20 : end + 22], "little")
    record_stop = end + _END_SIZE + comment
    if record_stop > len(data):
        found.problems.append("the comment of the archive is cut off")
        record_stop = len(data)
    found.comment = (end + _END_SIZE, record_stop)
    near, far = _by_distance(data, end), _by_offset(data, end)
    if _has_locator(data, end) and near.stop == end:
        found.problems.append("the zip64 records are not where they belong")
    view = near
    if near.central < 0 or near.shift < 0:
        found.problems.append("the central directory lies outside the archive")
        if not far.is_one(data):
            _walk_local(data, found, most)
            return found
        view = far
    found.entries = _read_central(data, view, found.problems, most)
    found.truncated = len(found.entries) >= most
    if not found.truncated and (view.count ^ len(found.entries)) & 0xFFFF:
        found.problems.append("the end record counts other members than the directory lists")
    taken = [(end, record_stop), (view.central, max(view.central, min(view.stop, end)))]
    if near.stop < end:
        taken.append((near.stop, end))
    _locate(data, found, taken)
    if far.is_one(data) and (far.central, far.shift) != (view.central, view.shift):
        found.others = _read_central(data, far, [], most)
        for entry in found.others:
            _read_local(data, entry)
    return found


def _has_locator(data: Data, end: int) -> bool:
    at = end - _LOCATOR64_SIZE
    return at >= 0 and data[at : at + 4] == _LOCATOR64


def _by_distance(data: Data, end: int) -> _View:
    """Python's zipfile: the directory ends where the end records begin, whatever its offset is."""
    count = int.from_bytes(data[end + 10 : end + 12], "little")
    size, offset = struct.unpack_from("<2I", data, end + 12)
    stop = end
    at = end - _LOCATOR64_SIZE - _END64_SIZE
    if _has_locator(data, end) and at >= 0 and data[at : at + 4] == _END64:
        count, size, offset = struct.unpack_from("<3Q", data, at + 32)
        stop = at
    central = stop - size
    return _View(central, stop, central - offset, count)


def _by_offset(data: Data, end: int) -> _View:
    """The reader of torch: what offsets say, counted from the start of the file."""
    count = int.from_bytes(data[end + 10 : end + 12], "little")
    size, offset = struct.unpack_from("<2I", data, end + 12)
    if _has_locator(data, end):
        at = int.from_bytes(data[end - 12 : end - 4], "little")
        if at + _END64_SIZE <= len(data) and data[at : at + 4] == _END64:
            count, size, offset = struct.unpack_from("<3Q", data, at + 32)
    return _View(offset, offset + size, 0, count)


def _read_central(data: Data, view: _View, problems: list[str], most: int) -> list[Entry]:
    entries: list[Entry] = []
    pos, names = view.central, 0
    while pos + _CENTRAL_ROW.size <= view.stop and len(entries) < most:
        row = _CENTRAL_ROW.unpack_from(data, pos)
        if row[0] != _CENTRAL:
            problems.append("the central directory is broken")
            return entries
        flags, method, crc, packed, size = row[3], row[4], row[7], row[8], row[9]
        name_length, extra_length, comment_length = row[10], row[11], row[12]
        names += name_length + extra_length
        if names > _MOST_NAMES:
            problems.append("the names of the members are longer than any archive needs")
            return entries
        mode, offset = row[15] >> 16, row[16]
        name_start = pos + _CENTRAL_ROW.size
        extra_start = name_start + name_length
        raw = bytes(data[name_start:extra_start])
        extra = bytes(data[extra_start : extra_start + extra_length])
        size, packed, offset = _wide(extra, size, packed, offset)
        entry = Entry(_text(raw), method, flags, crc, packed, size, mode, offset + view.shift)
        entry.other_name = _unicode_path(extra, raw)
        entries.append(entry)
        pos = extra_start + extra_length + comment_length
    if pos != view.stop and len(entries) < most:
        problems.append("the central directory is broken")
    return entries


def _fields(extra: bytes) -> list[tuple[int, bytes]]:
    """Return (kind, content) of each extra field."""
    found = []
    pos = 0
    while pos + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, pos)
        found.append((kind, extra[pos + 4 : pos + 4 + length]))
        pos += 4 + length
    return found


def _wide(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Take the numbers that need 64 bits from the extra field."""
    if _MAX32 not in (size, packed, offset):
        return size, packed, offset
    for kind, content in _fields(extra):
        if kind == 1:
            wide = iter(content[at : at + 8] for at in range(0, len(content), 8))
            size, packed, offset = (
                int.from_bytes(next(wide, b"\xff" * 8), "little") if value == _MAX32 else value
                for value in (size, packed, offset)
            )
            break
    return size, packed, offset


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """Return the name that a field for one in Unicode gives; it counts if it is of this name."""
    for kind, content in _fields(extra):
        if kind == _UNICODE_PATH and content[:1] == b"\1":
            crc = int.from_bytes(content[1:5], "little")
            return _text(content[5:]) if crc == zlib.crc32(raw) else ""
    return ""


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
