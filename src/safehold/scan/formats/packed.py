"""Wrappers that hold one other thing: gzip, bz2, xz, lzma, zlib, lz4, zstd, joblib's z-files."""

from __future__ import annotations

import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from safehold.errors import MissingExtra
from safehold.scan import blobs, lz4frame, rules, unpacking
from safehold.scan.unpacking import ERRORS, EXTRA, Unpack
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

_CHUNK: Final = 2**16
_DICTIONARY: Final = (2**16).to_bytes(4, "little")
# Streams in a row: so many, or as many as there are KiB. An empty one costs more than its bytes.
_MOST_STREAMS: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Packing:
    """How a wrapper begins, how it is unpacked, and which others its readers take behind it."""

    name: str
    magic: re.Pattern[bytes]
    unpack: Unpack
    # Two-byte magics also begin raw numbers: those must unpack without error to count.
    certain: bool = True
    family: str = ""


def _pattern(text: bytes) -> re.Pattern[bytes]:
    return re.compile(text, re.DOTALL)


_SKIPPED: Final = rb"[\x50-\x5f]\x2a\x4d\x18"
_PACKINGS: Final = (
    _Packing("gzip", _pattern(rb"\x1f\x8b\x08"), unpacking.gunzip),
    _Packing("bz2", _pattern(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), unpacking.unbzip2),
    # Python's LZMAFile tells the two apart at each stream.
    _Packing("xz", _pattern(rb"\xfd7zXZ\x00"), unpacking.unxz, family="lzma"),
    _Packing("lz4", _pattern(re.escape(lz4frame.MAGIC)), unpacking.unlz4, family="frames"),
    _Packing("zstd", _pattern(rb"\x28\xb5\x2f\xfd"), unpacking.unzstd, family="frames"),
    _Packing("frames", _pattern(_SKIPPED), unpacking.skip, certain=False, family="frames"),
    _Packing(
        "zlib",
        _pattern(rb"[\x08\x18\x28\x38\x48\x58\x68\x78][\x00-\xff]"),
        unpacking.unzlib,
        certain=False,
    ),
    _Packing(
        "lzma",
        _pattern(rb"[\x00-\xe0][\x00-\xff]{4}(?:\xff{8}|[\x00-\xff]{5}\x00{3})"),
        unpacking.unlzma,
        certain=False,
        family="lzma",
    ),
)
_ZFILE: Final = b"ZF"
_ZFILE_HEADER: Final = 21
_UNREADABLE: Final = {
    b"Rar!\x1a\x07": "rar",
    b"\x02\x21\x4c\x18": "legacy lz4",
}


# One match says of most files that they begin like none of these.
HEAD: Final = b"|".join(
    (*(one.magic.pattern for one in _PACKINGS), *map(re.escape, (_ZFILE, *_UNREADABLE)))
)
_ANY: Final = _pattern(HEAD)


def read(source: Source, visit: Visit) -> str | None:
    """Unpack a wrapper and read what it holds, or return None if it is none."""
    if not _ANY.match(source.data):
        return None
    packing = _find(source.data, 0, _PACKINGS)
    if packing is not None and not (packing.name == "lzma" and blobs.is_stored(source.data)):
        return _unwrap(source, visit, packing)
    if source.starts(_ZFILE) and _is_zfile(source.data):
        return _read_zfile(source, visit)
    for magic, name in _UNREADABLE.items():
        if source.starts(magic):
            message = f"packed with {name}, which cannot be unpacked here"
            visit.note(source, rules.UNREADABLE_STREAM, message)
            return name
    return None


def _find(data: Data, pos: int, packings: tuple[_Packing, ...]) -> _Packing | None:
    for packing in packings:
        if packing.magic.match(data, pos) and (packing.certain or _begins_well(data, pos, packing)):
            return packing
    return None


def _unwrap(source: Source, visit: Visit, packing: _Packing) -> str:
    stream = _Stream(source.data, packing)
    unpacked = visit.unpack(source, iter(stream), len(source.data), ERRORS)
    if stream.missing:
        visit.note(source, rules.UNREADABLE_STREAM, stream.missing)
        if not len(unpacked):
            return packing.name
    if stream.too_many:
        message = "more packed streams in a row than any file needs"
        visit.note(source, rules.LIMIT_EXCEEDED, message, stream.end)
    _check_end(source, visit, stream)
    found = visit.scan(source.unwrapped(unpacked, packing.name))
    return packing.name if found == "unknown" else f"{packing.name}+{found}"


