"""Another key for a sealed file: same payload, generation and artifact id, so the mark holds.

A file with slots is changed where it is, 512 bytes at a time; any other one is replaced.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from safehold.artifacts import container, streams
from safehold.artifacts.chunks import read_at
from safehold.artifacts.container import Header, Sealed
from safehold.artifacts.files import Files, OpenedFile
from safehold.artifacts.info import Info, info_of
from safehold.artifacts.plain import under
from safehold.artifacts.reading import Reader
from safehold.artifacts.sidecar import SUFFIX, Pair
from safehold.artifacts.target import Target
from safehold.artifacts.writing import Draft
from safehold.errors import ConfigError, EncodeError, Tampered, TypeNotAllowed
from safehold.keys import Key
from safehold.paths import StrPath
from safehold.replacing import Piece, length_of, replace_file, write_at
from safehold.sfh1 import PREFIX, SUITES, shape_of

_Pieces = Callable[[], Iterable[Piece]]


class Rotations(Files):
    """The part of a Store that puts files under another key."""

    def rotate(
        self,
        old_id: str,
        new_id: str,
        paths: Iterable[StrPath],
        *,
        rekey: bool = False,
        repair: bool = False,
    ) -> list[Info]:
        """Put files of key `old_id` under `new_id`, the signing key; nothing else changes.

        A file of another key is left as it is, as its Info tells. A large file is changed in
        place, where its slots are. Another one is replaced; its payload is copied by the system,
        unverified as before, or if its leaves need a key, verified and sealed again.

        `rekey` is for a key that others may have had: payload and names are checked, and the file
        is sealed anew with the next generation, so that no copy of the old one loads; `old_id` may
        be revoked. `repair` writes the one slot of a file anew that a power loss has torn, if all
        else is right.

        Raises:
            UnknownKey: no such key. ConfigError: `new_id` is not the signing key.
            TypeNotAllowed: `rekey`, and the file names what its zone does not allow.
            OSError: a large file has other links, or cannot be written.
            As load for each file, which leaves those before it rotated.
        """
        ring = self._hold.keyring
        ring.by_id(old_id, revoked=rekey)
        if ring.signing.id != new_id:
            message = f"the policy's [keys] signs with {ring.signing.id!r}, not with {new_id!r}"
            raise ConfigError(message)
        if rekey and repair:
            message = "repair a file before it gets another file key"
            raise ConfigError(message)
        return [self._rotate(old_id, path, rekey=rekey, repair=repair) for path in paths]

    def _rotate(self, old_id: str, path: StrPath, *, rekey: bool, repair: bool) -> Info:
        with self._opened("rotate", path) as first, self._locked(first) as at:
            if rekey:
                return self._rekey(at, old_id)
            target, entry, key = at.target, at.entry, self._hold.keyring.signing
            file = _File(at.fd, at.size, old_id)
            size, plain = at.size, False
            with self._beside(at) as pair:
                beside = None if pair is None else _beside(pair, file, target, self._reader, key)
            if beside is not None:
                old, new, plain = beside.old, beside.new, True
                entry.header(old.header)
                if beside.pieces is not None:
                    name = at.name + SUFFIX
                    self._put(at._replace(name=name), beside, beside.pieces())
            elif _is_slotted(at.fd, at.size, key.suite):
                changes = _change_in_place(file, target, self._reader, key, repair=repair)
                old, new = changes.old, changes.old.header
                entry.header(new)
                if changes.places:
                    new = msgspec.structs.replace(new, key=key.id)
                    self._write_slots(at, changes, key)
            else:
                rotation = _replacement(file, target, self._reader, key)
                old, new = rotation.old, rotation.new
                entry.header(old.header)
                if rotation.pieces is not None:
                    size = self._put(at, rotation, rotation.pieces())
            mark = self._marks.read(target.zone.name, target.name)
            if mark is not None and new.key != old_id:
                # Its own key may be the one that goes; a run that was killed may have left it.
                self._marks.write(target.zone.name, target.name, mark)
            return info_of(new, old.artifact, size, sidecar=plain)

    def _write_slots(self, at: OpenedFile, changes: _InPlace, key: Key) -> None:
        """Change a file in place. Raises OSError when it cannot be, or has other names."""
        try:
            fd, status, _ = self._hold.root.open_in(at.directory, at.name, write=True)
        except OSError as error:
            message = f"{error.strerror}; a large file's key is changed in place"
            raise OSError(error.errno, message, at.target.name) from None
        try:
            here = os.fstat(at.fd)
            if (status.st_dev, status.st_ino) != (here.st_dev, here.st_ino):
                raise OSError(errno.ESTALE, "the file was replaced meanwhile", at.target.name)
            if status.st_nlink > 1:
                message = "other hard links would change with it; put a copy in its place first"
                raise OSError(errno.EMLINK, message, at.target.name)
            at.entry.fields |= {"key": key.id, "size": at.size}
            at.entry.allow("a torn slot is repaired" if changes.is_repair else "")
            changes.write(fd)
        finally:
            os.close(fd)

    def _rekey(self, at: OpenedFile, old_id: str) -> Info:
        """Seal a file anew, under the artifact's lock."""
        plain, opened = self._is_plain(at), os.fstat(at.fd)
        found = self._containers(at, revoked=True)
        first = found[0].header
        self._reader.check_fresh(found[0], at.target, 0, revoked=True)
        if first.key != old_id:
            return info_of(first, found[0].artifact, at.size, sidecar=plain)
        at.entry.fields["action"] = "rekey"
        drafts = [self._vetted(Draft.of(sealed), at.target) for sealed in found]
        if plain:
            return self._record(at, drafts[0], opened, first.generation)
        written = self._writer.file(
            at.directory, at.name, at.target, drafts, at.entry, above=first.generation, held=True
        )
        return info_of(*written)

    def _vetted(self, draft: Draft, target: Target) -> Draft:
        """Look at what an old key sealed as if it came from elsewhere. Raises TypeNotAllowed."""
        if draft.encoded.raw:
            return self._writer.scanned(draft, target)
        try:
            return self._writer.checked(draft, target)
        except EncodeError as error:
            raise TypeNotAllowed(str(error), name="") from error

    def _put(self, at: OpenedFile, rotation: _Rotation, pieces: Iterable[Piece]) -> int:
        """Replace a file by its rotated form; return how many bytes that has."""
        size = 0

        def counted() -> Iterator[Piece]:
            nonlocal size
            for piece in pieces:
                size += length_of(piece)
                yield piece

        def record() -> None:
            at.entry.fields |= {"key": rotation.new.key, "size": size}
            at.entry.allow()

        replace_file(at.directory, at.name, counted(), before_rename=record, locked=True)
        return size


