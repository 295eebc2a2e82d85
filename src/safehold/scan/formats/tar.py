"""tar, and torch's first format, which is one: pickles of its own layout in three members."""

from __future__ import annotations

import io
import re
import struct
import tarfile
from collections.abc import Iterator
from typing import Any, Final

from safehold.scan import inert, rules
from safehold.scan.judge import Judge
from safehold.scan.opcodes import run
from safehold.scan.searching import search
from safehold.scan.values import Data, Global
from safehold.scan.visit import Source, Visit
from safehold.scan.weights import NAMES, item_size

_MAGIC_AT: Final = 257
_BLOCK: Final = 512
# What can be a number at all; most files end here.
_DIGITS: Final = rb"[\s\x1c-\x1f0-7oO_+-]*+(?:\0|\Z)|[\x80\xff]"
_CHECKSUM: Final = re.compile(_DIGITS)
HEAD: Final = rb".{257}ustar|.{148}(?:[\s\x1c-\x1f0-7oO_+-]{8}|%b)" % _DIGITS
_NONZERO: Final = re.compile(rb"[^\0]")
_ESCAPES: Final = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:")
_TORCH: Final = frozenset({"pickle", "storages", "tensors", "sys_info"})
_MOST_PARTS: Final = 1_000_000
_CHUNK: Final = 2**16


class _View(io.RawIOBase):
    """A seekable file over bytes that are not copied."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._pos = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._pos, len(self._data))[whence]
        self._pos = max(0, base + offset)
        return self._pos

    def tell(self) -> int:
        return self._pos

    def read(self, size: int | None = -1) -> bytes:
        stop = len(self._data) if size is None or size < 0 else self._pos + size
        found = bytes(self._data[self._pos : stop])
        self._pos += len(found)
        return found


def read(source: Source, visit: Visit) -> str | None:
    """Read every member of a tar archive, or return None if it is none."""
    if not fits(source.data):
        return None
    members = _members(source, visit)
    names = {_last(member.name) for member in members if _has_bytes(member)}
    torch = {"pickle", "storages", "tensors"} <= names
    for member in members:
        _read_member(source, visit, member, torch=torch)
    return "torch" if torch else "tar"


def fits(data: Data) -> bool:
    """Whether the first header is one of an archive."""
    return data[_MAGIC_AT : _MAGIC_AT + 5] == b"ustar" or _old_header(data)


def _old_header(data: Data) -> bool:
    """Headers before ustar have no magic: their checksum must be right."""
    if len(data) < _BLOCK or not _CHECKSUM.match(data, 148, 156):
        return False
    try:
        tarfile.TarInfo.frombuf(bytes(data[:_BLOCK]), "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def _members(source: Source, visit: Visit) -> list[tarfile.TarInfo]:
    found: list[tarfile.TarInfo] = []
    try:
        with tarfile.open(fileobj=_View(source.data), mode="r:") as archive:
            while (member := archive.next()) is not None:
                found.append(member)
                if not visit.count_member(source):
                    return found
            end = archive.offset
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
        detail = {"error": str(error)[:200]}
        visit.note(source, rules.UNREADABLE_STREAM, "the archive is broken", None, detail)
        return found
    _check_end(source, visit, end)
    return found


def _check_end(source: Source, visit: Visit, end: int) -> None:
    """An archive ends with zeros; a reader that skips a bad header goes on behind it."""
    found = search(_NONZERO, source.data, visit.budget, end)
    if found is None:
        return
    # Archives in a row: the next header begins with the block that the first byte is in.
    start = end + (found.start() - end) // _BLOCK * _BLOCK
    rest = source.data[start:]
    message = "bytes after the end of the archive"
    visit.note(source, rules.TRAILING_DATA, message, start, {"bytes": len(rest)})
    visit.scan(source.inner(rest, "", f"{source.member or ''}@{start}"))


def _read_member(source: Source, visit: Visit, member: tarfile.TarInfo, *, torch: bool) -> None:
    shown = member.name.encode("utf-8", "backslashreplace").decode()[:1000]
    label = f"{source.member}!{shown}" if source.member else shown
    here = source.inner(b"", shown, label)
    if _ESCAPES.search(member.name):
        visit.note(here, rules.ESCAPING_MEMBER, "a name that leads outside the archive")
    if (member.issym() or member.islnk()) and _ESCAPES.search(member.linkname):
        detail = {"target": member.linkname[:200]}
        visit.note(here, rules.ESCAPING_MEMBER, "a link to outside the archive", None, detail)
    if member.isdev():
        visit.note(here, rules.ESCAPING_MEMBER, "a device or pipe")
    if not _has_bytes(member):
        return
    start = member.offset_data
    if member.issparse():
        parts: Any = member.sparse
        packed = sum(size for _, size in parts)
        data = visit.unpack(here, _sparse(source.data, member, parts), packed, (ValueError,))
    else:
        data = source.data[start : start + member.size]
    if len(data) < member.size:
        visit.note(here, rules.UNREADABLE_STREAM, "the member is cut off")
    kind = _last(member.name)
    if torch and kind in _TORCH:
        _read_torch(source.inner(data, shown, label), visit, kind)
    else:
        visit.scan(source.inner(data, shown, label))


def _has_bytes(member: tarfile.TarInfo) -> bool:
    """Whether tarfile reads it as a file, as it does with every type that it does not know."""
    return member.isreg() or member.issparse() or member.type not in tarfile.SUPPORTED_TYPES


def _sparse(data: Data, member: tarfile.TarInfo, parts: list[tuple[int, int]]) -> Iterator[bytes]:
    """Yield a member with holes as tarfile reads it: its parts stand in a row, without the holes.

    Raises:
        ValueError: the parts overlap, or lie behind the end.
    """
    at, done = member.offset_data, 0
    for begin, size in (*parts, (member.size, 0)):
        if begin < done or size < 0 or begin + size > member.size:
            raise ValueError("parts that overlap, or lie behind the end")
        while done < begin:
            done += (hole := min(begin - done, _CHUNK))
            yield bytes(hole)
        for step in range(at, at + size, _CHUNK):
            yield bytes(data[step : min(step + _CHUNK, at + size)])
        at, done = at + size, done + size


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _read_torch(here: Source, visit: Visit, kind: str) -> None:
    """Read a member of torch's tar format: its pickles, and the raw bytes between them."""
    judge = Judge(visit.names.with_extra(NAMES), visit.budget)
    parts = _Parts(here.data, judge, kind)
    stop = parts.read()
    if stop is not None and stop < len(here.data):
        detail = {"bytes": len(here.data) - stop}
        judge.note(rules.TRAILING_DATA, "bytes after the last part", stop, detail)
    visit.take(here, judge)
    if inert.is_due(visit, (judge,)):
        inert.check(here, visit, starts=parts.starts)


