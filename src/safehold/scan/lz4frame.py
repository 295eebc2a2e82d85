"""LZ4 frames, as joblib writes them, unpacked in Python.

A frame is a header, then blocks of a length and bytes, of which the highest bit of the length says
that they are not packed; a packed block is a row of literals and of matches in what came before.
Checksums are stepped over: a loader has run the pickle before it sees that one is wrong.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from safehold.scan.values import Data

MAGIC: Final = b"\x04\x22\x4d\x18"
_HISTORY: Final = 2**16
_BLOCK_SIZES: Final = {4: 2**16, 5: 2**18, 6: 2**20, 7: 2**22}
_STORED: Final = 2**31
# Three bytes may be one step of a loop in Python, so more than this takes too long.
_MOST_PACKED: Final = 16 * 2**20


class TooMuchError(ValueError):
    """More packed bytes than Python should unpack."""


def unpack(data: Data, start: int) -> Generator[bytes, None, int]:
    """Yield what one frame holds and return where it ends.

    Raises:
        TooMuchError: another decoder has to read it.
        EOFError: it is cut off.
        ValueError: it is broken.
    """
    flags, largest, pos = _header(data, start)
    linked, checked = not flags & 0x20, 4 * bool(flags & 0x10)
    history = b""
    packed = 0
    while length := _number(data, pos):
        pos += 4
        stored, length = bool(length & _STORED), length & ~_STORED
        if length > largest:
            raise ValueError("a block larger than the frame allows")
        block = bytes(data[pos : pos + length])
        if len(block) < length:
            raise EOFError("the packed data ends early")
        pos += length + checked
        if not stored:
            packed += length
            if packed > _MOST_PACKED:
                raise TooMuchError("more than can be unpacked without a library")
            block = _undo(block, history, largest)
        yield block
        if linked:
            history = (history + block)[-_HISTORY:]
    return pos + 4 + 4 * bool(flags & 0x04)


def _header(data: Data, start: int) -> tuple[int, int, int]:
    """Return the flags, the size of a block, and where the first one begins."""
    if len(data) < start + 7:
        raise EOFError("the packed data ends early")
    flags, sizes = data[start + 4], data[start + 5]
    largest = _BLOCK_SIZES.get(sizes >> 4)
    if flags >> 6 != 1 or largest is None:
        raise ValueError("an unknown version of the format")
    if flags & 1:
        raise ValueError("packed with a dictionary that is kept elsewhere")
    return flags, largest, start + 7 + 8 * bool(flags & 0x08)


def _number(data: Data, pos: int) -> int:
    raw = bytes(data[pos : pos + 4])
    if len(raw) < 4:
        raise EOFError("the packed data ends early")
    return int.from_bytes(raw, "little")


def _undo(block: bytes, history: bytes, most: int) -> bytes:
    try:
        return _sequences(block, bytearray(history), most)[len(history) :]
    except IndexError as error:
        raise ValueError("a block ends inside a match") from error


def _sequences(block: bytes, out: bytearray, most: int) -> bytes:
    most += len(out)
    pos, stop = 0, len(block)
    while True:
        token = block[pos]
        pos += 1
        length = token >> 4
        if length == 15:
            more, pos = _long(block, pos)
            length += more
        if length:
            out += block[pos : pos + length]
            pos += length
        if pos >= stop:
            if pos > stop or len(out) > most:
                raise ValueError("literals beyond the end of a block")
            return bytes(out)
        back = block[pos] | block[pos + 1] << 8
        pos += 2
        length = (token & 15) + 4
        if length == 19:
            more, pos = _long(block, pos)
            length += more
        begin = len(out) - back
        if back == 0 or begin < 0 or len(out) + length > most:
            raise ValueError("a match beyond the bounds of a block")
        if back >= length:
            out += out[begin : begin + length]
        else:
            out += (out[begin:] * (length // back + 1))[:length]


def _long(block: bytes, pos: int) -> tuple[int, int]:
    """Read a length that goes on: bytes are added up to the first that is not 255."""
    total = 0
    while True:
        byte = block[pos]
        pos += 1
        total += byte
        if byte != 255:
            return total, pos