class _File(NamedTuple):
    """An open file, and the id of the key that goes."""

    fd: int
    size: int
    old_id: str


class _Rotation(NamedTuple):
    """The first container as it is, its header as it will be, and what makes the new file.

    ``pieces`` is None for a file of another key than the one that goes.
    """

    old: Sealed
    new: Header
    pieces: _Pieces | None


def _beside(pair: Pair, at: _File, target: Target, reader: Reader, key: Key) -> _Rotation:
    """Verify a sidecar as far as it must be to sign it with `key`; only its present record stays.

    Raises:
        As Store.load.
    """
    expected = reader.expected(target)
    record = pair.fitting(expected)
    header = record.opened.header()
    first = Sealed(header, record.opened.shape.artifact, [])
    reader.check_context(header, target)
    reader.check_fresh(first, target, 0)
    if header.key != at.old_id:
        return _Rotation(first, header, None)
    new = under(record, pair, expected, key)
    return _Rotation(first, _under(header, key), lambda: [new])


def _replacement(at: _File, target: Target, reader: Reader, key: Key) -> _Rotation:
    """Verify a file as far as it must be to seal it under `key`.

    Raises:
        As Store.load.
    """
    fd, size, old_id = at
    expected = reader.expected(target)
    if streams.is_single(fd, size, expected):
        opened = container.open_file(fd, size, expected)
        header = opened.header()
        first = Sealed(header, opened.shape.artifact, [])
        reader.check_context(header, target)
        reader.check_fresh(first, target, 0)
        if header.key != old_id:
            return _Rotation(first, header, None)
        if opened.shape.suite.keyless and SUITES[key.suite].keyless:
            new = _under(header, key)
            return _Rotation(first, new, lambda: container.resealed(fd, opened, new, key))
    found = []
    for position, sealed in streams.verify_all(fd, size, expected):
        reader.check_context(sealed.header, Target(target.zone, target.name, position))
        found.append(sealed)
    reader.check_fresh(found[0], target, 0)
    if found[0].header.key != old_id:
        return _Rotation(found[0], found[0].header, None)
    new = _under(found[0].header, key)
    slotted = len(found) == 1 and sum(map(len, found[0].segments)) >= container.CHUNK
    return _Rotation(found[0], new, lambda: _sealed_again(found, key, slotted=slotted))


