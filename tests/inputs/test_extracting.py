from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib

import pytest

from safehold.inputs import ArchiveLimits, InputRefused, confine
from safehold.inputs import extracting as extracting_module
from tests.holding import world_of

SMALL = ArchiveLimits(files=20, size=2**22, file=2**21, ratio=20, depth=4)


def zipped(*members, method=zipfile.ZIP_DEFLATED):
    """Return a zip of (name or ZipInfo, bytes)."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return target.getvalue()


def tarred(*members, form=tarfile.PAX_FORMAT):
    """Return a tar of (name, bytes or None) and TarInfos."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member, io.BytesIO(b"\0" * member.size))
                continue
            info = tarfile.TarInfo(member[0])
            if member[1] is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return target.getvalue()


def of_kind(kind, name="link", target="../../outside/new"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def link_in_zip(name, mode=stat.S_IFLNK):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (mode | 0o777) << 16
    return info


@pytest.fixture
def confined(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    with confine(tmp_path / "root") as found:
        yield found


def unpacked(confined, data, limits=SMALL):
    return confined.extract(io.BytesIO(data), "new", limits)


FILES = (("a/b.txt", b"one"), ("é/.hidden", b""), ("top", b"x" * 70_000))
PACKERS = {
    "zip": lambda: zipped(*FILES),
    "zip stored": lambda: zipped(*FILES, method=zipfile.ZIP_STORED),
    "zip bzip2": lambda: zipped(*FILES, method=zipfile.ZIP_BZIP2),
    "zip with directories": lambda: zipped(("a/", b""), *FILES, ("z/", b"")),
    "tar": lambda: tarred(*FILES),
    "gnu": lambda: tarred(*FILES, form=tarfile.GNU_FORMAT),
    "ustar": lambda: tarred(*FILES, form=tarfile.USTAR_FORMAT),
    "tar of a directory": lambda: tarred(
        (".", None), ("./a", None), *((f"./{name}", data) for name, data in FILES)
    ),
    "gz": lambda: gzip.compress(tarred(*FILES)),
    "bz2": lambda: bz2.compress(tarred(*FILES)),
    "xz": lambda: lzma.compress(tarred(*FILES)),
}  # fmt: skip


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_does_nothing_to_archives_of_files(confined, pack):
    names = unpacked(confined, pack(), ArchiveLimits())
    assert names == [name for name, _ in FILES]
    for name, data in FILES:
        assert confined.read(f"new/{name}") == data
    assert not [name for name in confined.list() if name.endswith(".sfh-tmp")]


def test_does_nothing_to_long_names_and_many_files(confined):
    files = [(f"{'d' * 120}/{number:0100}", b"%d" % number) for number in range(500)]
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        names = confined.extract(io.BytesIO(tarred(*files, form=form)), f"new{form}")
        assert names == [name for name, _ in files]
    assert len(confined.extract(io.BytesIO(zipped(*files)), "zip")) == 500


def test_does_nothing_to_what_compresses_well(confined):
    data = b"2024-01-01 12:00:00 INFO ok\n" * 30_000  # below a megabyte no ratio is asked
    assert unpacked(confined, zipped(("log", data))) == ["log"]
    assert confined.read("new/log") == data


NAMES = [
    "../outside/new", "..", "a/../../outside/new", "/tmp/new", "//tmp/new", "a//b", "./../x",
    "..\\outside\\new", "C:\\new", "C:new", "\\\\host\\share", "a/./b", "/", "con", "nul.txt", "a.",
    "a\nb", "a:stream", "-rf", "~/../x", "a/" * 5 + "x", "x" * 256, "a\u202eb",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_that_lead_elsewhere_refuse_the_whole(confined, tmp_path, pack, name):
    with pytest.raises(InputRefused) as caught:
        unpacked(confined, pack(("fine", b"1"), (name, b"2")))
    assert caught.value.rule == "SH553"
    assert confined.list() == []
    assert os.listdir(tmp_path / "outside") == []


def test_a_name_that_ends_at_a_null_byte_for_others_is_refused(confined):
    data = zipped(("safe.txt#evil.py", b"1")).replace(b"safe.txt#", b"safe.txt\0")
    with pytest.raises(InputRefused):
        unpacked(confined, data)


KINDS = {
    "symbolic": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "character": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE, "pipe": tarfile.FIFOTYPE, "sparse": tarfile.GNUTYPE_SPARSE,
    "unknown": b"Z",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("target", ["../../outside", "/etc", "fine"])
def test_links_and_devices_refuse_the_whole(confined, tmp_path, kind, target):
    member = of_kind(kind, target=target)
    with pytest.raises(InputRefused):
        unpacked(confined, tarred(("fine", b"1"), member, ("link/new", b"2")))
    assert confined.list() == os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_of_zip_refuse_the_whole(confined, mode):
    for name in ("link", "link/"):
        with pytest.raises(InputRefused):
            unpacked(confined, zipped((link_in_zip(name, mode), b"../../outside")))
    assert confined.list() == []


TWICE = [
    ("a", "a"), ("a", "A"), ("é", "e\u0301"), ("a/b", "A/c"), ("a", "a/b"), ("a/b", "a"),
    ("a/b", "a/B"), ("straße", "STRASSE"), ("ﬁle", "file"), ("a\u200db", "ab"), ("ａ", "a"),
    ("a/", "a"), ("a", "a/"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", TWICE, ids=ascii)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_that_some_system_takes_for_one_are_refused(confined, pack, names):
    rows = [
        (name.removesuffix("/"), None) if pack is tarred and name[-1] == "/" else (name, b"")
        for name in names
    ]
    with pytest.raises(InputRefused, match="twice"):
        unpacked(confined, pack(*rows))
    assert confined.list() == []


def test_bombs_are_refused_before_they_are_written(confined):
    much = b"\0" * (SMALL.size + 1)
    part = b"\0" * 2**20
    bombs = [
        zipped(("x", much)), gzip.compress(tarred(("x", much))), bz2.compress(tarred(("x", much))),
        lzma.compress(tarred(("x", much))),
        zipped(*((f"{number}", part) for number in range(5))),  # each below, together above
        gzip.compress(tarred(*((f"{number}", part) for number in range(5)))),
        zipped(*((f"{number}", b"") for number in range(21))),
        tarred(*((f"{number}", b"") for number in range(21))),
        tarred(*((f"a{number}", None) for number in range(21))),
        gzip.compress(b"\0" * 2**23),  # nothing but what stands for the end
        zipped(*((f"{n}/{n}/{n}/{n}", b"") for n in range(15))),  # directories
    ]  # fmt: skip
    for bomb in bombs[:-2]:
        with pytest.raises(InputRefused):
            unpacked(confined, bomb)
        assert confined.list() == []
    with pytest.raises(InputRefused, match="directories"):
        unpacked(confined, bombs[-1])


def test_sizes_that_an_archive_tells_are_not_believed(confined):
    data = zipped(("x", b"\0" * 3_000_000))
    at = data.rindex(b"PK\1\2")
    for told in (1, 2**20, 2**32 - 2):
        lying = data[: at + 24] + struct.pack("<I", told) + data[at + 28 :]
        with pytest.raises(InputRefused):
            unpacked(confined, lying)
        assert confined.list() == []


def test_members_that_share_their_bytes_count_each(confined):
    data = zipped(("0", b"\0" * 2**20))
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    entry = data[start:end]
    entries = b"".join(
        entry.replace(b"0" + entry[47:], bytes([48 + n]) + entry[47:]) for n in range(9)
    )
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, len(entries), start, 0)
    with pytest.raises(InputRefused):
        unpacked(confined, data[:start] + entries + tail)


def test_directories_of_zip_and_headers_of_tar_are_not_read_at_any_length(confined):
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 2**24, 0, 0)
    with pytest.raises(InputRefused):
        unpacked(confined, b"PK\3\4" + b"\0" * 2**24 + tail)
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
        header = of_kind(kind)
        header.size = 2**17
        with pytest.raises(InputRefused, match="header"):
            unpacked(confined, tarred(header))
        header.size = 512
        with pytest.raises(InputRefused):
            unpacked(confined, tarred(*[header] * 100))


def test_xz_that_asks_for_much_memory_is_refused(confined):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**28, "preset": 0}]
    data = lzma.compress(tarred(*FILES), filters=filters)
    with pytest.raises(InputRefused, match="LZMAError"):
        unpacked(confined, data)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA])
