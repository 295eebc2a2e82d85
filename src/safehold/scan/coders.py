"""What the coders of a 7z folder do, each as a step from chunks of bytes to chunks of bytes.

Those of the standard library unpack LZMA, LZMA2, bzip2 and deflate. It has the filters of the
branches of programs as well, but only in front of LZMA2, whose end they need to see: what they are
given is packed as LZMA2 that packs nothing.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from safehold.scan.sevenzip import Folder
from safehold.scan.unpacking import LZMA_MEMORY, zstd_library
from safehold.scan.values import Data

Chunks = Iterator[bytes]
Step = Callable[[Chunks, bytes, int], Chunks]

ENCRYPTED: Final = bytes.fromhex("06f10701")
_CHUNK: Final = 2**16
_MOST: Final = 2**20
_LEAST_DICTIONARY: Final = 4096
_ZSTD_PIECE: Final = 512


class UnknownError(ValueError):
    """A coder that is not known here, or coders that are no chain; the message names it."""


def unpack(data: Data, folder: Folder) -> Chunks:
    """Yield what a folder holds.

    Raises:
        UnknownError: one of its coders is not known here.
        MissingExtra: one of them needs a library.
        EOFError: its packed bytes end early.
        ValueError, OSError, lzma.LZMAError, zlib.error: they are broken.
    """
    chain = folder.chain
    if not chain:
        raise UnknownError("coders that are no chain, as of BCJ2")
    steps = [_step(coder.method) for coder, _ in chain]
    chunks = _slices(data[folder.start : folder.start + folder.packed])
    for step, (coder, size) in zip(steps, chain, strict=True):
        chunks = _cut(step(chunks, coder.properties, size), size)
    return chunks


def _step(method: bytes) -> Step:
    found = _STEPS.get(method.hex())
    if found is None:
        name = _OTHERS.get(method.hex(), f"the method {method.hex()}")
        raise UnknownError(name)
    return found


def _slices(data: Data) -> Chunks:
    for start in range(0, len(data), _CHUNK):
        yield bytes(data[start : start + _CHUNK])


def _cut(chunks: Chunks, size: int) -> Chunks:
    """Yield so many bytes; what follows them is no part of the output."""
    left = size
    for chunk in chunks:
        if len(chunk) >= left:
            yield chunk[:left]
            return
        left -= len(chunk)
        yield chunk
    if left:
        raise EOFError("the packed data ends early")


def _feed(chunks: Chunks, unpacker: Any) -> Chunks:
    for chunk in chunks:
        yield unpacker.decompress(chunk, _MOST)
        while not unpacker.eof and not unpacker.needs_input:
            yield unpacker.decompress(b"", _MOST)
        if unpacker.eof:
            return


def _copy(chunks: Chunks, properties: bytes, size: int) -> Chunks:
    del properties, size
    return chunks


def _dictionary(asked: int, size: int) -> int:
    """Return how large a dictionary has to be: none is longer than what is unpacked."""
    needed = max(_LEAST_DICTIONARY, min(asked, size))
    if needed > LZMA_MEMORY:
        raise ValueError(f"a dictionary of more than {LZMA_MEMORY} bytes")
    return needed


def _raw(*filters: dict[str, Any]) -> Any:
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)


def _lzma(chunks: Chunks, properties: bytes, size: int) -> Chunks:
    if len(properties) != 5 or properties[0] >= 225:
        raise ValueError("unknown LZMA properties")
    rest, lc = divmod(properties[0], 9)
    pb, lp = divmod(rest, 5)
    asked = int.from_bytes(properties[1:], "little")
    form = {"id": lzma.FILTER_LZMA1, "dict_size": _dictionary(asked, size)}
    return _feed(chunks, _raw({**form, "lc": lc, "lp": lp, "pb": pb}))


def _lzma2(chunks: Chunks, properties: bytes, size: int) -> Chunks:
    if len(properties) != 1 or properties[0] > 40:
        raise ValueError("unknown LZMA2 properties")
    bits = properties[0]
    asked = 2**32 - 1 if bits == 40 else (2 | bits & 1) << (bits // 2 + 11)
    return _feed(chunks, _raw({"id": lzma.FILTER_LZMA2, "dict_size": _dictionary(asked, size)}))


def _stored(chunks: Chunks) -> Chunks:
    """Pack as LZMA2 that packs nothing."""
    control = b"\x01"
    for chunk in chunks:
        for start in range(0, len(chunk), _CHUNK):
            part = chunk[start : start + _CHUNK]
            yield control + (len(part) - 1).to_bytes(2, "big") + part
            control = b"\x02"
    yield b"\0"


def _filter(number: int) -> Step:
    def step(chunks: Chunks, properties: bytes, size: int) -> Chunks:
        del size
        form: dict[str, Any] = {"id": number}
        if number == lzma.FILTER_DELTA:
            form["dist"] = (properties or b"\0")[0] + 1
        elif properties.strip(b"\0"):
            raise ValueError("a filter that begins elsewhere")
        plain = {"id": lzma.FILTER_LZMA2, "dict_size": _LEAST_DICTIONARY}
        return _feed(_stored(chunks), _raw(form, plain))

    return step


def _deflate(chunks: Chunks, properties: bytes, size: int) -> Chunks:
    del properties, size
    unpacker = zlib.decompressobj(-15)
    for chunk in chunks:
        rest = chunk
        while rest and not unpacker.eof:
            yield unpacker.decompress(rest, _MOST)
            rest = unpacker.unconsumed_tail
    while not unpacker.eof and (more := unpacker.decompress(b"", _MOST)):
        yield more


def _bzip2(chunks: Chunks, properties: bytes, size: int) -> Chunks:
    del properties, size
    unpacker = bz2.BZ2Decompressor()
    for chunk in chunks:
        rest = chunk
        while rest:
            if unpacker.eof:  # streams in a row, as several threads write them
                unpacker = bz2.BZ2Decompressor()
            yield from _feed(iter([rest]), unpacker)
            rest = unpacker.unused_data if unpacker.eof else b""


def _zstd(chunks: Chunks, properties: bytes, size: int) -> Chunks:
    """Undo zstd, of which a library unpacks all that one piece of input holds."""
    del properties, size
    undo, error = zstd_library()

    def pieces() -> Chunks:
        try:
            for chunk in chunks:
                for start in range(0, len(chunk), _ZSTD_PIECE):
                    yield undo(chunk[start : start + _ZSTD_PIECE])
        except error as broken:
            raise ValueError(str(broken)) from broken

    return pieces()


_STEPS: Final[dict[str, Step]] = {
    "00": _copy,
    "21": _lzma2,
    "030101": _lzma,
    "040108": _deflate,
    "040202": _bzip2,
    "04f71101": _zstd,
    "03": _filter(lzma.FILTER_DELTA),
    **dict.fromkeys(("04", "03030103"), _filter(lzma.FILTER_X86)),
    **dict.fromkeys(("05", "03030205"), _filter(lzma.FILTER_POWERPC)),
    **dict.fromkeys(("06", "03030401"), _filter(lzma.FILTER_IA64)),
    **dict.fromkeys(("07", "03030501"), _filter(lzma.FILTER_ARM)),
    **dict.fromkeys(("08", "03030701"), _filter(lzma.FILTER_ARMTHUMB)),
    **dict.fromkeys(("09", "03030805"), _filter(lzma.FILTER_SPARC)),
}
_OTHERS: Final = {
    ENCRYPTED.hex(): "encryption",
    "030401": "PPMd",
    "040109": "Deflate64",
    "0303011b": "BCJ2",
    "0a": "ARM64",
    "04f71102": "brotli",
    "04f71104": "LZ4",
}
