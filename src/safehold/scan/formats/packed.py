"""Wrappers that hold one other thing: gzip, bz2, xz, lzma, zlib and joblib's old z-files."""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from safehold.scan import rules
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

_CHUNK: Final = 2**16
# xz -9 needs 65 MiB to decompress; a header may ask for 4 GiB.
_LZMA_MEMORY: Final = 256 * 2**20
_ERRORS: Final = (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, MemoryError)


@dataclass(frozen=True, slots=True)
class _Packing:
    """How a wrapper begins, how it is unpacked, and what two of them in a row mean."""

    name: str
    magic: re.Pattern[bytes]
    new: Callable[[], Any]
    # Two-byte magics also begin raw numbers: those must unpack without error to count.
    certain: bool = True


def _inflate(bits: int) -> Callable[[], Any]:
    return lambda: _Inflate(bits)


class _Inflate:
    """zlib's object with the interface of the bz2 and lzma ones."""

    def __init__(self, bits: int) -> None:
        self._inner = zlib.decompressobj(bits)
        self._tail = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._inner.decompress(self._tail + data, max_length)
        self._tail = self._inner.unconsumed_tail
        return found


def _lzma(form: int) -> Callable[[], Any]:
    return lambda: lzma.LZMADecompressor(form, memlimit=_LZMA_MEMORY)


_PACKINGS: Final = (
    _Packing("gzip", re.compile(rb"\x1f\x8b\x08[\x00-\x1f]", re.DOTALL), _inflate(31)),
    _Packing("bz2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), bz2.BZ2Decompressor),
    _Packing("xz", re.compile(rb"\xfd7zXZ\x00"), _lzma(lzma.FORMAT_XZ)),
    _Packing(
        "zlib",
        re.compile(rb"[\x08\x18\x28\x38\x48\x58\x68\x78][\x00-\xff]", re.DOTALL),
        _inflate(15),
        certain=False,
    ),
    _Packing(
        "lzma",
        re.compile(rb"[\x00-\xe0][\x00-\xff]{4}(?:\xff{8}|[\x00-\xff]{5}\x00{3})", re.DOTALL),
        _lzma(lzma.FORMAT_ALONE),
        certain=False,
    ),
)  # fmt: skip

_ZFILE: Final = re.compile(rb"ZF0x[0-9a-fA-F]+ *")
_ZFILE_HEADER: Final = 21
_UNREADABLE: Final = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}


def read(source: Source, visit: Visit) -> str | None:
    """Unpack a wrapper and read what it holds, or return None if it is none."""
    for packing in _PACKINGS:
        if packing.magic.match(source.data):
            name = _unwrap(source, visit, packing)
            if name is not None:
                return name
    if _ZFILE.match(source.data):
        return _read_zfile(source, visit)
    for magic, name in _UNREADABLE.items():
        if source.starts(magic):
            message = f"packed with {name}, which cannot be unpacked here"
            visit.note(source, rules.UNREADABLE_STREAM, message)
            return name
    return None


def _unwrap(source: Source, visit: Visit, packing: _Packing) -> str | None:
    if not packing.certain and not _begins_well(source.data, packing):
        return None
    stream = _Stream(source.data, packing)
    unpacked = visit.unpack(source, iter(stream), len(source.data), _ERRORS)
    _check_end(source, visit, stream)
    inner = source.unwrapped(unpacked, packing.name)
    found = visit.scan(inner)
    return packing.name if found == "unknown" else f"{packing.name}+{found}"


def _begins_well(data: Data, packing: _Packing) -> bool:
    """Whether the first bytes unpack: text and numbers that look like a header do not."""
    head = bytes(data[:_CHUNK])
    if packing.name == "zlib" and (int.from_bytes(head[:2], "big") % 31 or head[1] & 0x20):
        return False
    if packing.name == "lzma" and not _is_lzma_header(head):
        return False
    unpacker = packing.new()
    try:
        found = unpacker.decompress(head, 4096)
    except _ERRORS:
        return False
    return bool(found)


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

    def __init__(self, data: Data, packing: _Packing) -> None:
        self._data = data
        self._packing = packing
        self.end: int | None = None

    def __iter__(self) -> Iterator[bytes]:
        unpacker = self._packing.new()
        pos = 0
        while True:
            chunk = bytes(self._data[pos : pos + _CHUNK])
            pos += len(chunk)
            yield from _drain(unpacker, chunk)
            if unpacker.eof:
                pos -= len(unpacker.unused_data)
                if not self._packing.magic.match(self._data, pos):
                    self.end = pos
                    return
                unpacker = self._packing.new()
            elif not chunk:
                raise EOFError("the packed data ends early")


def _drain(unpacker: Any, chunk: bytes) -> Iterator[bytes]:
    yield unpacker.decompress(chunk, 16 * _CHUNK)
    while not unpacker.eof and not unpacker.needs_input:
        yield unpacker.decompress(b"", 16 * _CHUNK)


def _check_end(source: Source, visit: Visit, stream: _Stream) -> None:
    """Bytes behind the last stream; zeros are padding, as tape blocks have it."""
    if stream.end is None or stream.end >= len(source.data):
        return
    rest = source.data[stream.end :]
    if bytes(rest[:_CHUNK]).strip(b"\0") or len(rest) > _CHUNK:
        message = "bytes after the end of the packed data"
        visit.note(source, rules.TRAILING_DATA, message, stream.end, {"bytes": len(rest)})
        visit.scan(source.inner(rest, "", f"{source.member or ''}@{stream.end}"))


def _read_zfile(source: Source, visit: Visit) -> str:
    start = _ZFILE_HEADER + (bytes(source.data[_ZFILE_HEADER : _ZFILE_HEADER + 1]) == b" ")
    packing = next(one for one in _PACKINGS if one.name == "zlib")
    stream = _Stream(source.data[start:], packing)
    unpacked = visit.unpack(source, iter(stream), len(source.data), _ERRORS)
    found = visit.scan(source.unwrapped(unpacked, "zfile"))
    return "zfile" if found == "unknown" else f"zfile+{found}"