def test_what_its_reader_takes_any_memory_for_is_refused(confined, method):
    with pytest.raises(InputRefused):
        unpacked(confined, zipped(*FILES, method=method))


def test_encrypted_members_are_refused(confined):
    data = bytearray(zipped(("x", b"1")))
    data[data.rindex(b"PK\1\2") + 8] |= 1
    with pytest.raises(InputRefused, match="encrypted"):
        unpacked(confined, bytes(data))


def test_broken_archives_are_refused_and_nothing_is_left(confined):
    whole = [zipped(*FILES), tarred(*FILES), gzip.compress(tarred(*FILES))]
    cut = [data[:end] for data in whole for end in (0, 4, 100, len(data) // 2)]
    flipped = zipped(("x", b"1234"), method=zipfile.ZIP_STORED).replace(b"1234", b"1235")
    noise = [b"", b"MZ", b"PK\3\4", os.urandom(2000), b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", flipped]
    for data in (*cut, *noise):
        with pytest.raises(InputRefused):
            unpacked(confined, data)
        assert confined.list() == []


@pytest.mark.parametrize("name", [name for name in PACKERS if name != "xz"])
def test_no_changed_byte_leads_out_or_raises_anything_else(confined, tmp_path, name):
    data = bytearray(PACKERS[name]())
    places = sorted(
        {*range(0, min(600, len(data)), 7), *range(max(0, len(data) - 300), len(data), 5)}
    )
    for at in places:
        changed = bytes(data[:at]) + bytes([data[at] ^ 0x2F]) + bytes(data[at + 1 :])
        try:
            confined.extract(io.BytesIO(changed), f"new{at}", SMALL)
        except InputRefused:
            continue
        except FileExistsError:
            pytest.fail("the directory was new")
    assert os.listdir(tmp_path / "outside") == []
    assert not [name for name in confined.list() if name.endswith(".sfh-tmp")]


def test_a_directory_that_becomes_a_link_meanwhile_is_not_followed(confined, tmp_path, monkeypatch):
    made = extracting_module._directory
    temporary = []

    def exchanged(top, parts):
        fd = made(top, parts)
        if list(parts) == ["a"]:
            here = os.readlink(f"/proc/self/fd/{top}")
            temporary.append(here)
            if not os.path.islink(f"{here}/a"):
                os.rename(f"{here}/a", f"{here}/moved")
                os.symlink(tmp_path / "outside", f"{here}/a")
        return fd

    monkeypatch.setattr(extracting_module, "_directory", exchanged)
    with pytest.raises(NotADirectoryError):
        unpacked(confined, tarred(("a/one", b"1"), ("a/two", b"2")))
    assert os.listdir(tmp_path / "outside") == []
    assert confined.list() == []


def test_a_name_that_is_taken_stays_as_it_is(confined):
    confined.mkdir("new")
    confined.write("new/file", b"1")
    with pytest.raises(FileExistsError):
        unpacked(confined, zipped(*FILES))
    assert confined.list("new") == ["file"]
    with pytest.raises(InputRefused):
        confined.extract(io.BytesIO(zipped(*FILES)), "../outside/new")


def test_bytes_behind_the_end_do_not_count(confined):
    assert zlib.crc32(b"") == 0
    assert unpacked(confined, tarred(*FILES) + b"junk" * 100) == [name for name, _ in FILES]


def test_a_refused_archive_is_an_event(tmp_path):
    (tmp_path / "root").mkdir()
    for world in world_of(tmp_path):
        with confine(tmp_path / "root", hold=world.hold) as confined, pytest.raises(InputRefused):
            unpacked(confined, tarred(of_kind(tarfile.SYMTYPE)))
        (event,) = world.events.refused
        assert (event.rule, event.detail["path"]) == ("SH553", "new")
