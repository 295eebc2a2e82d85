"""Compression, archives, and tricks of archives that their readers do not agree on."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.bypasses.payloads import stream, system
from tests.corpus.cases import Case

Packer = Callable[[bytes], bytes]
STAMP = (1980, 1, 1, 0, 0, 0)


def evil(canary: Path) -> bytes:
    return stream(system(canary))


def lzma_alone(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_ALONE)


def gzip_named(data: bytes) -> bytes:
    """gzip with every optional part of its header."""
    head = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff" + struct.pack("<H", 4) + b"ab\0\0" + b"a.pkl\0note\0"
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    body = zlib.compress(data, 9)[2:-4]
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))


def gzip_members(data: bytes) -> bytes:
    """Members of a few bytes each."""
    parts = [data[at : at + 7] for at in range(0, len(data), 7)]
    return b"".join(gzip.compress(part, mtime=0) for part in parts)


def gzip_empty_first(data: bytes) -> bytes:
    return gzip.compress(b"", mtime=0) + gzip.compress(data, mtime=0)


def gzip_cut(data: bytes) -> bytes:
    return gzip.compress(data + bytes(3000), mtime=0)[:-9]


def gzip_wrong_sum(data: bytes) -> bytes:
    packed = bytearray(gzip.compress(data + bytes(20_000), 0, mtime=0))
    packed[-8] ^= 0xFF
    return bytes(packed)


def bz2_streams(data: bytes) -> bytes:
    return bz2.compress(data[:11]) + bz2.compress(data[11:])


def xz_streams(data: bytes) -> bytes:
    return lzma.compress(data[:11]) + lzma.compress(data[11:])


def xz_unchecked(data: bytes) -> bytes:
    return lzma.compress(data, check=lzma.CHECK_NONE)


WRAPPERS: dict[str, tuple[Packer, str]] = {
    "gzip": (lambda data: gzip.compress(data, mtime=0), "gzip"),
    "gzip-stored": (lambda data: gzip.compress(data, 0, mtime=0), "gzip"),
    "gzip-named": (gzip_named, "gzip"),
    "gzip-members": (gzip_members, "gzip"),
    "gzip-empty-first": (gzip_empty_first, "gzip"),
    "gzip-cut": (gzip_cut, "gzip"),
    "gzip-wrong-sum": (gzip_wrong_sum, "gzip"),
    "bz2": (bz2.compress, "bz2"),
    "bz2-1": (lambda data: bz2.compress(data, 1), "bz2"),
    "bz2-streams": (bz2_streams, "bz2"),
    "xz": (lzma.compress, "lzma"),
    "xz-streams": (xz_streams, "lzma"),
    "xz-unchecked": (xz_unchecked, "lzma"),
    "lzma": (lzma_alone, "lzma"),
    "zlib": (zlib.compress, "zlib"),
    "zlib-0": (lambda data: zlib.compress(data, 0), "zlib"),
    "zlib-9": (lambda data: zlib.compress(data, 9), "zlib"),
}
LAYERS = ("gzip", "bz2", "xz", "lzma", "zlib")


def _wrapped(name: str) -> Case:
    packer, loader = WRAPPERS[name]
    suffix = {"gzip": ".gz", "bz2": ".bz2", "lzma": ".xz"}.get(loader, ".z")
    return Case(f"packed-{name}", "compression", lambda m: packer(evil(m)), loader, f".pkl{suffix}")


def _layered(*names: str) -> Case:
    def build(canary: Path) -> bytes:
        data = evil(canary)
        for name in names:
            data = WRAPPERS[name][0](data)
        return data

    return Case(f"layers-{'-'.join(names)}", "compression", build, "layers", ".bin")


Members = list[tuple[str, bytes]]


def zipped(members: Members, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # of two members of one name
        for name, data in members:
            info = zipfile.ZipInfo(name, STAMP)
            info.compress_type = method
            archive.writestr(info, data)
    return buffer.getvalue()


def torch_members(data: bytes) -> Members:
    return [
        ("archive/data.pkl", data),
        ("archive/byteorder", b"little"),
        ("archive/data/0", bytes(16)),
        ("archive/version", b"3\n"),
        ("archive/.data/serialization_id", b"0" * 40),
    ]


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def changed(data: bytes, magic: bytes, at: int, new: bytes) -> bytes:
    """Write bytes at an offset of every record of a kind."""
    found, result = data.find(magic), bytearray(data)
    while found >= 0:
        result[found + at : found + at + len(new)] = new
        found = data.find(magic, found + 4)
    return bytes(result)


def flipped(data: bytes, magic: bytes, at: int, bits: int) -> bytes:
    found, result = data.find(magic), bytearray(data)
    while found >= 0:
        result[found + at] ^= bits
        found = data.find(magic, found + 4)
    return bytes(result)


# Changes to an archive of torch that its reader does not mind; each names what it changes.
TRICKS: dict[str, Packer] = {
    "encrypted-local": lambda data: flipped(data, LOCAL, 6, 1),
    "encrypted-central": lambda data: flipped(data, CENTRAL, 8, 1),
    "encrypted-both": lambda data: flipped(flipped(data, LOCAL, 6, 1), CENTRAL, 8, 1),
    "strong-encryption": lambda data: flipped(data, CENTRAL, 8, 0x40),
    "patched-data": lambda data: flipped(data, CENTRAL, 8, 0x20),
    "masked-headers": lambda data: flipped(data, CENTRAL, 9, 0x20),
    "utf8-flag": lambda data: flipped(data, CENTRAL, 9, 0x08),
    "descriptor-flag": lambda data: flipped(data, LOCAL, 6, 8),
    "crc-central": lambda data: flipped(data, CENTRAL, 16, 0xFF),
    "crc-local": lambda data: flipped(data, LOCAL, 14, 0xFF),
    "crc-both": lambda data: flipped(flipped(data, LOCAL, 14, 0xFF), CENTRAL, 16, 0xFF),
    "local-name": lambda data: data.replace(b"data.pkl", b"datX.pkl", 1),
    "local-method": lambda data: changed(data, LOCAL, 8, b"\x08\x00"),
    "local-size": lambda data: changed(data, LOCAL, 18, struct.pack("<II", 1, 1)),
    "local-version": lambda data: changed(data, LOCAL, 4, b"\xff\x00"),
    "central-version": lambda data: changed(data, CENTRAL, 6, b"\xff\x00"),
    "central-disk": lambda data: changed(data, CENTRAL, 34, b"\x05\x00"),
    "dates": lambda data: changed(data, CENTRAL, 12, b"\xff\xff\xff\xff"),
    "end-disk": lambda data: changed(data, END, 4, b"\x07\x00"),
    "end-comment-size": lambda data: data[:-2] + b"\x09\x00" + b"comment..",
    "junk-behind": lambda data: data + bytes(40),
    "junk-before": lambda data: bytes(40) + data,
    "external-attributes": lambda data: changed(data, CENTRAL, 38, b"\x10\x00\x00\x00"),
}


# torch refuses these; a reader of local records, or `zipfile`, does not.
OTHER_READERS = {
    **dict.fromkeys(
        """
        encrypted-central encrypted-both strong-encryption patched-data masked-headers central-disk
        end-disk
        """.split(),
        "zip records",
    ),
    "external-attributes": "zip",
    "junk-before": "zip",
}


def _trick(name: str) -> Case:
    def build(canary: Path) -> bytes:
        return TRICKS[name](zipped(torch_members(evil(canary))))

    return Case(f"zip-{name}", "zip-tricks", build, OTHER_READERS.get(name, "torch"), ".pt")


def _member(name: str, method: int, identity: str) -> Case:
    return Case(
        f"zip-member-{identity}",
        "zip-tricks",
        lambda canary: zipped([("a/readme.txt", b"text"), (name, evil(canary))], method),
        "zip",
        ".zip",
    )


def _twice(canary: Path) -> bytes:
    return zipped([("a.pkl", evil(canary)), ("a.pkl", b"N.")])


def _twice_reversed(canary: Path) -> bytes:
    return zipped([("a.pkl", b"N."), ("a.pkl", evil(canary))])


def _nested(depth: int, suffix: str = "zip") -> Callable[[Path], bytes]:
    def build(canary: Path) -> bytes:
        data = evil(canary)
        for _ in range(depth):
            data = zipped([(f"inner.{suffix}", data)])
        return data

    return build


def _hidden_local(canary: Path) -> bytes:
    """A local record that the directory does not list, which a streaming reader meets."""
    hidden = zipped([("a.pkl", evil(canary))])
    return hidden[: hidden.index(CENTRAL)] + zipped([("b.txt", b"text")])


def _before_zip(canary: Path) -> bytes:
    """A pickle in front, a zip archive behind: both are read."""
    return evil(canary) + zipped([("a.txt", b"text")])


def _comment(canary: Path) -> bytes:
    data = evil(canary)
    return zipped([("a.txt", b"text")])[:-2] + struct.pack("<H", len(data)) + data


def tarred(members: Members, form: int = tarfile.USTAR_FORMAT, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _tar(identity: str, build: Callable[[Path], bytes], loader: str = "tar") -> Case:
    return Case(f"tar-{identity}", "tar", build, loader, ".tar")


def _gzip_tar(canary: Path) -> bytes:
    return gzip.compress(tarred([("a.pkl", evil(canary))]), mtime=0)


def _long_name(canary: Path) -> bytes:
    return tarred([("a/" + "long" * 40, evil(canary))], tarfile.GNU_FORMAT)


def _pax_name(canary: Path) -> bytes:
    return tarred([("a/" + "\u00e9" * 120, evil(canary))], tarfile.PAX_FORMAT)


def sparse(data: bytes, parts: list[tuple[int, int]], size: int) -> bytes:
    """A member with holes: its parts stand in a row, their places in a header before it."""
    info = tarfile.TarInfo("a.pkl")
    info.size = len(data)
    places = ",".join(f"{begin},{length}" for begin, length in parts)
    info.pax_headers = {
        "GNU.sparse.size": str(size),
        "GNU.sparse.numblocks": str(len(parts)),
        "GNU.sparse.map": places,
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _sparse(canary: Path) -> bytes:
    data = evil(canary)
    return sparse(data, [(0, 9), (9, len(data) - 9)], len(data))


def hole(canary: Path) -> bytes:
    """The zeros that no byte of the archive holds are the content of a text."""
    head, tail = b"\x80\x04B\x00\x02\x00\x00", b"0" + evil(canary)
    size = len(head) + 512 + len(tail)
    return sparse(head + tail, [(0, len(head)), (size - len(tail), len(tail))], size)


METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}
NAMES = {
    "no-suffix": "a/weights",
    "picture": "a/picture.png",
    "text": "README.md",
    "upper": "A/DATA.PKL",
    "blank": "a/data.pkl ",
    "dots": "a/data.pkl..",
    "unicode": "a/d\u00e4ta.pkl",
    "long": "a/" + "n" * 200,
    "newline": "a/da\nta.pkl",
    "backslash": "a\\data.pkl",
    "python": "a/module.py",
    "hidden": "a/.hidden",
}
CASES = [
    *[_wrapped(name) for name in WRAPPERS],
    *[_layered(inner, outer) for inner in LAYERS for outer in LAYERS],
    _layered("gzip", "xz", "bz2"),
    _layered("zlib", "zlib", "zlib", "zlib"),
    _layered("lzma", "bz2", "xz", "gzip"),
    *[_trick(name) for name in TRICKS],
    *[_member("a/data.pkl", method, name) for name, method in METHODS.items()],
    *[_member(name, zipfile.ZIP_DEFLATED, f"name-{which}") for which, name in NAMES.items()],
    Case("zip-twice", "zip-tricks", _twice, "zip", ".zip"),
    Case("zip-twice-reversed", "zip-tricks", _twice_reversed, "zip", ".zip"),
    Case("zip-hidden-local", "zip-tricks", _hidden_local, "zip records", ".zip"),
    Case("zip-behind-pickle", "zip-tricks", _before_zip, "pickle", ".pkl"),
    Case("zip-comment", "zip-tricks", _comment, "zip comment", ".zip"),
    *[
        Case(f"zip-nested-{depth}", "zip-tricks", _nested(depth), "zip", ".zip")
        for depth in (2, 3, 5)
    ],
    Case(
        "zip-in-gzip",
        "zip-tricks",
        lambda m: gzip.compress(zipped([("a.pkl", evil(m))]), mtime=0),
        "zip in gzip",
        ".zip.gz",
    ),
    _tar("ustar", lambda m: tarred([("a.pkl", evil(m))])),
    _tar("gnu", lambda m: tarred([("a.pkl", evil(m))], tarfile.GNU_FORMAT)),
    _tar("pax", lambda m: tarred([("a.pkl", evil(m))], tarfile.PAX_FORMAT)),
    _tar("long-name", _long_name),
    _tar("pax-name", _pax_name),
    _tar("gzip", _gzip_tar),
    _tar("bz2", lambda m: bz2.compress(tarred([("a.pkl", evil(m))]))),
    _tar("xz", lambda m: lzma.compress(tarred([("a.pkl", evil(m))]))),
    _tar("picture", lambda m: tarred([("a.png", evil(m))])),
    _tar("second", lambda m: tarred([("a.txt", b"text"), ("b", evil(m))])),
    _tar("in-zip", lambda m: zipped([("a.tar", tarred([("a.pkl", evil(m))]))]), "zip"),
    _tar("sparse", _sparse),
    _tar("sparse-hole", hole),
    _tar("twice", lambda m: tarred([("a.pkl", evil(m)), ("a.pkl", b"N.")])),
]
