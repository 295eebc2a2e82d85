"""Members of zip and tar archives of strangers: plain files and directories, within limits.

What an archive says of itself is believed for refusals only: what comes out is counted while it
comes. Not read: encrypted members, LZMA inside zip (its reader takes the memory that the file
names), 7z, RAR, zstandard.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Self, cast

from safehold.errors import InputRefused
from safehold.inputs.rules import ARCHIVE

_STEP = 2**16
_SMALL = 2**20  # no ratio is asked of what is not larger
_HEADER = 2**16  # bytes of one extended header of tar, which is read into memory
_ENTRY = 2**10  # bytes of a zip's directory for each file that is allowed, names among them
_XZ_MEMORY = 2**27  # `xz -9` asks for half of it
_ZIPPED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_EXTENDED = frozenset(
    (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
     tarfile.GNUTYPE_LONGLINK)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may have at most; sizes in bytes of what comes out of it."""

    files: int = 10_000
    size: int = 2**30
    file: int = 2**29
    ratio: int = 200
    depth: int = 32


class Member(NamedTuple):
    """A name and its bytes; a directory has none."""

    name: str
    chunks: Iterator[bytes] | None


def refused(why: str) -> InputRefused:
    """Return the refusal of an archive."""
    return InputRefused(why, rule=ARCHIVE.id)


def members(file: BinaryIO, limits: ArchiveLimits) -> Iterator[Member]:
    """Yield the members of an archive in its order; take the chunks of one before the next.

    Raises:
        InputRefused: it is broken or no archive, has a member that is neither file nor directory,
            or more than the limits.
    """
    packed = file.seek(0, os.SEEK_END)
    file.seek(0)
    most = min(limits.size, max(_SMALL, packed * limits.ratio))
    found = _in_zip if file.read(4) in (b"PK\3\4", b"PK\5\6") else _in_tar
    file.seek(0)
    count = total = 0
    rows = found(file, limits, most)
    while True:
        with _reading():
            row = next(rows, None)
        if row is None:
            return
        count += 1
        if count > limits.files:
            raise refused(f"an archive has at most {limits.files} members")
        if row.size > limits.file:
            raise refused(f"a file of an archive has at most {limits.file} bytes")
        total += row.size
        if total > most:
            raise refused(f"an archive of this size unpacks to at most {most} bytes")
        yield Member(row.name, None if row.open is None else _chunks(row.open, row.size))


class _Row(NamedTuple):
    name: str
    size: int
    open: Callable[[], BinaryIO] | None


def _chunks(opens: Callable[[], BinaryIO], size: int) -> Iterator[bytes]:
    """Yield exactly the bytes that a member was counted with."""
    left = size
    with _reading():
        source = opens()
    with source:
        while True:
            with _reading():
                data = source.read(min(_STEP, left + 1))
            if not data:
                break
            left -= len(data)
            if left < 0:
                raise refused("a file of an archive is longer than it says")
            yield data
    if left:
        raise refused("a file of an archive is shorter than it says")


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except InputRefused:
        raise
    except Exception as error:
        # The readers of hostile bytes raise whatever they stumble on: nothing of it is allowed.
        raise refused(f"the archive is broken: {type(error).__name__}") from error


def _in_zip(file: BinaryIO, limits: ArchiveLimits, most: int) -> Iterator[_Row]:
    del most  # the sizes of members are counted
    source = cast("BinaryIO", _Pieces(file, max(_SMALL, limits.files * _ENTRY)))
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise refused("an archive has a link or a device")
            if info.flag_bits & 1 or info.compress_type not in _ZIPPED:
                raise refused("a file of an archive is encrypted or packed in another way")
            if info.is_dir() != (kind == stat.S_IFDIR) and kind:
                raise refused("a member of an archive is a file and a directory")
            name = info.orig_filename  # `filename` ends at a null byte
            if info.is_dir():
                yield _Row(name, 0, None)
            else:
                yield _Row(name, info.file_size, _opener(archive, info))


def _opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    return lambda: cast("BinaryIO", archive.open(info))


class _Pieces:
    """A file of which no one read takes more than so many bytes: a directory of zip is one."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > self._most:
            raise refused("the directory of an archive is too large")
        data = self._file.read(self._most + 1 if size < 0 else size)
        if len(data) > self._most:
            raise refused("the directory of an archive is too large")
        return data


def _in_tar(file: BinaryIO, limits: ArchiveLimits, most: int) -> Iterator[_Row]:
    # Headers come out as well: for each file its own, and one for what is long about it.
    source = _Counted(_inflated(file), most + limits.files * 2**12 + _SMALL)
    with tarfile.open(fileobj=source, mode="r|", tarinfo=_info(limits), encoding="utf-8") as tar:  # type: ignore[call-overload]
        for info in tar:
            if info.isdir():
                if info.name not in (".", "./"):
                    yield _Row(_without_dot(info.name) + "/", 0, None)
            elif info.isreg() and not info.issparse() and info.size >= 0:
                yield _Row(_without_dot(info.name), info.size, _taker(tar, info))
            else:
                raise refused("an archive has a link, a device or a sparse file")


def _without_dot(name: str) -> str:
    return name.removeprefix("./")  # as `tar -c .` names all


def _taker(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], BinaryIO]:
    return lambda: cast("BinaryIO", tar.extractfile(info))


def _info(limits: ArchiveLimits) -> type[tarfile.TarInfo]:
    """Return headers of tar that are refused where they would be read into memory at length."""
    left = [limits.files * 3 + 16, limits.files * _ENTRY + _SMALL]

    class Info(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            info = super().frombuf(buf, encoding, errors)
            left[0] -= 1
            if info.type in _EXTENDED:
                left[1] -= info.size
                if not 0 <= info.size <= _HEADER:
                    raise refused("a header of an archive is too long")
            if min(left) < 0:
                raise refused("an archive has too many headers")
            if info.size < 0:
                raise refused("a member of an archive has less than no bytes")
            return info

    return Info


def _inflated(file: BinaryIO) -> BinaryIO:
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file, mode="rb"))
    if head.startswith(b"BZh"):
        return cast("BinaryIO", bz2.BZ2File(file))
    if head == b"\xfd7zXZ\0":
        return cast("BinaryIO", io.BufferedReader(_Xz(file), _STEP))
    return file


class _Xz(io.RawIOBase):
    """One stream of xz, with a bound on the memory that its header may ask for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # of any buffer
        while not self._stream.eof:
            packed = self._file.read(_STEP) if self._stream.needs_input else b""
            if self._stream.needs_input and not packed:
                message = "a stream of xz ends early"
                raise EOFError(message)
            data = self._stream.decompress(packed, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0


class _Counted:
    """What is read is counted, headers and what is skipped included."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._left = file, most

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise refused("an archive unpacks to more than is allowed")
        return data
