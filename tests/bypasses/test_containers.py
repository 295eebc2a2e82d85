"""Archives, wrappers and names that keep a scanner from the pickle, but no loader."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib

import pytest

from safehold.scan import scan_bytes, scan_path
from tests.bypasses.payloads import assert_caught, runs, stream, system
from tests.corpus.hostile.packed import hole, sparse


@pytest.fixture
def evil(marker):
    data = stream(system(marker))
    assert runs(data, marker)
    return data


def zipped(members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def model(evil, method=zipfile.ZIP_STORED):
    return zipped({"archive/version": "3\n", "archive/data.pkl": evil, "archive/data/0": b"0"})


def rules(report):
    return {finding.rule.id for finding in report.findings}


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_zip_by_any_method(evil, method):
    report = scan_bytes(zipped({"a/data.pkl": evil}, method), "m.pt")
    assert report.verdict == "malicious"
    assert rules(report) == {"SH101"}
    assert report.findings[0].location.member == "a/data.pkl"


@pytest.mark.parametrize("name", ["data.pkl", "x/y", "weights", "README.md", "a.png"])
def test_member_of_any_name(evil, name):
    """CVE-2025-1889: only some suffixes were looked at."""
    assert scan_bytes(zipped({name: evil}), "m.pt").verdict == "malicious"


@pytest.mark.parametrize("name", ["config.txt", "weights", "image.png", "module.py"])
def test_file_of_any_name_in_a_directory(evil, tmp_path, name):
    """CVE-2025-1889, CVE-2025-10155."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name).write_bytes(evil)
    [report] = scan_path(folder).files
    assert report.verdict == "malicious"


@pytest.mark.parametrize("where", ["local", "central", "both"])
def test_encryption_bit(evil, where):
    """CVE-2025-1945: zipfile refuses such a member, torch ignores the bit."""
    data = bytearray(model(evil))
    if where in {"local", "both"}:
        for start in positions(data, b"PK\x03\x04"):
            data[start + 6] |= 1
    if where in {"central", "both"}:
        for start in positions(data, b"PK\x01\x02"):
            data[start + 8] |= 1
    report = scan_bytes(bytes(data), "m.pt")
    assert report.verdict == "malicious"
    assert rules(report) >= {"SH101", "SH103"}


def test_encrypted_member_is_never_clean(evil):
    data = bytearray(zipped({"a/data.pkl": bytes(byte ^ 0x5A for byte in evil)}))
    for start in positions(data, b"PK\x01\x02"):
        data[start + 8] |= 1
    assert scan_bytes(bytes(data), "m.pt").verdict == "suspicious"


def positions(data, magic):
    found, start = [], 0
    while (start := bytes(data).find(magic, start)) >= 0:
        found.append(start)
        start += 4
    return found


def test_wrong_checksum(evil):
    """CVE-2025-10156: zipfile raises, torch does not check."""
    data = bytearray(model(evil))
    for start in positions(data, b"PK\x01\x02"):
        data[start + 16] ^= 0xFF
    for start in positions(data, b"PK\x03\x04"):
        data[start + 14] ^= 0xFF
    assert rules(scan_bytes(bytes(data), "m.pt")) == {"SH101", "SH103"}


def test_wrong_checksum_alone_is_suspicious():
    data = bytearray(zipped({"a": b"text"}))
    data[14] ^= 0xFF
    data[positions(data, b"PK\x01\x02")[0] + 16] ^= 0xFF
    assert scan_bytes(bytes(data), "m.zip").verdict == "suspicious"


def test_other_name_in_the_local_header(evil):
    """CVE-2025-1944: zipfile refuses the member, torch reads it."""
    data = model(evil).replace(b"archive/data.pkl", b"archive/datX.pkl", 1)
    assert rules(scan_bytes(data, "m.pt")) >= {"SH101", "SH104"}


def test_two_members_of_the_same_name(evil):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", evil)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("archive/data.pkl", b"N.")
    assert rules(scan_bytes(buffer.getvalue(), "m.pt")) == {"SH101", "SH103"}


def test_member_that_the_directory_does_not_list(evil):
    hidden, shown = zipped({"data.pkl": evil}), zipped({"other": b"text"})
    local = hidden[: positions(hidden, b"PK\x01\x02")[0]]
    report = scan_bytes(local + shown, "m.zip")
    assert report.verdict == "malicious"


def test_records_that_the_directory_does_not_list_are_an_attack_by_themselves():
    hidden, shown = zipped({"a": b"text"}), zipped({"b": b"text"})
    local = hidden[: positions(hidden, b"PK\x01\x02")[0]]
    assert rules(scan_bytes(local + shown, "m.zip")) >= {"SH104", "SH107"}


def test_two_directories(evil):
    """Which end record counts differs between readers."""
    first, second = zipped({"data.pkl": evil}), zipped({"data.pkl": b"N."})
    for data in (first + second, second + first):
        assert scan_bytes(data, "m.zip").verdict == "malicious"


def test_directory_cut_off(evil):
    data = zipped({"data.pkl": evil})
    cut = data[: positions(data, b"PK\x01\x02")[0]]
    assert rules(scan_bytes(cut, "m.zip")) == {"SH101", "SH103"}


