"""One packed stream at a time: each function yields what it holds and returns where it ends.

What they raise stands in `ERRORS`: `EOFError` if a stream is cut off, others if it is broken.
"""

from __future__ import annotations

import bz2
import importlib
import lzma
import re
import zlib
from collections.abc import Callable, Generator
from typing import Any, Final

from safehold.errors import MissingExtra
from safehold.scan import lz4frame
from safehold.scan.values import Data

Unpacked = Generator[bytes, None, int]
Unpack = Callable[[Data, int], Unpacked]

ERRORS: Final = (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, MemoryError)
EXTRA: Final = "compression"
_CHUNK: Final = 2**16
# xz -9 needs 65 MiB to decompress; a header may ask for 4 GiB.
LZMA_MEMORY: Final = 256 * 2**20
_NUL: Final = re.compile(b"\0")
_NONZERO: Final = re.compile(rb"[^\0]")
# zstd --ultra -22 asks for 128 MiB.
_ZSTD_WINDOW: Final = 2**27
_ZSTD_BLOCK: Final = 2**17
_ZSTD_TOGETHER: Final = 64
# A block has 128 KiB where it is full; a frame of tiny ones only costs time.
_MOST_BLOCKS: Final = 4_000_000


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


def feed(data: Data, pos: int, unpacker: Any) -> Unpacked:
    """Hand a decompressor of the standard library its input piece by piece."""
    while True:
        chunk = bytes(data[pos : pos + _CHUNK])
        pos += len(chunk)
        yield unpacker.decompress(chunk, 16 * _CHUNK)
        while not unpacker.eof and not unpacker.needs_input:
            yield unpacker.decompress(b"", 16 * _CHUNK)
        if unpacker.eof:
            return pos - len(unpacker.unused_data or b"")
        if not chunk:
            raise EOFError("the packed data ends early")


def unzlib(data: Data, pos: int) -> Unpacked:
    """Undo zlib with its header."""
    return (yield from feed(data, pos, _Inflate(15)))


def inflate(data: Data, pos: int) -> Unpacked:
    """Undo bare deflate, as in zip."""
    return (yield from feed(data, pos, _Inflate(-15)))


def unbzip2(data: Data, pos: int) -> Unpacked:
    """Undo one bzip2 stream."""
    return (yield from feed(data, pos, bz2.BZ2Decompressor()))


def unxz(data: Data, pos: int) -> Unpacked:
    """Undo one xz stream."""
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY)
    return (yield from feed(data, pos, unpacker))


def unlzma(data: Data, pos: int) -> Unpacked:
    """Undo one stream of the lone .lzma format."""
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=LZMA_MEMORY)
    return (yield from feed(data, pos, unpacker))


def gunzip(data: Data, pos: int) -> Unpacked:
    """Undo one gzip member as Python's gzip does: any flags, and zeros behind it are padding."""
    pos = _gzip_body(data, pos)
    crc = size = 0
    chunks = feed(data, pos, _Inflate(-15))
    while True:
        try:
            chunk = next(chunks)
        except StopIteration as ended:
            pos = ended.value
            break
        crc = zlib.crc32(chunk, crc)
        size += len(chunk)
        yield chunk
    trailer = bytes(data[pos : pos + 8])
    if len(trailer) < 8:
        raise EOFError("the packed data ends early")
    if trailer != crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"):
        raise OSError("the checksum of the packed data is wrong")
    rest = _NONZERO.search(data, pos + 8)
    padded = rest is not None and bytes(data[rest.start() : rest.start() + 2]) == b"\x1f\x8b"
    return rest.start() if rest is not None and padded else pos + 8


def _gzip_body(data: Data, pos: int) -> int:
    """Return where the packed bytes of a gzip member begin."""
    flags = data[pos + 3] if pos + 10 <= len(data) else 0
    pos += 10
    if flags & 4:
        pos += 2 + int.from_bytes(data[pos : pos + 2], "little")
    for _ in range((flags >> 3 & 1) + (flags >> 4 & 1)):  # a name, a comment
        end = _NUL.search(data, pos)
        pos = end.end() if end else len(data)
    pos += 2 * (flags >> 1 & 1)
    if pos >= len(data):
        raise EOFError("the packed data ends early")
    return pos


def unlz4(data: Data, pos: int) -> Unpacked:
    """Undo one LZ4 frame, by the library if it is installed."""
    try:
        library = importlib.import_module("lz4.frame")
    except ImportError:
        return (yield from lz4frame.unpack(data, pos))
    try:
        return (yield from feed(data, pos, library.LZ4FrameDecompressor()))
    except RuntimeError as error:  # what the library raises for broken frames
        raise ValueError(str(error)) from error


def skip(data: Data, pos: int) -> Unpacked:
    """Step over a frame that LZ4 and zstd ignore."""
    stop = pos + 8 + int.from_bytes(data[pos + 4 : pos + 8], "little")
    if stop > len(data):
        raise EOFError("the packed data ends early")
    yield b""
    return stop


def unzstd(data: Data, pos: int) -> Unpacked:
    """Undo one zstd frame.

    Raises:
        MissingExtra: no library for it is installed.
    """
    undo, error = zstd_library()
    cuts, complete = _zstd_cuts(data, pos)
    for end in cuts:
        try:
            yield undo(bytes(data[pos:end]))
        except error as broken:
            raise ValueError(str(broken)) from broken
        pos = end
    if not complete:
        raise EOFError("the packed data ends early")
    return pos


def zstd_library() -> tuple[Callable[[bytes], bytes], type[Exception]]:
    """Return a fresh decompressor for one frame, and what it raises.

    Raises:
        MissingExtra: neither Python's own library (3.14) nor the extra's is installed.
    """
    for name in ("compression.zstd", "zstandard"):
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        if name == "zstandard":
            made = library.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        else:
            made = library.ZstdDecompressor()
        return made.decompress, library.ZstdError
    raise MissingExtra("zstandard", EXTRA)


def _zstd_cuts(data: Data, pos: int) -> tuple[list[int], bool]:
    """Return where to cut a frame so that no piece unpacks to much, and whether its end was found.

    The libraries unpack whatever one piece of input holds, and four bytes may hold 128 KiB.
    """
    head = bytes(data[pos : pos + 18])
    if len(head) < 6:
        raise EOFError("the packed data ends early")
    flags = head[4]
    single = flags >> 5 & 1
    if flags & 3:
        raise ValueError("packed with a dictionary that is kept elsewhere")
    sized = (single, 2, 4, 8)[flags >> 6]
    size = int.from_bytes(head[6 - single : 6 - single + sized], "little")
    exponent, mantissa = head[5] >> 3, head[5] & 7
    window = size if single else (2 ** (10 + exponent) // 8) * (8 + mantissa)
    if window > _ZSTD_WINDOW:
        raise ValueError(f"a window of more than {_ZSTD_WINDOW} bytes")
    at = pos + 5 + (1 - single) + sized
    cuts: list[int] = []
    for count in range(1, _MOST_BLOCKS):
        block = int.from_bytes(data[at : at + 3], "little")
        length = 1 if block >> 1 & 3 == 1 else block >> 3
        at += 3 + length
        if block & 1:
            at += 4 * (flags >> 2 & 1)
        if at > len(data):
            return [*cuts, len(data)], False
        if block & 1:
            return [*cuts, at], True
        if count % _ZSTD_TOGETHER == 0:
            cuts.append(at)
    return cuts, False