class _Parts:
    """The parts of ``storages`` and ``tensors``: a count, then a pickle and raw bytes for each."""

    def __init__(self, data: Data, judge: Judge, kind: str) -> None:
        self._data = data
        self._judge = judge
        self._kind = kind
        self._pos = 0
        # Where the pickles stand.
        self.starts: list[int] = []

    def read(self) -> int | None:
        """Return where the last part ends, or None after a note that says why not."""
        count = self._pickle()
        if self._kind in {"pickle", "sys_info"}:
            return self._pos if count is not _FAILED else None
        if type(count) is not int or not 0 <= count <= _MOST_PARTS:
            self._failed("the number of parts cannot be told")
            return None
        for _ in range(count):
            args = self._pickle()
            if args is _FAILED:
                return None
            size = self._storage(args) if self._kind == "storages" else self._tensor()
            if size is None or self._pos + size > len(self._data):
                self._failed("the bytes of a part cannot be told")
                return None
            self._pos += size
        if self._kind == "storages":
            # Views into other storages, the last pickle.
            return self._pos if self._pickle() is not _FAILED else None
        return self._pos

    def _pickle(self) -> object:
        self.starts.append(self._pos)
        machine, outcome = run(self._data, self._judge, start=self._pos)
        self._pos = outcome.stop
        if not outcome.complete:
            self._failed(outcome.reason)
            return _FAILED
        if machine.persistent and self._kind != "pickle":
            self._judge.broken("a persistent id outside the object", outcome.stop)
        return outcome.top

    def _storage(self, args: object) -> int | None:
        if not isinstance(args, tuple) or len(args) != 3 or not isinstance(args[2], Global):
            return None
        size = item_size(args[2])
        count = self._number("<q", 0)
        return None if size is None or count is None or count < 0 else 8 + count * size

    def _tensor(self) -> int | None:
        dimensions = self._number("<i", 0)
        if dimensions is None or not 0 <= dimensions <= 64:
            return None
        return 8 + 16 * dimensions + 8

    def _number(self, form: str, at: int) -> int | None:
        try:
            value: int = struct.unpack_from(form, self._data, self._pos + at)[0]
        except struct.error:
            return None
        return value

    def _failed(self, message: str) -> None:
        self._judge.broken(message, self._pos)


_FAILED: Final = object()