@pytest.mark.parametrize("name", ["../evil.py", "/etc/passwd", "a/../../b", "C:\\x", "..\\x"])
def test_member_outside_the_archive(name):
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"x")
    assert rules(scan_bytes(buffer.getvalue(), "m.zip")) == {"SH108"}


def test_link_to_outside():
    info = zipfile.ZipInfo("link")
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"../../outside")
    assert rules(scan_bytes(buffer.getvalue(), "m.zip")) == {"SH108"}


def old_zlib(data):
    return b"ZF" + hex(len(data)).encode().ljust(19) + zlib.compress(data)


WRAPPERS = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zlib": zlib.compress,
    "joblib's z-file": old_zlib,
}


@pytest.mark.parametrize("outer", WRAPPERS)
@pytest.mark.parametrize("inner", WRAPPERS)
def test_wrapper_in_a_wrapper(evil, outer, inner):
    data = WRAPPERS[outer](WRAPPERS[inner](evil))
    assert scan_bytes(data, "m.pkl").verdict == "malicious"
    assert scan_bytes(zipped({"m": data}), "m.zip").verdict == "malicious"


@pytest.mark.parametrize("name", WRAPPERS)
def test_cut_wrapper_shows_what_came_before_the_cut(evil, name):
    data = WRAPPERS[name](evil + bytes(range(256)) * 400)[:-20]
    report = scan_bytes(data, "m.pkl")
    # bz2 unpacks block by block, and the first one is cut.
    assert report.verdict == ("suspicious" if name == "bz2" else "malicious")
    assert "SH103" in rules(report)


def test_gzip(marker, evil):
    assert_caught(gzip.compress(evil), marker, "gzip")


def test_second_gzip_member(marker):
    """Readers of gzip join the members."""
    evil = stream(system(marker))
    data = gzip.compress(evil[:10]) + gzip.compress(evil[10:])
    assert_caught(data, marker, "gzip")


@pytest.mark.parametrize("name", WRAPPERS)
def test_junk_behind_a_wrapper(name):
    data = WRAPPERS[name](b"N.")
    assert rules(scan_bytes(data, "m.pkl")) == set()
    if name != "joblib's z-file":
        assert rules(scan_bytes(data + b"junk", "m.pkl")) == {"SH107"}
        assert rules(scan_bytes(data + bytes(512), "m.pkl")) == set()


def test_pickle_behind_a_wrapper(evil):
    assert scan_bytes(gzip.compress(b"N.") + evil, "m.gz").verdict == "malicious"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("packed", ["", ":gz", ":xz"])
def test_tar(evil, form, packed):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w" + packed, format=form) as archive:
        info = tarfile.TarInfo("a/" + "long" * 20)
        info.size = len(evil)
        archive.addfile(info, io.BytesIO(evil))
    assert scan_bytes(buffer.getvalue(), "m.tar").verdict == "malicious"


def test_member_behind_the_end_of_a_tar(evil):
    parts = []
    for data in (b"text", evil):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            info = tarfile.TarInfo("a")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        parts.append(buffer.getvalue())
    assert scan_bytes(b"".join(parts), "m.tar").verdict == "malicious"


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("../evil", tarfile.REGTYPE, ""),
        ("/evil", tarfile.REGTYPE, ""),
        ("link", tarfile.SYMTYPE, "../../etc"),
        ("link", tarfile.LNKTYPE, "/etc/passwd"),
        ("pipe", tarfile.FIFOTYPE, ""),
    ],
)
def test_tar_member_outside(name, kind, target):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(info)
    assert rules(scan_bytes(buffer.getvalue(), "m.tar")) == {"SH108"}


def test_zip_behind_a_pickle(marker):
    """pickle.load reads the front, torch and numpy the back."""
    evil = stream(system(marker))
    assert_caught(evil + zipped({"a": b"text"}), marker)
    report = scan_bytes(stream() + zipped({"a/data.pkl": evil}), "m.pkl")
    assert report.verdict == "malicious"


def test_pickle_in_the_comment_of_a_zip(marker):
    evil = stream(system(marker))
    data = bytearray(zipped({"a": b"text"}))
    data[-2:] = struct.pack("<H", len(evil))
    assert scan_bytes(bytes(data) + evil, "m.zip").verdict == "malicious"


def test_sparse_member_with_a_hole(marker):
    """The bytes of the archive are no pickle; with the zeros of the hole they are one."""
    data = hole(marker)
    assert scan_bytes(data, "m.tar").verdict == "malicious"
    harmless = b"\x80\x04B\x00\x02\x00\x00."
    parts = [(0, 7), (519, 1)]
    assert scan_bytes(sparse(harmless, parts, 520), "m.tar").verdict == "clean"


@pytest.mark.parametrize("parts", [[(4, 4), (0, 4)], [(0, 8), (4, 4)], [(0, 8), (8, 2**40)]])
def test_sparse_member_whose_parts_are_no_row(parts):
    report = scan_bytes(sparse(b"N.......", parts, 16), "m.tar")
    assert report.verdict == "suspicious"


def test_sparse_member_that_is_one_hole():
    """2 TiB of zeros in a file of a few hundred bytes."""
    report = scan_bytes(sparse(b"N", [(0, 1)], 2**41), "m.tar")
    assert "SH105" in rules(report)
