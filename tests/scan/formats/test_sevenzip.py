from __future__ import annotations

import bz2
import pickle
import random
import struct
import zlib

import pytest

from safehold.policy import Limits
from safehold.scan import scan_bytes, sevenzip
from safehold.scan.budget import Budget
from tests.bypasses.payloads import named, stream
from tests.corpus.sevenzips import (
    LZMA2,
    MAGIC,
    METHODS,
    archive,
    closed,
    listing,
    number,
    part,
    streams,
)
from tests.scan.formats.damage import clean_prefixes, flip, verdict

EVIL = stream(named("os", "system"))
GOOD = pickle.dumps({"a": [1, 2.5, "x" * 300]})
FILES = [("a/readme.txt", b"text " * 400 + bytes(range(256))), ("b.pkl", GOOD)]
NEEDS_EXTRA = {"zstd"}
PLAIN = sorted(set(METHODS) - NEEDS_EXTRA)


def rules(report):
    return {finding.rule.id for finding in report.findings}


@pytest.mark.parametrize("packed_header", [False, True])
@pytest.mark.parametrize("method", PLAIN)
def test_archives_of_each_method(method, packed_header):
    report = scan_bytes(archive(FILES, method, packed_header=packed_header), "a")
    assert (report.format, report.verdict) == ("7z", "clean"), report.findings
    bad = archive([*FILES, ("c", EVIL)], method, packed_header=packed_header)
    report = scan_bytes(bad, "a")
    assert report.verdict == "malicious"
    assert report.findings[0].location.member == "c"


