"""Zip and tar archives in which zipfile, torch and tarfile find different members."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib

import pytest

from safehold.scan import scan_bytes
from tests.bypasses.payloads import assert_caught, stream, system


def rules(report):
    return {finding.rule.id for finding in report.findings}


@pytest.fixture
def evil(marker):
    return stream(system(marker), protocol=2)


def zipped(members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def model(data):
    return {"a/data.pkl": data, "a/version": b"3\n", "a/byteorder": b"little"}


def cut(archive):
    """Return local records, central directory, end record."""
    end = archive.rindex(b"PK\x05\x06")
    size, offset = struct.unpack_from("<2I", archive, end + 12)
    assert offset + size == end
    return archive[:offset], archive[offset:end], archive[end:]


def end_record(count, size, offset):
    return b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, count, count, size, offset, 0)


def moved(central, by):
    """A directory whose members lie so many bytes further on."""
    found, pos = bytearray(central), 0
    while pos < len(found):
        lengths = struct.unpack_from("<3H", found, pos + 28)
        offset = struct.unpack_from("<I", found, pos + 42)[0]
        struct.pack_into("<I", found, pos + 42, offset + by)
        pos += 46 + sum(lengths)
    return bytes(found)


def two_directories(first, second):
    """torch goes by the offset, to the first; zipfile to what stands before the end record."""
    locals1, central1, _ = cut(zipped(first))
    locals2, central2, _ = cut(zipped(second))
    assert len(central1) == len(central2)
    # zipfile adds what lies between its directory and the offset to each member's offset.
    shift = len(central1) + len(locals2)
    body = locals1 + central1 + locals2
    central2 = moved(central2, len(locals1) + len(central1) - shift)
    return body + central2 + end_record(len(first), len(central1), len(locals1))


@pytest.mark.extras
def test_directory_that_torch_finds_by_its_offset(marker, evil):
    pytest.importorskip("torch")
    harmless = model(b"\x80\x02}q\x00." + b" " * (len(evil) - 6))
    data = two_directories(model(evil), harmless)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("a/data.pkl") == harmless["a/data.pkl"]
    report = assert_caught(data, marker, "torch", name="m.pt")
    assert rules(report) >= {"SH101", "SH104"}


def test_two_directories_are_an_attack_by_themselves():
    report = scan_bytes(two_directories(model(b"N."), model(b"K.")), "m.pt")
    assert "finds another one" in str(report.findings)


def wide_end(count, size, offset):
    return b"PK\x06\x06" + struct.pack("<Q2H2I4Q", 44, 45, 45, 0, 0, count, count, size, offset)


def two_wide_records(first, second):
    """The locator points to one zip64 record; zipfile takes the one right before it."""
    locals1, central1, _ = cut(zipped(first))
    locals2, central2, _ = cut(zipped(second))
    record1 = wide_end(len(first), len(central1), len(locals1))
    body = locals1 + central1 + record1
    at1 = len(locals1) + len(central1)
    central2 = moved(central2, len(body))
    at2 = len(body) + len(locals2)
    record2 = wide_end(len(second), len(central2), at2)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, at1, 1)
    end = end_record(len(second), 0xFFFFFFFF, 0xFFFFFFFF)
    return body + locals2 + central2 + record2 + locator + end


@pytest.mark.extras
def test_zip64_record_that_the_locator_points_to(marker, evil):
    pytest.importorskip("torch")
    data = two_wide_records(model(evil), model(b"\x80\x02}."))
    report = assert_caught(data, marker, "torch", name="m.pt")
    assert rules(report) >= {"SH101", "SH104"}


def test_wide_records_of_one_directory_are_clean():
    locals_, central, _ = cut(zipped({"a.pkl": b"N."}))
    record = wide_end(1, len(central), len(locals_))
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(locals_) + len(central), 1)
    data = locals_ + central + record + locator + end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["a.pkl"]
    assert rules(scan_bytes(data, "m.zip")) == set()


def test_wide_archive_behind_junk(evil):
    """Its 32-bit numbers say nothing."""
    locals_, central, _ = cut(zipped({"m": evil}, zipfile.ZIP_DEFLATED))
    record = wide_end(1, len(central), len(locals_))
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(locals_) + len(central), 1)
    data = b"junk" + locals_ + central + record + locator
    data += end_record(1, 0xFFFFFFFF, 0xFFFFFFFF)
    assert zipfile.ZipFile(io.BytesIO(data)).read("m") == evil
    assert scan_bytes(data, "m").verdict == "malicious"


def test_magic_inside_the_end_record(evil):
    """Disk numbers, which zipfile does not read, hold the magic once more."""
    locals_, central, end = cut(zipped({"m": evil}))
    data = b"junk" + locals_ + central + end[:4] + end[:4] + end[8:]
    assert zipfile.ZipFile(io.BytesIO(data)).read("m") == evil
    assert scan_bytes(data, "m").verdict == "malicious"


def test_count_that_contradicts_the_directory():
    locals_, central, _ = cut(zipped({"a": b"1", "b": b"2"}))
    data = locals_ + central + end_record(1, len(central), len(locals_))
    assert rules(scan_bytes(data, "m.zip")) == {"SH103"}


def test_member_that_says_it_is_a_link(evil):
    """zipfile and torch read it like any other."""
    info = zipfile.ZipInfo("a/data.pkl")
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, evil)
    assert scan_bytes(buffer.getvalue(), "m.pt").verdict == "malicious"


def test_directory_entry_with_content(evil):
    assert scan_bytes(zipped({"a/": evil}), "m.zip").verdict == "malicious"


def test_names_that_torch_takes_for_one():
    members = {"a/data.pkl": b"N.", "a/DATA.PKL": b"N."}
    assert rules(scan_bytes(zipped(members), "m.pt")) == {"SH103"}
    assert rules(scan_bytes(zipped({"README": b"a", "readme": b"b"}), "m.zip")) == set()


@pytest.mark.parametrize(
    ("name", "other", "found"),
    [
        ("a.pkl", "../a.pkl", {"SH104", "SH108"}),
        ("a.pkl", "b.pkl", {"SH104"}),
        ("a.pkl", "a.pkl", set()),
    ],
)
def test_second_name_in_unicode(name, other, found):
    """Python 3.13 takes it for the name."""
    info = zipfile.ZipInfo(name)
    raw = b"\1" + zlib.crc32(name.encode()).to_bytes(4, "little") + other.encode()
    info.extra = struct.pack("<2H", 0x7075, len(raw)) + raw
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"N.")
    assert rules(scan_bytes(buffer.getvalue(), "m.zip")) == found


def test_member_that_is_longer_than_it_says(evil):
    """zipfile stops at the size, so the archive inside ends where its end record does."""
    inner = zipped({"m": evil}, zipfile.ZIP_DEFLATED)
    # The magic of a pickle, so that nothing else is looked for inside.
    inner = b"\x80\x02N." + inner
    data = bytearray(zipped({"x": inner + bytes(70_000)}))
    central = data.rindex(b"PK\x01\x02")
    data[22:26] = data[central + 24 : central + 28] = struct.pack("<I", len(inner))
    report = scan_bytes(bytes(data), "m.zip")
    assert rules(report) >= {"SH101", "SH103"}


@pytest.mark.parametrize("first", ["a", "\0"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.CONTTYPE, b"Z"])
def test_tar_member_of_any_type(evil, first, kind):
    """tarfile extracts types that it does not know as files."""
    info = tarfile.TarInfo("member")
    info.type, info.size = kind, len(evil)
    raw = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    raw[:1] = first.encode()
    raw[257:265] = bytes(8)  # before ustar there was no magic
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    data = bytes(raw) + evil.ljust(-(-len(evil) // 512) * 512, b"\0") + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        [member] = archive
        assert archive.extractfile(member).read() == evil
    assert scan_bytes(data, "weights").verdict == "malicious"


# Code that archives carry


def test_folder_named_code_in_any_archive_is_no_torchscript():
    assert rules(scan_bytes(zipped({"code/a.py": b"import os\n"}), "m.zip")) == set()


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"a/constants.pkl": b"N.", "a/code/m.py": b"x = torch.add(y, y)"}, {"SH109"}),
        ({"a/constants.pkl": b"N.", "a/code/m.py": b'torch.save(x, "f")'}, {"SH109", "SH101"}),
        ({"a/data.pkl": b"N.", "a/code/m.py": b'torch.from_file("f")'}, {"SH109", "SH101"}),
        ({"a/bytecode.pkl": b"N."}, {"SH109"}),
        ({"a/bytecode.pkl": b"X\x0a\0\0\0aten::save."}, {"SH109", "SH101"}),
        ({"MAR-INF/MANIFEST.json": b"{}", "handler.py": b"x = 1"}, {"SH109"}),
        ({"p/.data/extern_modules": b"os", "p/my/mod.py": b"x = 1"}, {"SH109"}),
        ({"m/archive_format": b"pt2", "m/data/aotinductor/m.so": b"\x7fELF\2"}, {"SH109"}),
        ({"m/archive_format": b"pt2", "m/data/weights/weight_0": bytes(12)}, set()),
        ({"lib/a.so": b"\x7fELF\2", "lib/a.py": b""}, set()),
    ],
)
def test_code_in_archives(members, found):
    assert rules(scan_bytes(zipped(members), "m.zip")) == found


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git-lfs"),
        (b"<!DOCTYPE html>\n<html></html>", "html"),
        (b"\n <HTML>", "html"),
    ],
)
def test_what_stands_in_place_of_the_file_is_named(data, form):
    report = scan_bytes(data, "model.pkl")
    assert (report.format, report.verdict) == (form, "suspicious")
    assert "not the file itself" in report.findings[0].message
