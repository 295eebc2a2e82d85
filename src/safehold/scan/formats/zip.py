"""zip and what is built on it: npz, torch, TorchScript, .keras, .skops; every member is read.

Checksums, encryption bits and local headers are compared with the directory and reported, but
they never stop the reading: loaders exist that ignore each of them.
"""

from __future__ import annotations

import lzma
import re
import stat
import zlib
from dataclasses import replace
from typing import Final

from safehold import sfh1
from safehold.errors import MissingExtra
from safehold.scan import rules, unpacking
from safehold.scan.archives import code_in, files_opened, kind_of
from safehold.scan.formats.sfh1 import holds
from safehold.scan.searching import search
from safehold.scan.unpacking import ERRORS, Unpack, Unpacked
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit
from safehold.scan.zipdir import ENCRYPTED, Directory, Entry, find_end, has_directory, parse

SIGN: Final = b"PK\x05\x06"
_STORED, _LZMA = 0, 14
_UNPACK: Final[dict[int, Unpack]] = {
    8: unpacking.inflate,
    12: unpacking.unbzip2,
    93: unpacking.unzstd,
    95: unpacking.unxz,
}
_CHUNK: Final = 2**18
_RECORDS: Final = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x05\x06|\x06\x06)")
_ESCAPES: Final = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:")
_LONGEST_LINK: Final = 4096


def read(source: Source, visit: Visit) -> str | None:
    """Read a zip archive, or anything with one appended; None if there is none."""
    data = source.data
    if data[:1] != b"P" or not source.starts(b"PK\x03\x04", b"PK\x05\x06"):
        end = find_end(data)
        if end is None or not has_directory(data, end):
            return None
        if source.starts(sfh1.MAGIC) and holds(data, end):
            return None  # the archive is the payload, which is read without what is around it
    directory = parse(data, visit.limits.members + 1)
    for start, stop in directory.gaps:
        if search(_RECORDS, data[start:stop], visit.budget):
            message = "zip records outside the archive's directory"
            visit.note(source, rules.ATTACK_CONSTRUCTION, message, start)
    entries = [*directory.entries, *directory.others]
    name = kind_of(entry.other_name or entry.name for entry in entries)
    _check_directory(source, visit, directory, name)
    for entry in entries:
        if not visit.count_member(source):
            break
        _read_entry(source, visit, entry, name)
    start, stop = directory.comment
    if start < stop:
        visit.scan(source.inner(data[start:stop], "", f"{source.member or ''}@{start}"))
    for start, stop in directory.gaps:
        _read_gap(source, visit, start, stop)
    return name


def _check_directory(source: Source, visit: Visit, directory: Directory, kind: str) -> None:
    for problem in directory.problems:
        visit.note(source, rules.UNREADABLE_STREAM, problem)
    if directory.overlaps:
        visit.note(source, rules.ATTACK_CONSTRUCTION, "members of the archive overlap")
    if directory.others:
        message = "the archive has two directories, and each reader finds another one"
        visit.note(source, rules.ATTACK_CONSTRUCTION, message)
    seen: set[str] = set()
    for entry in directory.entries:
        # torch takes capitals and small letters for the same.
        name = entry.name.lower() if kind == "torch" else entry.name
        if name in seen:
            message = "two members have the same name, and readers choose differently"
            visit.note(source, rules.UNREADABLE_STREAM, message, None, {"member": entry.name[:200]})
        seen.add(name)
        if "\0" in entry.name:
            message = "a member's name holds a NUL, where some readers stop"
            visit.note(source, rules.ATTACK_CONSTRUCTION, message)
        if entry.other_name not in ("", entry.name) and entry.name.isascii():
            message = "a member has two names, and readers choose differently"
            visit.note(source, rules.ATTACK_CONSTRUCTION, message, None, {"member": entry.name})


