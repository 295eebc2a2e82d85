"""Packed streams that one reader joins, or starts, where another stops."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import struct
import sys
import zlib

import pytest

from safehold.policy import Limits
from safehold.scan import lz4frame, scan_bytes
from safehold.scan.formats import packed
from tests.bypasses.payloads import assert_caught, stream, system


def rules(report):
    return {finding.rule.id for finding in report.findings}


@pytest.fixture
def evil(marker):
    return stream(system(marker))


@pytest.fixture
def without(monkeypatch):
    """Hide packages as if they were not installed."""

    def hide(*names):
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


# gzip, zlib, bz2, xz


@pytest.mark.parametrize("flags", [0x20, 0x80, 0xE0])
def test_gzip_header_with_reserved_flags(marker, evil, flags):
    """Python's gzip ignores them, zlib refuses the file."""
    data = bytearray(gzip.compress(evil))
    data[3] = flags
    assert_caught(bytes(data), marker, "gzip")
    assert scan_bytes(bytes(data), "weights").verdict == "malicious"


def test_gzip_header_with_every_field(marker, evil):
    """The checksum of the header is wrong, which Python's gzip does not look at."""
    body = gzip.compress(evil)
    head = body[:3] + b"\x1f" + body[4:10] + b"\x03\x00abc" + b"name\0" + b"comment\0" + b"??"
    assert_caught(head + body[10:], marker, "gzip")


@pytest.mark.parametrize("padding", [0, 1, 700])
def test_gzip_members_with_zeros_between(marker, evil, padding):
    data = gzip.compress(evil[:10]) + bytes(padding) + gzip.compress(evil[10:])
    assert_caught(data, marker, "gzip")


def test_wrong_checksum_of_gzip(marker, evil):
    data = bytearray(gzip.compress(evil))
    data[-8] ^= 1
    report = assert_caught(bytes(data), marker, "gzip")
    assert rules(report) == {"SH101", "SH103"}
    harmless = bytearray(gzip.compress(b"N."))
    harmless[-1] ^= 1
    assert rules(scan_bytes(bytes(harmless), "m.pkl")) == {"SH103"}


def alone(data):
    return lzma.compress(data, lzma.FORMAT_ALONE)


EMPTY = {
    "zlib": (zlib.compress, zlib.compress),
    "bz2": (bz2.compress, bz2.compress),
    "xz, then lzma": (lzma.compress, alone),
    "lzma, then xz": (alone, lzma.compress),
}


@pytest.mark.parametrize("cut", [0, 10])
@pytest.mark.parametrize("name", EMPTY)
def test_streams_in_a_row_are_one(evil, name, cut):
    """Also when the first holds nothing, or is of the other format that the reader knows."""
    first, second = EMPTY[name]
    data = first(evil[:cut]) + second(evil[cut:])
    assert scan_bytes(data, "m").verdict == "malicious"


@pytest.mark.extras
@pytest.mark.parametrize(
    ("name", "cut"), [("bz2", 0), ("bz2", 10), ("xz, then lzma", 0), ("lzma, then xz", 10)]
)
def test_joblib_joins_them(marker, evil, name, cut):
    first, second = EMPTY[name]
    assert_caught(first(evil[:cut]) + second(evil[cut:]), marker, "joblib")


@pytest.mark.extras
@pytest.mark.parametrize("spelling", ["0x{:x}", "{:x}", " +{:x} ", "0X00{:X}", "0_{:x}"])
def test_old_joblib_file_with_a_length_of_another_spelling(marker, evil, spelling):
    length = spelling.format(len(evil)).ljust(19).encode()
    report = assert_caught(b"ZF" + length + zlib.compress(evil), marker, "joblib")
    assert report.format == "zfile+pickle"
    assert scan_bytes(b"ZF" + length + zlib.compress(evil), "weights").verdict == "malicious"


def test_junk_behind_an_old_joblib_file():
    """zlib.decompress leaves it unread without a word."""
    body = zlib.compress(b"N.")
    report = scan_bytes(b"ZF" + b"0x2".ljust(19) + body + b"junk", "m.pkl")
    assert rules(report) == {"SH107"}


def test_text_that_begins_like_an_old_joblib_file_is_none(tmp_path):
    from safehold.scan import scan_path

    (tmp_path / "a.txt").write_text("ZF is short for the name of a company.\n")
    assert scan_path(tmp_path).files == ()


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress])
def test_streams_in_a_row_are_counted(compress, monkeypatch):
    monkeypatch.setattr(packed, "_MOST_STREAMS", 20)
    empty = compress(b"")
    assert "SH105" not in rules(scan_bytes(empty * 20, "m.pkl"))
    assert "SH105" in rules(scan_bytes(empty * 21, "m.pkl"))


# LZ4


def lz4_frame(*blocks, flags=0x60, sizes=0x40):
    """A frame of blocks that are given as they stand, with a wrong checksum of its header."""
    head = lz4frame.MAGIC + bytes([flags, sizes, 0])
    return head + b"".join(blocks) + bytes(4)


def stored(data):
    return struct.pack("<I", len(data) | 1 << 31) + data


