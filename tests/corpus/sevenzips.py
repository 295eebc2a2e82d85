"""Writes 7z archives: one folder, packed by any of the methods that the standard library has."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Sequence

MAGIC = b"7z\xbc\xaf\x27\x1c\0\4"
_DICTIONARY = 2**16
_LZMA = {"dict_size": _DICTIONARY, "lc": 3, "lp": 0, "pb": 2}
_LZMA2 = {"id": lzma.FILTER_LZMA2, "dict_size": _DICTIONARY}
Coder = tuple[bytes, bytes]
LZMA2: Coder = (b"\x21", b"\x08")
LZMA1: Coder = (b"\3\1\1", b"\x5d" + struct.pack("<I", _DICTIONARY))


def zstd_frame(data: bytes, *, pieces: int = 1) -> bytes:
    """A frame of raw blocks, without a checksum."""
    step = -(-len(data) // pieces)
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    blocks = [
        struct.pack("<I", len(part) << 3 | (number == len(parts)))[:3] + part
        for number, part in enumerate(parts, 1)
    ]
    return b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(blocks)


def _raw(*filters: dict) -> Callable[[bytes], bytes]:
    return lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=list(filters))


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


# Coders as bytes pass them when they are packed.
METHODS: dict[str, tuple[list[Coder], Callable[[bytes], bytes]]] = {
    "copy": ([(b"\0", b"")], lambda data: data),
    "lzma2": ([LZMA2], _raw(_LZMA2)),
    "lzma": ([LZMA1], _raw({"id": lzma.FILTER_LZMA1, **_LZMA})),
    "bzip2": ([(b"\4\2\2", b"")], bz2.compress),
    "deflate": ([(b"\4\1\x08", b"")], _deflated),
    "delta": ([(b"\3", b"\3"), LZMA2], _raw({"id": lzma.FILTER_DELTA, "dist": 4}, _LZMA2)),
    "x86": ([(b"\3\3\1\3", b""), LZMA2], _raw({"id": lzma.FILTER_X86}, _LZMA2)),
    "arm": ([(b"\3\3\5\1", b""), LZMA2], _raw({"id": lzma.FILTER_ARM}, _LZMA2)),
    "zstd": ([(b"\x04\xf7\x11\x01", b"\1\5\3\0\0")], lambda data: zstd_frame(data, pieces=2)),
}


def number(value: int) -> bytes:
    for more in range(8):
        if value < 1 << 7 * (more + 1):
            first = (0xFF00 >> more & 0xFF) | value >> 8 * more
            return bytes([first]) + (value & (1 << 8 * more) - 1).to_bytes(more, "little")
    return b"\xff" + value.to_bytes(8, "little")


def part(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + number(len(content)) + content


def folder(coders: Sequence[Coder], *, main_first: bool = False) -> bytes:
    """Describe coders, as py7zr orders them: that which gives the files comes last."""
    count = len(coders)
    out = number(count)
    for method, properties in coders if main_first else reversed(coders):
        out += bytes([len(method) | 0x20 * bool(properties)]) + method
        out += number(len(properties)) + properties if properties else b""
    pairs = [(at, at + 1) if main_first else (at + 1, at) for at in range(count - 1)]
    return out + b"".join(number(taker) + number(giver) for taker, giver in pairs)


def streams(
    coders: Sequence[Coder],
    packed: int,
    size: int,
    *,
    start: int = 0,
    crc: int | None = None,
    files: Sequence[bytes] = (),
    main_first: bool = False,
) -> bytes:
    """Describe one folder, and the files in it."""
    out = b"\6" + number(start) + number(1) + b"\x09" + number(packed) + b"\0"
    out += b"\7\x0b" + number(1) + b"\0" + folder(coders, main_first=main_first)
    out += b"\x0c" + number(size) * len(coders)
    out += b"" if crc is None else b"\x0a\1" + struct.pack("<I", crc)
    out += b"\0"
    if files:
        out += b"\x08\x0d" + number(len(files))
        if len(files) > 1:
            out += b"\x09" + b"".join(number(len(one)) for one in files[:-1])
        out += b"\x0a\1" + b"".join(struct.pack("<I", zlib.crc32(one)) for one in files) + b"\0"
    return out + b"\0"


def listing(
    names: Sequence[str], attributes: Sequence[int] | None = None, more: bytes = b""
) -> bytes:
    text = b"\0" + "".join(f"{name}\0" for name in names).encode("utf-16-le")
    out = b"\5" + number(len(names)) + part(0x11, text) + more
    if attributes is not None:
        out += part(0x15, b"\1\0" + struct.pack(f"<{len(names)}I", *attributes))
    return out + b"\0"


def closed(packed: bytes, header: bytes) -> bytes:
    """Put the beginning before packed bytes and a header."""
    start = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return MAGIC + struct.pack("<I", zlib.crc32(start)) + start + packed + header


def archive(
    files: Sequence[tuple[str, bytes]],
    method: str = "lzma2",
    *,
    packed_header: bool = False,
    attributes: Sequence[int] | None = None,
) -> bytes:
    coders, pack = METHODS[method]
    contents = [data for _, data in files]
    whole = b"".join(contents)
    packed = pack(whole)
    header = b"\1\4" + streams(coders, len(packed), len(whole), files=contents)
    header += listing([name for name, _ in files], attributes) + b"\0"
    if not packed_header:
        return closed(packed, header)
    coders, pack = METHODS["lzma"]
    small = pack(header)
    about = streams(coders, len(small), len(header), start=len(packed), crc=zlib.crc32(header))
    return closed(packed + small, b"\x17" + about)