@pytest.mark.extras
def test_zstd_needs_a_library(monkeypatch):
    assert scan_bytes(archive(FILES, "zstd"), "a").verdict == "clean"
    assert scan_bytes(archive([("a", EVIL)], "zstd"), "a").verdict == "malicious"
    for name in ("zstandard", "compression.zstd"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    report = scan_bytes(archive(FILES, "zstd"), "a")
    assert rules(report) == {"SH103"}
    assert "safehold[compression]" in report.findings[0].message


@pytest.mark.parametrize("packed_header", [False, True])
def test_a_cut_archive_is_never_clean(packed_header):
    data = archive(FILES, packed_header=packed_header)
    # Shorter than its magic, it is in no format; nobody takes it for an archive.
    assert clean_prefixes(data, "a.7z") == []


def test_coders_stand_in_either_order():
    for method in ("delta", "x86"):
        coders, pack = METHODS[method]
        packed = pack(EVIL)
        about = streams(coders, len(packed), len(EVIL), files=[EVIL], main_first=True)
        data = closed(packed, b"\1\4" + about + listing(["a"]) + b"\0")
        assert scan_bytes(data, "a").verdict == "malicious"


def test_streams_of_bzip2_in_a_row():
    packed = bz2.compress(EVIL[:9]) + bz2.compress(EVIL[9:])
    about = streams(METHODS["bzip2"][0], len(packed), len(EVIL), files=[EVIL])
    data = closed(packed, b"\1\4" + about + listing(["a"]) + b"\0")
    assert scan_bytes(data, "a").verdict == "malicious"


def repaired(data: bytes) -> bytes:
    """Make the checksums of the header right."""
    size = int.from_bytes(data[12:20], "little")
    start = data[12:28] + struct.pack("<I", zlib.crc32(data[32 + size :]))
    return data[:8] + struct.pack("<I", zlib.crc32(start)) + start + data[32:]


@pytest.mark.parametrize("method", ["copy", "lzma2", "x86"])
def test_damage_is_no_failure(method):
    data = archive(FILES, method, attributes=[0x20, 0x20])
    flip(data, "a", 150)
    header = 32 + int.from_bytes(data[12:20], "little")
    rng = random.Random(3)
    for _ in range(600):
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            copy[rng.randrange(header, len(copy))] = rng.choice(
                (0, 1, 5, 9, 0x7F, 0xFF, rng.randrange(256))
            )
        verdict(repaired(bytes(copy)), "a")


def test_flipped_bits_of_packed_bytes_are_told():
    data = archive(FILES, "copy")
    for place in range(32, 32 + 200):
        copy = bytearray(data)
        copy[place] ^= 1
        assert "SH103" in rules(scan_bytes(bytes(copy), "a"))


@pytest.mark.parametrize("name", ["../a", "/etc/cron.d/a", "..\\a", "C:\\a", "a/../../b"])
def test_a_name_that_leads_outside(name):
    # CVE-2022-44900
    report = scan_bytes(archive([(name, b"text")]), "a")
    assert (rules(report), report.verdict) == ({"SH108"}, "malicious")


def test_a_link_to_outside():
    mode = 0o120777 << 16 | 0x8000
    data = archive([("a", b"../../etc/passwd")], attributes=[mode])
    assert rules(scan_bytes(data, "a")) == {"SH108"}
    assert scan_bytes(archive([("a", b"b")], attributes=[mode]), "a").verdict == "clean"


def coded(*coders, size=100, packed=b"x" * 100, name="a.pkl"):
    header = b"\1\4" + streams(coders, len(packed), size, files=[b"x" * size][:1])
    return closed(packed, header + listing([name]) + b"\0")


@pytest.mark.parametrize(
    ("coder", "word"),
    [
        ((bytes.fromhex("06f10701"), b"\x13\0"), "encrypted"),
        ((bytes.fromhex("030401"), b"\6\0\0\0\1"), "PPMd"),
        ((bytes.fromhex("040109"), b""), "Deflate64"),
        ((bytes.fromhex("aabb"), b""), "aabb"),
    ],
)
def test_what_cannot_be_unpacked_is_never_clean(coder, word):
    report = scan_bytes(coded(coder), "a")
    assert rules(report) == {"SH103"}
    assert word in report.findings[0].message


def test_an_encrypted_header():
    about = streams([(bytes.fromhex("06f10701"), b"\x13\0")], 32, 20)
    report = scan_bytes(closed(bytes(32), b"\x17" + about), "a")
    assert rules(report) == {"SH103"}
    assert "encrypted" in report.findings[0].message


def test_bombs_end_at_the_limit():
    zeros = METHODS["lzma2"][1](bytes(2**20))
    small = Limits(artifact=2**19)
    header = b"\1\4" + streams([LZMA2], len(zeros), 2**20, files=[bytes(2**20)])
    data = closed(zeros, header + listing(["a"]) + b"\0")
    assert "SH105" in rules(scan_bytes(data, "a", small))
    about = streams([LZMA2], 100, 2**40)
    assert rules(scan_bytes(closed(bytes(100), b"\x17" + about), "a")) == {"SH105"}


def test_a_dictionary_of_4_gib_is_no_larger_than_what_is_unpacked():
    coders, pack = METHODS["lzma"]
    packed = pack(GOOD)
    coder = (coders[0][0], b"\x5d\xff\xff\xff\xff")
    header = b"\1\4" + streams([coder], len(packed), len(GOOD), files=[GOOD])
    assert scan_bytes(closed(packed, header + listing(["a"]) + b"\0"), "a").verdict == "clean"


def test_headers_in_headers_end():
    header = b"\x17"
    packed = b""
    for _ in range(6):
        about = streams([(b"\0", b"")], len(header), len(header), start=len(packed))
        packed += header
        header = b"\x17" + about
    assert rules(scan_bytes(closed(packed, header), "a")) == {"SH103"}


@pytest.mark.parametrize(
    "header",
    [
        b"\1\5" + number(2**40),
        b"\1\4\6" + number(0) + number(2**40),
        b"\1\4\6" + number(2**60) + number(1) + b"\x09" + number(1) + b"\0",
        b"\1\4\7\x0b" + number(2**30) + b"\0",
        b"\1\4\7\x0b" + number(1) + b"\0" + number(200),
        b"\1\4\7\x0b" + number(1) + b"\1",
        b"\1\x63",
        b"\x63",
        b"\1" + listing(["a", "b"]).replace(number(2), number(3), 1) + b"\0",
        b"\1\5" + number(1) + part(0x11, b"\0\0\xd8") + b"\0\0",
    ],
)
def test_what_a_header_may_not_say(header):
    assert rules(scan_bytes(closed(b"", header), "a")) == {"SH103"}


def test_a_file_of_an_archive_in_several_is_not_clean():
    data = archive(FILES)
    report = scan_bytes(data[: len(data) // 2], "a.7z.001")
    assert rules(report) == {"SH103"}


def test_what_no_file_covers_is_read():
    data = archive(FILES)
    assert rules(scan_bytes(data + EVIL, "a")) == {"SH101", "SH107"}
    size = int.from_bytes(data[12:20], "little")
    header = data[32 + size :]
    hidden = closed(data[32 : 32 + size] + EVIL, header)
    assert {"SH101", "SH107"} <= rules(scan_bytes(hidden, "a"))
    broken = bytearray(archive([("a", EVIL)], "copy"))
    broken[40 + len(EVIL)] ^= 1
    assert "SH103" in rules(scan_bytes(bytes(broken), "a"))


def test_files_without_a_name_are_read():
    coders, pack = METHODS["copy"]
    header = b"\1\4" + streams(coders, len(EVIL), len(EVIL), files=[EVIL])
    report = scan_bytes(closed(pack(EVIL), header + listing([]) + b"\0"), "a")
    assert {"SH101", "SH103"} <= rules(report)


def test_members_are_bounded():
    data = archive([(f"{at}", b"x") for at in range(50)])
    assert rules(scan_bytes(data, "a", Limits(members=20))) == {"SH105"}


def test_numbers_of_every_length():
    for value in (0, 127, 128, 2**14 - 1, 2**14, 2**35, 2**56 - 1, 2**56, 2**63):
        assert sevenzip._Reader(number(value), 0, Budget())._number() == value


def test_an_empty_archive():
    assert (
        scan_bytes(MAGIC + struct.pack("<I", zlib.crc32(bytes(20))) + bytes(20), "a").verdict
        == "clean"
    )