def _read_entry(source: Source, visit: Visit, entry: Entry, kind: str) -> None:
    member = f"{source.member}!{entry.name}" if source.member else entry.name
    # Bytes that a model of skops holds are of no format; elsewhere .bin is a file of weights.
    name = entry.name.removesuffix(".bin") if kind == "skops" else entry.name
    persistent = kind in {"torch", "torch package"} and entry.name.lower().endswith(".pkl")
    data = source.data[entry.start : min(entry.start + entry.packed, len(source.data))]
    here = source.inner(data, name, member, persistent=persistent)
    _check_entry(here, visit, entry)
    if entry.name.endswith("/") and not len(data):
        return
    if stat.S_ISLNK(entry.mode) and entry.method == _STORED:
        target = bytes(data[:_LONGEST_LINK]).decode("utf-8", "backslashreplace")
        if _ESCAPES.search(target):
            message = "a link to outside the archive"
            visit.note(here, rules.ESCAPING_MEMBER, message, None, {"target": target[:200]})
    if entry.method == _STORED and not visit.admit(here, len(data)):
        return
    content = _content(here, visit, entry)
    inner = Source(content, here.name, member, here.depth, persistent=here.persistent)
    visit.scan(inner)
    if len(content) > entry.size:
        # zipfile stops there, and what reads from the end then sees something else.
        visit.scan(replace(inner, data=content[: entry.size]))
    _check_code(inner, visit, entry, kind)


def _check_code(inner: Source, visit: Visit, entry: Entry, kind: str) -> None:
    code = code_in(kind, entry.name, inner.data)
    if code:
        visit.note(inner, rules.EMBEDDED_CODE, code)
    operator = files_opened(kind, entry.name, inner.data)
    if operator:
        message = f"TorchScript that calls {operator}, which reads or writes files of any name"
        visit.note(inner, rules.DANGEROUS_GLOBAL, message, None, {"global": operator})


def _check_entry(here: Source, visit: Visit, entry: Entry) -> None:
    if _ESCAPES.search(entry.name) or _ESCAPES.search(entry.other_name):
        visit.note(here, rules.ESCAPING_MEMBER, "a name that leads outside the archive")
    if entry.differs:
        message = f"the two headers of the member disagree: {', '.join(entry.differs)}"
        rule = rules.ATTACK_CONSTRUCTION if "name" in entry.differs else rules.UNREADABLE_STREAM
        visit.note(here, rule, message)
    if entry.flags & ENCRYPTED:
        visit.note(here, rules.UNREADABLE_STREAM, "the member is encrypted, or says so")


def _content(here: Source, visit: Visit, entry: Entry) -> Data:
    """Return what the member unpacks to; what is wrong with it becomes a finding."""
    if entry.method == _STORED:
        content = here.data
    else:
        chunks = _unpacker(here.data, entry.method)
        if chunks is None:
            message = f"packed with method {entry.method}, which cannot be unpacked here"
            visit.note(here, rules.UNREADABLE_STREAM, message)
            return here.data
        try:
            content = visit.unpack(here, chunks, len(here.data), ERRORS)
        except MissingExtra as error:
            message = f"packed with method {entry.method}, which was not unpacked: {error}"
            visit.note(here, rules.UNREADABLE_STREAM, message)
            return here.data
    if entry.flags & ENCRYPTED:
        return content
    if len(content) != entry.size:
        visit.note(here, rules.UNREADABLE_STREAM, "the member has another size than it says")
    elif _checksum(content) != entry.crc:
        visit.note(here, rules.UNREADABLE_STREAM, "the checksum of the member is wrong")
    return content


def _checksum(content: Data) -> int:
    value = 0
    for start in range(0, len(content), _CHUNK):
        value = zlib.crc32(content[start : start + _CHUNK], value)
    return value


def _unpacker(data: Data, method: int) -> Unpacked | None:
    if method == _LZMA:
        return _unlzma(data)
    unpack = _UNPACK.get(method)
    return None if unpack is None else unpack(data, 0)


def _unlzma(data: Data) -> Unpacked:
    """Undo method 14: version and size of the properties, the properties, raw data."""
    length = int.from_bytes(data[2:4], "little")
    if length != 5:
        raise ValueError("unknown LZMA properties")
    # The header of a lone .lzma file with the size left open.
    header = bytes(data[4:9]) + b"\xff" * 8
    inner = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=unpacking.LZMA_MEMORY)
    inner.decompress(header)
    return (yield from unpacking.feed(data, 9, inner))


def _read_gap(source: Source, visit: Visit, start: int, stop: int) -> None:
    """Bytes that no member covers: padding, or what one reader sees and another does not."""
    gap = source.data[start:stop]
    if not len(gap) or not _nonzero(gap):
        return
    member = f"{source.member or ''}@{start}"
    visit.scan(source.inner(gap, "", member))
    where = "before the first member" if start == 0 else "that no member covers"
    visit.note(source, rules.TRAILING_DATA, f"bytes {where}", start, {"bytes": stop - start})


def _nonzero(gap: Data) -> bool:
    return any(
        bytes(gap[start : start + _CHUNK]).strip(b"\0") for start in range(0, len(gap), _CHUNK)
    )