def _is_slotted(fd: int, size: int, suite: str) -> bool:
    """Say whether an open file claims to have slots for keys of a suite."""
    shape = shape_of(read_at(fd, 0, bytearray(min(size, PREFIX.size))))
    return shape is not None and shape.slotted and shape.suite.name == suite


class _InPlace(NamedTuple):
    """A file with slots as it is, and where `sector` goes, in this order.

    There is no place in a file of another key than the one that goes.
    """

    old: Sealed
    places: Sequence[int]
    sector: bytes
    is_repair: bool

    def write(self, fd: int) -> None:
        """Write each slot and flush it before the next. Raises OSError."""
        for place in self.places:
            write_at(fd, place, self.sector)
            os.fdatasync(fd)


def _change_in_place(
    at: _File, target: Target, reader: Reader, key: Key, *, repair: bool
) -> _InPlace:
    """Verify a file with slots, all but its payload; with `repair` one slot may be broken.

    Raises:
        ConfigError: the file of a broken slot is of another key. Otherwise as Store.load.
    """
    fd, size, old_id = at
    opened = container.open_file(fd, size, reader.expected(target), repair=repair)
    slots = opened.slots
    if slots is None:
        message = "the container was changed while it was read"
        raise Tampered(message)
    first = Sealed(opened.header(), opened.shape.artifact, [])
    reader.check_context(first.header, target)
    reader.check_fresh(first, target, 0)
    is_repair = None in slots.keys
    ids = {known.id for known in slots.keys if known is not None}
    if is_repair and not ids & {old_id, key.id}:
        message = f"{target} is of key {slots.key.id!r}; to repair it, name that as the old key"
        raise ConfigError(message)
    if old_id not in ids and not is_repair:
        return _InPlace(first, (), b"", is_repair=False)
    return _InPlace(first, slots.others(key), slots.sector(key), is_repair)


def _under(header: Header, key: Key, at: int = 0) -> Header:
    return msgspec.structs.replace(header, key=key.id, suite=key.suite, at=at)


def _sealed_again(found: Iterable[Sealed], key: Key, *, slotted: bool) -> Iterator[Piece]:
    at = 0
    for sealed in found:
        header = _under(sealed.header, key, at)
        segments = [(len(segment), [segment]) for segment in sealed.segments]
        if slotted:
            yield from container.slotted_chunks(header, segments, key, sealed.artifact)
            return
        for piece in container.sealed_chunks(
            header, segments, key, sealed.artifact, align=container.MEMORY_ALIGN
        ):
            at += len(piece)
            yield piece