def _begins_well(data: Data, pos: int, packing: _Packing) -> bool:
    """Whether the first bytes unpack: text and numbers that look like a header do not."""
    head = bytes(data[pos : pos + _CHUNK])
    if packing.name == "zlib":
        return not int.from_bytes(head[:2], "big") % 31 and _unpacks(zlib.decompressobj(), head)
    if packing.name == "lzma":
        # So little needs no large dictionary, and one too large is no reason to look away.
        made = lzma.LZMADecompressor(lzma.FORMAT_ALONE)
        return _is_lzma_header(head) and _unpacks(made, head[:1] + _DICTIONARY + head[5:])
    # Frames that are stepped over, up to one that is not.
    end = pos + 8 + int.from_bytes(head[4:8], "little")
    rest = tuple(one for one in _PACKINGS if one.family == packing.family)
    return len(head) >= 8 and any(one.magic.match(data, end) for one in rest)


def _unpacks(unpacker: Any, head: bytes) -> bool:
    """Whether something comes out, or the stream is whole and empty; another may follow it.

    Empty blocks may stand in front for as long as somebody likes.
    """
    try:
        found = bool(unpacker.decompress(head, 4096)) or bool(unpacker.eof)
    except MemoryError:  # of this process: so few bytes need little
        raise
    except ERRORS:
        return False
    return found or len(head) == _CHUNK


def _is_lzma_header(head: bytes) -> bool:
    """The format has no magic; these are the conditions under which ``lzma`` detects it."""
    dictionary = int.from_bytes(head[1:5], "little")
    # A power of two, or the sum of two neighbouring ones.
    top = 1 << max(0, dictionary.bit_length() - 1)
    if dictionary not in (top, top + top // 2, 0xFFFFFFFF):
        return False
    size = int.from_bytes(head[5:13], "little")
    return size == 2**64 - 1 or size < 2**38


class _Stream:
    """Unpacks streams in a row, as readers of these formats do; ``end`` is where it stopped."""

    def __init__(
        self, data: Data, packing: _Packing, start: int = 0, *, several: bool = True
    ) -> None:
        self._data = data
        self._first = packing
        self._start = start
        self._family = tuple(
            one
            for one in _PACKINGS
            if several and (one is packing or (packing.family and one.family == packing.family))
        )
        self.end: int | None = None
        self.missing = ""
        self.too_many = False

    def __iter__(self) -> Iterator[bytes]:
        packing: _Packing | None = self._first
        pos = self._start
        for _ in range(max(_MOST_STREAMS, len(self._data) // 1024) + 1):
            if packing is None:
                self.end = pos
                return
            try:
                pos = yield from packing.unpack(self._data, pos)
            except MissingExtra as error:
                self.missing = f"packed with {packing.name}, which was not unpacked: {error}"
                return
            except lz4frame.TooMuchError:
                self.missing = (
                    "more lz4 than is unpacked without a library; install it with: "
                    f"pip install 'safehold[{EXTRA}]'"
                )
                return
            packing = _find(self._data, pos, self._family)
        self.end, self.too_many = pos, True


def _check_end(source: Source, visit: Visit, stream: _Stream) -> None:
    """Bytes behind the last stream; zeros are padding, as tape blocks have it."""
    if stream.end is None or stream.end >= len(source.data):
        return
    rest = source.data[stream.end :]
    if bytes(rest[:_CHUNK]).strip(b"\0") or len(rest) > _CHUNK:
        message = "bytes after the end of the packed data"
        visit.note(source, rules.TRAILING_DATA, message, stream.end, {"bytes": len(rest)})
        visit.scan(source.inner(rest, "", f"{source.member or ''}@{stream.end}"))


def _is_zfile(data: Data) -> bool:
    """Whether joblib would read it as one: a number of any spelling that ``int`` takes."""
    try:
        return int(bytes(data[2:_ZFILE_HEADER]), 16) >= 0
    except ValueError:
        return False


def _read_zfile(source: Source, visit: Visit) -> str:
    start = _ZFILE_HEADER + (bytes(source.data[_ZFILE_HEADER : _ZFILE_HEADER + 1]) == b" ")
    packing = next(one for one in _PACKINGS if one.name == "zlib")
    stream = _Stream(source.data, packing, start, several=False)
    unpacked = visit.unpack(source, iter(stream), len(source.data), ERRORS)
    _check_end(source, visit, stream)
    found = visit.scan(source.unwrapped(unpacked, "zfile"))
    return "zfile" if found == "unknown" else f"zfile+{found}"
