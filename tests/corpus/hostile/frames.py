"""LZ4 and zstd, written here as no library of the standard one does."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Callable
from pathlib import Path

from tests.bypasses.payloads import Raw, stream, system, value
from tests.corpus.cases import Case
from tests.corpus.hostile.arrays import wrapper
from tests.corpus.sevenzips import zstd_frame

# Without a library for it zstd is not unpacked, so that the file is only suspicious.
_ZSTD = any(importlib.util.find_spec(name) is not None for name in ("zstandard", "compression"))
_PRIMES = (2654435761, 2246822519, 3266489917, 668265263, 374761393)


def _rotated(value: int, by: int) -> int:
    value &= 0xFFFFFFFF
    return (value << by | value >> 32 - by) & 0xFFFFFFFF


def xxh32(data: bytes) -> int:
    """The checksum of less than 16 bytes, as a header of LZ4 has it."""
    assert len(data) < 16
    value = _PRIMES[4] + len(data)
    while len(data) >= 4:
        value = _rotated(value + int.from_bytes(data[:4], "little") * _PRIMES[2], 17) * _PRIMES[3]
        data = data[4:]
    for byte in data:
        value = _rotated(value + byte * _PRIMES[4], 11) * _PRIMES[0]
    value = (value & 0xFFFFFFFF) ^ (value & 0xFFFFFFFF) >> 15
    value = value * _PRIMES[1] & 0xFFFFFFFF
    value = (value ^ value >> 13) * _PRIMES[2] & 0xFFFFFFFF
    return value ^ value >> 16


def stored(data: bytes) -> bytes:
    return struct.pack("<I", len(data) | 0x80000000) + data


def literals(data: bytes) -> bytes:
    """One block of nothing but literals."""
    more = len(data) - 15
    sizes = b"\xff" * (more // 255) + bytes([more % 255])
    block = (b"\xf0" + sizes if more >= 0 else bytes([len(data) << 4])) + data
    return struct.pack("<I", len(block)) + block


def lz4_frame(*blocks: bytes) -> bytes:
    head = b"\x60\x40"
    checked = head + bytes([xxh32(head) >> 8 & 0xFF])
    return b"\x04\x22\x4d\x18" + checked + b"".join(blocks) + bytes(4)


def skipped(data: bytes) -> bytes:
    return b"\x52\x2a\x4d\x18" + struct.pack("<I", len(data)) + data


def _evil(canary: Path) -> bytes:
    return stream(system(canary))


def _by_stack(canary: Path) -> bytes:
    """Without lines, which the reader of zstandard cannot read."""
    return b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + value(f"touch {canary}") + b"\x85R."


def _behind_array(canary: Path) -> bytes:
    """joblib's loader unpacks both on its own."""
    head = b"\x80\x03" + wrapper((64,)) + b"." * 64 + b"0"
    return head + system(canary).opcodes + b"."


def _halves(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


def _two_blocks(canary: Path) -> bytes:
    first, second = _halves(_evil(canary))
    return lz4_frame(stored(first), literals(second))


def _two_frames(canary: Path) -> bytes:
    first, second = _halves(_evil(canary))
    return lz4_frame(literals(first)) + skipped(b"note") + lz4_frame(stored(second))


def _two_zstd_frames(canary: Path) -> bytes:
    first, second = _halves(_evil(canary))
    return zstd_frame(first) + zstd_frame(second)


def _case(
    identity: str, build: Callable[[Path], bytes], loader: str, suffix: str, **more: str
) -> Case:
    return Case(f"frames-{identity}", "compression", build, loader, suffix, **more)


VERDICT = "malicious" if _ZSTD else "suspicious"
CASES = [
    _case("lz4-stored", lambda m: lz4_frame(stored(_evil(m))), "lz4", ".pkl.lz4"),
    _case("lz4-literals", lambda m: lz4_frame(literals(_evil(m))), "lz4", ".pkl.lz4"),
    _case("lz4-two-blocks", _two_blocks, "lz4", ".pkl.lz4"),
    _case("lz4-two-frames", _two_frames, "lz4", ".bin"),
    _case("lz4-no-suffix", lambda m: lz4_frame(literals(_evil(m))), "lz4", ""),
    _case("lz4-joblib", lambda m: lz4_frame(literals(_behind_array(m))), "joblib lz4", ".joblib"),
    _case("lz4-cut", lambda m: lz4_frame(stored(_evil(m)), stored(bytes(999)))[:-99], "lz4", ".z"),
    _case(
        "zstd", lambda m: zstd_frame(_evil(m)), "zstd", ".pkl.zst", verdict=VERDICT,
    ),
    _case(
        "zstd-blocks", lambda m: zstd_frame(_evil(m), pieces=4), "zstd", ".pkl.zst",
        verdict=VERDICT,
    ),
    _case(
        "zstd-skipped", lambda m: skipped(b"note") + zstd_frame(_evil(m)), "zstd", ".pkl.zst",
        verdict=VERDICT,
    ),
    _case("zstd-two-frames", _two_zstd_frames, "zstd", ".bin", verdict=VERDICT),
    _case(
        "zstd-pandas", lambda m: zstd_frame(_by_stack(m)), "pandas zstd", ".pkl.zst",
        verdict=VERDICT,
    ),
    _case(
        "zstd-protocol-0", lambda m: zstd_frame(stream(Raw(system(m).opcodes), protocol=None)),
        "zstd", ".zst", verdict=VERDICT,
    ),
]  # fmt: skip
