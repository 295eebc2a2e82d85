"""Sidecars: ``model.joblib.sfh`` authenticates a ``model.joblib`` that other tools read.

It holds one or two detached containers, called records, the newest first. While a file is replaced,
the sidecar with the records of both the new and the old one is there before the new file is, so
that at any moment one of them is right.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import IO, NamedTuple, TypeVar

from safehold.artifacts import container, streams
from safehold.artifacts.chunks import private_memory, read_at
from safehold.artifacts.container import CHUNK, Expected, Opened, Sealed
from safehold.errors import NotSealed, Rollback, Tampered
from safehold.paths import Place, Root
from safehold.sfh1 import Header, is_sealed, shape_of, split

SUFFIX = ".sfh"
_TRIES = 8  # a file that is replaced each time it is read is not read for ever

_T = TypeVar("_T")


class Record(NamedTuple):
    """A record whose root holds, and its own bytes."""

    opened: Opened
    data: bytes


class _NoSidecarError(Exception):
    """There is none; what this means is the caller's to say."""


class Pair:
    """A plain file and its sidecar, opened beneath one directory, the file first."""

    def __init__(self, root: Root, directory: int, name: str) -> None:
        """Open both. The directory has to stay open. Raises OSError."""
        self._root = root
        self._directory = directory
        self._name = name
        self._held: bytearray | None = None
        self.fd, self._sidecar = -1, -1
        self._open()

    def _open(self) -> None:
        try:
            self.fd, self._status, self.place = self._root.open_in(self._directory, self._name)
            if is_sealed(os.pread(self.fd, len(container.MAGIC), 0)):
                raise _NoSidecarError  # its own seal counts
            try:
                self._sidecar, self._beside, _ = self._root.open_in(
                    self._directory, self._name + SUFFIX
                )
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                    raise _NoSidecarError from error
                raise
        except BaseException:  # also an interrupt: nobody else can close what is open here
            self.close()
            raise

    def _open_again(self) -> None:
        try:
            self._open()
        except _NoSidecarError as error:
            message = f"the sidecar of {self._name} has gone while it was read"
            raise NotSealed(message) from error

    def close(self) -> None:
        """Close what is open."""
        for fd in (self.fd, self._sidecar):
            if fd >= 0:
                os.close(fd)
        self.fd = self._sidecar = -1

    def taken(self) -> int:
        """Return the file's descriptor, which is the caller's to close from now on."""
        fd, self.fd = self.fd, -1
        return fd

    @property
    def size(self) -> int:
        """Return the length of the plain file."""
        return self._status.st_size if self._held is None else len(self._held)

    @property
    def identity(self) -> tuple[tuple[int, ...], ...]:
        """Return what is another when one of the two was replaced or written to."""
        return tuple(
            (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            for status in (self._status, self._beside)
        )

    def settled(self, attempt: Callable[[], _T]) -> _T:
        """Try again while a writer replaces the two: one may have been opened before, one after.

        Raises:
            As `attempt`; OSError, NotSealed when one of them has gone.
        """
        for _ in range(_TRIES):
            before = self.identity
            try:
                return attempt()
            except (Tampered, Rollback):
                self.close()
                self._open_again()
                if self.identity == before:
                    raise
        return attempt()

    def records(self, expected: Expected) -> list[Record]:
        """Read the sidecar and verify the root of each record, of revoked artifacts as well.

        Raises:
            NotSealed, Tampered, UnknownKey, WrongContext, LimitExceeded
        """
        size = self._beside.st_size
        first = self._length(0, expected.limit)
        second = self._length(first, expected.limit) if first < size else 0
        if first + second != size:
            message = "the sidecar was cut or extended"
            raise Tampered(message)
        # Its length is that of one or two records, so no more than they may have is read.
        data = bytes(read_at(self._sidecar, 0, bytearray(size)))
        parts = [data[:first], data[first:]]
        every = replace(expected, refused=frozenset())
        return [self._record(part, every) for part in parts if part]

    def _length(self, at: int, limit: int) -> int:
        """Return how long the record at a position says that it is."""
        prefix = os.pread(self._sidecar, container.PREFIX_BYTES, at)
        if is_sealed(prefix):
            return container.detached_length(prefix, limit)
        message = f"{self._name}{SUFFIX} is not a sidecar, or not to its end"
        raise Tampered(message) if at else NotSealed(message)

    def hold(self, file: IO[bytes], start: bytearray, expected: Expected) -> None:
        """Take the file's bytes from a handle, of which `start` was read, as far as they may go.

        Raises:
            As `records`.
        """
        most = max(record.opened.shape.payload for record in self.records(expected))
        self._held = streams.read_up_to(file, most + 1, start)

    def _record(self, data: bytes, expected: Expected) -> Record:
        opened = container.open_detached(memoryview(data), expected, self._reader())
        return Record(opened, data)

    def _reader(self) -> Callable[[int, memoryview], None]:
        fd, held = self.fd, self._held

        def read(start: int, into: memoryview) -> None:
            if held is None:
                read_at(fd, start, into)
            else:
                into[:] = held[start : start + len(into)]

        return read

    def fitting(self, expected: Expected) -> Record:
        """Return the record of the file as it is, as far as lengths and single chunks tell.

        Raises:
            As `records`. Tampered: neither is. Revoked: that one is.
        """
        records = self.records(expected)
        found = [record for record in records if record.opened.shape.payload == self.size]
        if len(found) > 1:
            found = self._told_apart(found)
        if not found:
            raise _unlike(self._name)
        _check_pair([record.opened.header() for record in records])
        if expected.refused:
            self._record(found[0].data, expected)  # says so if it is revoked
        return found[0]

    def _told_apart(self, found: list[Record]) -> list[Record]:
        """Keep the records that the first chunks fit, until one is left."""
        index = 0
        while len(found) > 1 and index < found[0].opened.chunks.count:
            leaves = {bytes(record.opened.chunks.leaf(index)) for record in found}
            # One leaf without a key: the same bytes in both.
            if len(leaves) > 1 or not found[0].opened.shape.suite.keyless:
                length = min(CHUNK, self.size - index * CHUNK)
                chunk = memoryview(bytearray(length))
                self._reader()(index * CHUNK, chunk)
                found = [record for record in found if record.opened.chunks.fits(index, chunk)]
            index += 1
        return found

    def verified(self, expected: Expected) -> Sealed:
        """Read the file into private memory and verify it there.

        Raises:
            As `fitting`.
        """
        opened = self.fitting(expected).opened
        small = self.size <= CHUNK
        payload = memoryview(bytearray(self.size)) if small else private_memory(self.size)
        try:
            opened.chunks.open_all(payload)
        except Tampered as error:
            raise _unlike(self._name) from error
        header = opened.header()
        return Sealed(header, opened.shape.artifact, split(payload, header.segments))


def _unlike(name: str) -> Tampered:
    return Tampered(
        f"{name} does not match its sidecar; if it was changed on purpose, seal it again: "
        f"safehold seal --sidecar PATH"
    )


def _check_pair(headers: list[Header]) -> None:
    """Raise Tampered unless authentic records are of one file and key, and in order."""
    generations = [header.generation for header in headers]
    kinds = {
        (header.name, header.key, header.at, header.raw, len(header.segments)) for header in headers
    }
    fits = len(kinds) == 1 and kinds.pop()[2:] == (0, True, 1)
    if not fits or generations != sorted(set(generations), reverse=True):
        message = "the sidecar's records are not those of one file, the newest first"
        raise Tampered(message)


@contextlib.contextmanager
def beside(root: Root, directory: int, name: str) -> Iterator[Pair | None]:
    """Open a plain file of a directory and its sidecar; None if it has none, or its own seal.

    Raises:
        OSError
    """
    pair = None
    if not name.endswith(SUFFIX):
        with contextlib.suppress(_NoSidecarError):
            pair = Pair(root, directory, name)
    try:
        yield pair
    finally:
        if pair is not None:
            pair.close()


@contextlib.contextmanager
def beside_place(root: Root, place: Place) -> Iterator[Pair | None]:
    """Open a file by where it really is, as `beside`; None as well if that is now elsewhere."""
    with root.open_parent(place.real) as (directory, name, there):
        if there != place:
            yield None
            return
        with beside(root, directory, name) as pair:
            yield pair


def is_sidecar(start: container.Buffer) -> bool:
    """Say whether bytes start like a sidecar."""
    shape = shape_of(start)
    return shape is not None and shape.detached


def drop(directory: int, name: str) -> bool:
    """Remove the sidecar of a file, if there is one; a file of another kind stays.

    Raises:
        OSError
    """
    beside_it = name + SUFFIX
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(beside_it, flags, dir_fd=directory)
    except OSError:  # none, or nothing that a reader would take for one
        return False
    try:
        found = is_sidecar(os.pread(fd, container.PREFIX_BYTES, 0))
    except OSError:  # a directory
        found = False
    finally:
        os.close(fd)
    if found:
        os.unlink(beside_it, dir_fd=directory)
        os.fsync(directory)
    return found