def literals(data):
    """One packed block of literals alone."""
    length = len(data)
    more = b"\xff" * ((length - 15) // 255) + bytes([(length - 15) % 255]) if length > 14 else b""
    body = bytes([min(length, 15) << 4]) + more + data
    return struct.pack("<I", len(body)) + body


LZ4 = {
    "stored": lambda evil: lz4_frame(stored(evil)),
    "literals": lambda evil: lz4_frame(literals(evil)),
    "two blocks": lambda evil: lz4_frame(stored(evil[:5]), literals(evil[5:])),
    "two frames": lambda evil: lz4_frame(literals(evil[:5])) + lz4_frame(stored(evil[5:])),
    "an empty frame": lambda evil: lz4_frame() + lz4_frame(stored(evil)),
    "a skipped frame": lambda evil: b"\x52\x2a\x4d\x18\3\0\0\0abc" + lz4_frame(stored(evil)),
    "a skipped frame between": lambda evil: (
        lz4_frame(stored(evil[:5])) + b"\x50\x2a\x4d\x18\0\0\0\0" + lz4_frame(stored(evil[5:]))
    ),
    "its size": lambda evil: (
        lz4frame.MAGIC + b"\x68\x40" + struct.pack("<Q", len(evil)) + b"?" + stored(evil) + bytes(4)
    ),
}


@pytest.mark.parametrize("name", LZ4)
def test_lz4_is_read_without_a_library(without, evil, name):
    without("lz4", "lz4.frame")
    assert scan_bytes(LZ4[name](evil), "weights").verdict == "malicious"


def test_what_an_lz4_frame_holds_is_judged_like_the_file_itself(without):
    without("lz4", "lz4.frame")
    report = scan_bytes(lz4_frame(literals(b"N.")), "m.pkl")
    assert (report.format, report.verdict) == ("lz4+pickle", "clean")
    assert rules(scan_bytes(lz4_frame(literals(b"N.")) + b"junk", "m.pkl")) == {"SH107"}


@pytest.mark.parametrize(
    "data",
    [
        lz4frame.MAGIC,
        lz4_frame(stored(b"N."))[:-6],
        lz4_frame(stored(b"N."))[:-1],
        lz4_frame(struct.pack("<I", 3) + b"\x10N\x01"),  # a match cut off
        lz4_frame(struct.pack("<I", 4) + b"\x10N\x05\0"),  # before the beginning
        lz4_frame(struct.pack("<I", 4) + b"\x10N\0\0"),
        lz4_frame(struct.pack("<I", 2) + b"\x50N"),  # literals cut off
        lz4_frame(struct.pack("<I", 2**20)),
        lz4_frame(stored(b"N."), flags=0x20),  # no version
        lz4_frame(stored(b"N."), flags=0x61),  # a dictionary
        lz4_frame(stored(b"N."), sizes=0x30),
        lz4_frame(struct.pack("<I", 3005) + b"\x1fN\1\0" + b"\xff" * 3000 + b"\0"),  # 765,000 bytes
    ],
)
def test_broken_lz4_is_never_clean(without, data):
    without("lz4", "lz4.frame")
    assert rules(scan_bytes(data, "m.pkl")) >= {"SH103"}


def test_large_lz4_asks_for_the_library(without, monkeypatch):
    without("lz4", "lz4.frame")
    monkeypatch.setattr(lz4frame, "_MOST_PACKED", 1000)
    report = scan_bytes(lz4_frame(literals(b"N." + bytes(2000))), "m.pkl")
    [finding] = [one for one in report.findings if one.rule.id == "SH103"]
    assert "safehold[compression]" in finding.message


def test_legacy_lz4_is_not_read_and_never_clean():
    assert scan_bytes(b"\x02\x21\x4c\x18" + bytes(10), "m.pkl").verdict == "suspicious"


def run_out(chunks, found):
    """Keep what a generator yields, and return what it returns."""
    while True:
        try:
            found.append(next(chunks))
        except StopIteration as ended:
            return ended.value


@pytest.mark.extras
@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("checked", [True, False])
def test_lz4_is_unpacked_as_the_library_does(linked, checked):
    import lz4.frame

    rng = random.Random(5)
    words = [rng.randbytes(rng.randrange(1, 40)) for _ in range(50)]
    for size in (0, 1, 20, 5_000, 300_000):
        text = b"".join(rng.choice(words) for _ in range(size // 20 + 1))[:size]
        for level in (0, 9):
            packed_text = lz4.frame.compress(
                text, level, block_linked=linked, block_checksum=checked,
                content_checksum=checked, block_size=lz4.frame.BLOCKSIZE_MAX64KB,
            )  # fmt: skip
            found = []
            end = run_out(lz4frame.unpack(b"??" + packed_text + b"!", 2), found)
            assert end == 2 + len(packed_text)
            assert b"".join(found) == text


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.extras
@pytest.mark.parametrize("library", [True, False])
def test_joblib_dump_in_lz4(marker, tmp_path, without, library):
    import joblib
    import numpy as np

    path = tmp_path / "m.joblib"
    joblib.dump([np.arange(1000), Evil(marker)], path, compress="lz4")
    if not library:
        without("lz4", "lz4.frame")
    assert_caught(path.read_bytes(), marker, "joblib")
    assert scan_bytes(path.read_bytes(), "weights").verdict == "malicious"


@pytest.mark.extras
@pytest.mark.parametrize("library", [True, False])
def test_harmless_joblib_dump_in_lz4_is_clean(tmp_path, without, library):
    import joblib
    import numpy as np

    path = tmp_path / "m.joblib"
    joblib.dump({"a": np.arange(100_000), "b": ["text"] * 1000}, path, compress=("lz4", 3))
    if not library:
        without("lz4", "lz4.frame")
    report = scan_bytes(path.read_bytes(), "m.joblib")
    assert (report.format, report.verdict) == ("lz4+joblib", "clean"), report


@pytest.mark.extras
def test_broken_lz4_with_the_library():
    import lz4.frame

    data = lz4.frame.compress(b"N." + bytes(range(256)) * 10)
    assert scan_bytes(data[:-10], "m.pkl").verdict == "suspicious"
    assert scan_bytes(data[:4] + b"\xff" + data[5:], "m.pkl").verdict == "suspicious"


# zstd


def zstd_frame(*blocks, single=True):
    """A frame of (kind, data) blocks; kind 0 is stored, 1 is one byte many times."""
    head = b"\x28\xb5\x2f\xfd\x20\x00" if single else b"\x28\xb5\x2f\xfd\x00\x58"
    rows = []
    for index, (kind, size, data) in enumerate(blocks):
        rows.append(
            ((index == len(blocks) - 1) | kind << 1 | size << 3).to_bytes(3, "little") + data
        )
    return head + b"".join(rows)


def test_zstd_without_a_library_is_never_clean(without, evil):
    without("zstandard", "compression.zstd")
    data = zstd_frame((0, len(evil), evil), single=False)
    report = scan_bytes(data, "m.pkl")
    assert (report.format, report.verdict) == ("zstd", "suspicious")
    assert "safehold[compression]" in report.findings[0].message
    assert scan_bytes(data, "weights").verdict == "suspicious"


@pytest.mark.extras
@pytest.mark.parametrize("cut", [0, 7])
def test_zstd(evil, cut):
    frames = [zstd_frame((0, len(part), part), single=False) for part in (evil[:cut], evil[cut:])]
    for middle in (b"", b"\x5e\x2a\x4d\x18\2\0\0\0ab"):
        assert scan_bytes(middle.join(frames), "weights").verdict == "malicious"


@pytest.mark.extras
@pytest.mark.parametrize("level", [1, 19])
def test_harmless_zstd_is_clean(level):
    import pickle

    import zstandard

    data = pickle.dumps([bytes(range(256)) * 4000, list(range(50_000))])
    maker = zstandard.ZstdCompressor(level, write_checksum=True, write_content_size=level == 1)
    report = scan_bytes(maker.compress(data), "m.pkl")
    assert (report.format, report.verdict) == ("zstd+pickle", "clean"), report
    streamed = maker.compressobj()
    whole = streamed.compress(data) + streamed.flush()
    assert scan_bytes(whole, "m.pkl").verdict == "clean"
    assert rules(scan_bytes(whole + b"junk", "m.pkl")) == {"SH107"}
    assert rules(scan_bytes(whole[:-20], "m.pkl")) >= {"SH103"}


@pytest.mark.extras
@pytest.mark.parametrize(
    "data",
    [
        b"\x28\xb5\x2f\xfd",
        b"\x28\xb5\x2f\xfd\x01\x58\x07" + b"\x01\0\0",  # a dictionary
        b"\x28\xb5\x2f\xfd\x00\xa0" + b"\x01\0\0",  # a window of 1 GiB
        zstd_frame((3, 1, b"N"), single=False),
        zstd_frame((2, 4, b"junk"), single=False),
    ],
)
def test_broken_zstd_is_never_clean(data):
    assert "SH103" in rules(scan_bytes(data, "m.pkl"))


@pytest.mark.extras
def test_zstd_bomb():
    """Four bytes that unpack to 128 KiB, many times over: no piece of it is unpacked at once."""
    import tracemalloc

    data = zstd_frame(*[(1, 2**17, b"\0")] * 20_000, single=False)
    tracemalloc.start()
    report = scan_bytes(data, "m.pkl", Limits(expansion=100))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "SH105" in rules(report)
    assert peak < 64 * 2**20


@pytest.mark.extras
def test_member_of_a_zip_packed_with_zstd(evil):
    """zipfile reads method 93 from Python 3.14 on."""
    body = zstd_frame((0, len(evil), evil), single=False)
    common = struct.pack("<5H3I2H", 63, 0, 93, 0, 33, zlib.crc32(evil), len(body), len(evil), 1, 0)
    local = b"PK\x03\x04" + common + b"m" + body
    central = b"PK\x01\x02" + struct.pack("<H", 63) + common + struct.pack("<3H2I", 0, 0, 0, 0, 0)
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 1, 1, len(central) + 1, len(local), 0)
    report = scan_bytes(local + central + b"m" + end, "m.zip")
    assert rules(report) == {"SH101"}
