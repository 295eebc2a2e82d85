"""Files that stay plain: written together with a sidecar that authenticates them.

The order is: the new file under a temporary name, the sidecar with the records of the new and of
the present file, then the new file in the place of the old one, then the mark. A crash at any
moment leaves a file that one of the records is of.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from safehold.artifacts import container, sidecar
from safehold.artifacts.codecs import CODECS
from safehold.artifacts.container import Buffer, Header, Sealed
from safehold.artifacts.sidecar import SUFFIX, Record
from safehold.artifacts.target import Recorded, Target
from safehold.artifacts.writing import Draft, Writer, Written, check_name
from safehold.errors import ConfigError, DecodeError, LimitExceeded, VerificationError
from safehold.keys import Key
from safehold.paths import FileRange, replace_file
from safehold.replacing import Patch, remove_temporary
from safehold.sfh1 import SUITES


class PlainWriter(Writer):
    """A writer of plain files and sidecars as well."""

    def plain(
        self,
        directory: int,
        name: str,
        target: Target,
        draft: Draft,
        entry: Recorded,
        *,
        above: int = 0,
    ) -> Written:
        """Write a file as it is, and its sidecar; its generation is beyond `above`.

        Raises:
            OSError. ConfigError: the key's suite encrypts. FileExistsError: something else has
                the sidecar's name.
        """
        with self._lock(target):
            remove_temporary(directory, name + SUFFIX)
            kept = self._kept(directory, name, target, self._hold.keyring.signing)
            above = max(above, kept.generation, super()._unmarked(directory, name, target))
            with self._detached(directory, name, target, draft, entry, above) as pieces:

                def publish() -> None:
                    entry.allow()
                    replace_file(
                        directory, name + SUFFIX, [pieces.record, kept.record], locked=True
                    )

                replace_file(directory, name, pieces.payload(), before_rename=publish, locked=True)
        return pieces.written

    def record(
        self,
        directory: int,
        name: str,
        target: Target,
        draft: Draft,
        entry: Recorded,
        *,
        opened: os.stat_result,
        above: int = 0,
    ) -> Written:
        """Write the sidecar of the file that was opened, whose bytes the draft holds.

        The caller has the artifact's lock.

        Raises:
            As `plain`. OSError also when another file has taken its place meanwhile.
        """
        with self._detached(directory, name, target, draft, entry, above) as pieces:
            for _ in pieces.payload():
                pass
            now = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if _identity(now) != _identity(opened):
                raise OSError(errno.ESTALE, "the file was changed while it was sealed", name)
            replace_file(
                directory, name + SUFFIX, [pieces.record], before_rename=entry.allow, locked=True
            )
        return pieces.written

    @contextmanager
    def _detached(
        self,
        directory: int,
        name: str,
        target: Target,
        draft: Draft,
        entry: Recorded,
        above: int,
    ) -> Iterator[_Pieces]:
        key = self._hold.keyring.signing
        check_name(name)
        _check_suite(key)
        _check_room(directory, name)
        align = container.MEMORY_ALIGN
        with self._sealing(target, draft, align, entry, above, detached=True) as sealing:
            entry.fields["size"] = sealing.header.segments[0]
            yield _Pieces(
                sealing.pieces(),
                Written(sealing.header, sealing.artifact, sealing.header.segments[0]),
            )

    def _unmarked(self, directory: int, name: str, target: Target) -> int:
        kept = self._kept(directory, name, target, None)
        return max(kept.generation, super()._unmarked(directory, name, target))

    def _kept(self, directory: int, name: str, target: Target, key: Key | None) -> _Kept:
        """Return the record of the file as it is, under a key if it is asked for.

        Empty if it has none; its generation may be newer than the mark.
        """
        try:
            with sidecar.beside(self._hold.root, directory, name) as pair:
                if pair is None:
                    return _Kept(b"", 0)
                expected = self._reader.expected(target)
                record = pair.fitting(expected)
                header = record.opened.header()
                self._reader.check_context(header, target)
                if key is None or header.key == key.id:
                    return _Kept(record.data, header.generation)
                return _Kept(under(record, pair, expected, key), header.generation)
        except (VerificationError, LimitExceeded, FileNotFoundError):
            return _Kept(b"", 0)  # nothing that could be loaded, so nothing to keep


class _Kept(NamedTuple):
    record: bytes
    generation: int


class _Pieces:
    """Passes the payload of a detached container on; what is left is the record."""

    def __init__(self, pieces: Iterator[Buffer], written: Written) -> None:
        self.written = written
        self.record = b""
        self._pieces = pieces

    def payload(self) -> Iterator[Buffer]:
        head, last = bytes(next(self._pieces)), None
        for piece in self._pieces:
            if last is not None:
                yield last
            last = piece
        self.record = head + bytes(last or b"")


def plain_bytes(sealed: Sealed) -> memoryview:
    """Return the bytes of the plain file that a verified payload is. Raises DecodeError."""
    if len(sealed.segments) == 1:
        return sealed.segments[0].toreadonly()
    if CODECS[sealed.header.codec].carries_code:
        message = "the payload is not a plain file; see Store.unseal, or dump with sidecar=True"
        raise DecodeError(message)
    return memoryview(b"".join(sealed.segments))


def under(record: Record, pair: sidecar.Pair, expected: container.Expected, key: Key) -> bytes:
    """Return a record of the same file, generation and artifact id under another key.

    The file is read only where a suite's leaves need a key. Raises as `Pair.verified`.
    """
    _check_suite(key)
    opened = record.opened
    header = rekeyed(opened.header(), key)
    if opened.shape.suite.keyless and SUITES[key.suite].keyless:
        parts = container.resealed(pair.fd, opened, header, key)
        return b"".join(part for part in parts if not isinstance(part, FileRange | Patch))
    (payload,) = pair.verified(expected).segments
    pieces = list(
        container.sealed_chunks(
            header,
            [(len(payload), [payload])],
            key,
            opened.shape.artifact,
            align=container.MEMORY_ALIGN,
            detached=True,
        )
    )
    return bytes(pieces[0]) + bytes(pieces[-1])


def rekeyed(header: Header, key: Key) -> Header:
    """Return a header as it is under another key."""
    return msgspec.structs.replace(header, key=key.id, suite=key.suite)


def _check_suite(key: Key) -> None:
    if SUITES[key.suite].encrypts:
        message = (
            f"the key {key.id!r} is of suite {key.suite}, which encrypts, and a file with a "
            f"sidecar is readable; seal it without one, or sign with a key of another suite"
        )
        raise ConfigError(message)


def _check_room(directory: int, name: str) -> None:
    """Refuse to put a sidecar in the place of something else."""
    try:
        fd = os.open(name + SUFFIX, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except FileNotFoundError:
        return
    try:
        found = sidecar.is_sidecar(os.pread(fd, container.PREFIX_BYTES, 0))
    finally:
        os.close(fd)
    if not found:
        raise FileExistsError(
            errno.EEXIST, "not a sidecar, but it has the name of one", name + SUFFIX
        )


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
