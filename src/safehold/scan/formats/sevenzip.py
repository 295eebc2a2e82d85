"""7z: every file of every folder, unpacked in memory; nothing is written by its name."""

from __future__ import annotations

import re
import stat
import zlib
from typing import Final

from safehold.errors import MissingExtra
from safehold.scan import rules
from safehold.scan.coders import UnknownError, unpack
from safehold.scan.sevenzip import (
    HEADER,
    MAGIC,
    MOST_HEADER,
    Archive,
    BrokenError,
    Entry,
    Folder,
    files_of,
    locate,
    parse,
)
from safehold.scan.unpacking import ERRORS
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

FIRSTS: Final = MAGIC[:1]
# Programs that unpack to a directory follow these: CVE-2022-44900 of py7zr.
_ESCAPES: Final = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:")
_CHUNK: Final = 2**18
_DEEPEST_HEADER: Final = 4
_LONGEST_LINK: Final = 4096
# Attributes of Unix stand in the upper half if this is set.
_UNIX: Final = 0x8000
Span = tuple[int, int]


def read(source: Source, visit: Visit) -> str | None:
    """Read every file; None for anything else."""
    if not source.starts(MAGIC):
        return None
    covered: list[Span] = []
    try:
        archive = _open(source, visit, covered)
    except BrokenError as error:
        message = f"the archive is broken: {error}"
        visit.note(source, rules.UNREADABLE_STREAM, message)
        rest = source.data[HEADER:]
        visit.scan(source.inner(rest, "", f"{source.member or ''}@{HEADER}"))
        return "7z"
    if archive is not None:
        _read_folders(source, visit, archive)
        covered += [(one.start, one.start + one.packed) for one in archive.folders]
        _read_gaps(source, visit, covered)
    return "7z"


def _open(source: Source, visit: Visit, covered: list[Span]) -> Archive | None:
    """Return what the header says; None after a note that says why it was not read.

    Raises:
        BrokenError: it says what cannot be.
    """
    data = source.data
    start, stop = locate(data)
    covered += [(0, HEADER), (start, stop)]
    header = bytes(data[start:stop])
    for _ in range(_DEEPEST_HEADER):
        archive, is_packed = parse(header, len(data) - HEADER, visit.budget)
        if not is_packed:
            return archive
        if len(archive.folders) != 1:
            raise BrokenError("a header in other than one folder")
        folder = archive.folders[0]
        covered.append((folder.start, folder.start + folder.packed))
        if folder.size > MOST_HEADER:
            visit.note(source, rules.LIMIT_EXCEEDED, "a header larger than any archive needs")
            return None
        found = _unpacked(source, visit, data, folder)
        if found is None:
            return None
        header = bytes(found)
        if len(header) != folder.size or folder.crc not in (None, zlib.crc32(header)):
            raise BrokenError("its packed header is not what its checksum says")
    raise BrokenError("headers in headers")


def _unpacked(here: Source, visit: Visit, data: Data, folder: Folder) -> Data | None:
    """Return what a folder unpacks to; None after a note if it cannot be unpacked here."""
    try:
        return visit.unpack(here, unpack(data, folder), folder.packed, ERRORS)
    except UnknownError as error:
        message = f"packed with {error}, which cannot be unpacked here"
        if str(error) == "encryption":
            message = "files that are encrypted"
        visit.note(here, rules.UNREADABLE_STREAM, message)
    except (MissingExtra, *ERRORS) as error:
        visit.note(here, rules.UNREADABLE_STREAM, f"was not unpacked: {error}")
    return None


def _read_folders(source: Source, visit: Visit, archive: Archive) -> None:
    opened: Folder | None = None
    content: Data | None = b""
    at = 0
    for entry, folder, index in files_of(archive):
        if not visit.count_member(source):
            return
        here = source.inner(b"", entry.name, _label(source, entry))
        if _ESCAPES.search(entry.name):
            visit.note(here, rules.ESCAPING_MEMBER, "a name that leads outside the archive")
        if folder is None:
            if entry.has_bytes:
                visit.note(here, rules.UNREADABLE_STREAM, "a file without a folder")
            continue
        if folder is not opened:
            opened, at = folder, 0
            content = _unpacked(here, visit, source.data, folder)
        if content is not None:
            size, crc = folder.parts[index]
            _read_file(here, visit, entry, content[at : at + size], (size, crc))
            at += size
    _check_rest(source, visit, archive)


def _label(source: Source, entry: Entry) -> str:
    shown = entry.name.encode("utf-8", "backslashreplace").decode()[:1000]
    return f"{source.member}!{shown}" if source.member else shown


def _read_file(
    here: Source, visit: Visit, entry: Entry, content: Data, said: tuple[int, int | None]
) -> None:
    size, crc = said
    if len(content) != size:
        visit.note(here, rules.UNREADABLE_STREAM, "the member has another size than it says")
    elif crc is not None and _checksum(content) != crc:
        visit.note(here, rules.UNREADABLE_STREAM, "the checksum of the member is wrong")
    if entry.attributes & _UNIX and stat.S_ISLNK(entry.attributes >> 16):
        target = bytes(content[:_LONGEST_LINK]).decode("utf-8", "backslashreplace")
        if _ESCAPES.search(target):
            message = "a link to outside the archive"
            visit.note(here, rules.ESCAPING_MEMBER, message, None, {"target": target[:200]})
    visit.scan(Source(content, here.name, here.member, here.depth))


def _check_rest(source: Source, visit: Visit, archive: Archive) -> None:
    """Read folders whose files no name is given to."""
    named = sum(entry.has_bytes for entry in archive.entries)
    counted = 0
    for number, folder in enumerate(archive.folders):
        counted += len(folder.parts)
        if counted <= named and folder.parts:
            continue
        visit.note(source, rules.UNREADABLE_STREAM, "a folder whose files have no names")
        if not visit.count_member(source):
            return
        content = _unpacked(source, visit, source.data, folder)
        if content is not None:
            visit.scan(source.inner(content, "", f"{source.member or ''}@folder{number}"))


def _read_gaps(source: Source, visit: Visit, covered: list[Span]) -> None:
    """Read what stands between the parts, and behind the last one."""
    end = 0
    for start, stop in (*sorted(covered), (len(source.data), len(source.data))):
        gap = source.data[end:start]
        if start > end and _nonzero(gap):
            message = "bytes that no file of the archive covers"
            visit.note(source, rules.TRAILING_DATA, message, end, {"bytes": start - end})
            visit.scan(source.inner(gap, "", f"{source.member or ''}@{end}"))
        end = max(end, stop)


def _nonzero(gap: Data) -> bool:
    return any(
        bytes(gap[start : start + _CHUNK]).strip(b"\0") for start in range(0, len(gap), _CHUNK)
    )


def _checksum(content: Data) -> int:
    value = 0
    for start in range(0, len(content), _CHUNK):
        value = zlib.crc32(content[start : start + _CHUNK], value)
    return value
