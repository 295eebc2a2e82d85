"""Operations on files that are there: inspect, verify, seal, renew, rename, unseal."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from safehold.artifacts import container, sidecar, streams
from safehold.artifacts.bundle import Signature
from safehold.artifacts.codecs import CODECS, Encoded, codec_named, plain_encoder
from safehold.artifacts.codecs.pickle import split_pickles
from safehold.artifacts.container import Buffer, Sealed
from safehold.artifacts.info import Info, info_of
from safehold.artifacts.marks import Mark, Marks
from safehold.artifacts.plain import PlainWriter
from safehold.artifacts.reading import Reader, check_declared, check_generation, check_time
from safehold.artifacts.sidecar import Pair
from safehold.artifacts.target import (
    Recorded,
    Target,
    check_codec,
    codec_for,
    target_of_place,
)
from safehold.artifacts.unsealed import UnsealedList
from safehold.artifacts.writing import Draft
from safehold.context import Context
from safehold.errors import ConfigError, LimitExceeded, Rollback, UnknownKey, VerificationError
from safehold.paths import StrPath, replace_file
from safehold.replacing import has_temporary, remove_temporary


class Packing(NamedTuple):
    """A compression around the containers of a file, such as gzip that the service opens itself."""

    unpack: Callable[[bytes], bytes]
    pack: Callable[[bytes], bytes]


class OpenedFile(NamedTuple):
    """A file that is read and perhaps replaced, and the event that will tell of it."""

    directory: int
    name: str
    fd: int
    size: int
    target: Target
    entry: Recorded


class Files:
    """The part of a Store that works on whole files."""

    def __init__(self, hold: Context) -> None:
        """Use the context's policy, keys and recorder; nothing is opened here."""
        self._hold = hold
        self._marks = Marks(hold.policy.root / hold.policy.marks, hold.keyring)
        self._reader = Reader(hold, self._marks)
        self._writer = PlainWriter(hold, self._marks, self._reader)
        self.unsealed = UnsealedList(hold.policy.root / hold.policy.unsealed, hold.keyring)

    def inspect(self, path: StrPath) -> Info:
        """Return verified metadata of a file's first container. Raises as load, but for Rollback.

        The payload of a file that holds one container is not read.
        """
        with self._opened("inspect", path) as at, self._beside(at) as pair:
            self._tidy(at)
            expected = self._reader.expected(at.target)
            if pair is not None:
                opened = pair.settled(lambda: pair.fitting(expected)).opened
                header, artifact = opened.header(), opened.shape.artifact
                self._reader.check_context(header, at.target)
            elif streams.is_single(at.fd, at.size, expected):
                header, artifact = container.verified_header(at.fd, at.size, expected)
                self._reader.check_context(header, at.target)
            else:
                first = self._containers(at)[0]
                header, artifact = first.header, first.artifact
            at.entry.header(header)
            return info_of(header, artifact, at.size, sidecar=pair is not None)

    def verify(
        self, path: StrPath, *, min_generation: int = 0, packing: Packing | None = None
    ) -> None:
        """Verify seal, context and freshness of a whole file, all of its containers.

        Raises:
            As load.
        """
        with self._opened("verify", path) as at:
            self._tidy(at)
            try:
                self._verify(at, min_generation, packing)
            except Rollback:
                # A writer may have replaced the file between its opening and the mark.
                fd, status, _ = self._hold.root.open_in(at.directory, at.name)
                try:
                    if os.path.sameopenfile(fd, at.fd):
                        raise
                    self._verify(at._replace(fd=fd, size=status.st_size), min_generation, packing)
                finally:
                    os.close(fd)

    def _verify(self, at: OpenedFile, min_generation: int, packing: Packing | None) -> None:
        try:
            newest = self._reader.newest(at.target)  # before what may take long
        except UnknownKey:
            self._containers(at, packing)  # what is wrong with the file itself comes first
            raise
        first = self._containers(at, packing)[0]
        check_time(first.header)
        check_generation(first, at.target, min_generation, newest)

    def containers(self, path: StrPath, *, packing: Packing | None = None) -> list[Sealed]:
        """Return every container of a file, verified. Raises as load, but for Rollback."""
        with self._opened("inspect", path) as at:
            return self._containers(at, packing)

    def _containers(
        self, at: OpenedFile, packing: Packing | None = None, *, revoked: bool = False
    ) -> list[Sealed]:
        """Verify every container of a file, or the file and its sidecar; most files hold one."""
        expected = self._reader.expected(at.target, revoked=revoked)
        found: list[Sealed] = []
        if packing is None:
            with self._beside(at) as pair:
                if pair is not None:
                    sealed = pair.settled(lambda: pair.verified(expected))
                    self._reader.check_context(sealed.header, at.target)
                    at.entry.header(sealed.header)
                    return [sealed]
            verified = streams.verify_all(at.fd, at.size, expected)
        else:
            unpacked = packing.unpack(streams.read_whole(at.fd, at.size))
            verified = streams.verify_each(io.BytesIO(unpacked), expected)
        for position, sealed in verified:
            place = Target(at.target.zone, at.target.name, position)
            self._reader.check_context(sealed.header, place)
            found.append(sealed)
            if sealed.header.generation != found[0].header.generation:
                message = f"{place} holds containers of different generations"
                raise Rollback(message)
        at.entry.header(found[0].header)
        return found

    def _beside(self, at: OpenedFile) -> AbstractContextManager[Pair | None]:
        return sidecar.beside(self._hold.root, at.directory, at.name)

    def _is_plain(self, at: OpenedFile) -> bool:
        return not container.is_sealed(os.pread(at.fd, container.PREFIX_BYTES, 0))

    @contextlib.contextmanager
    def _opened(self, action: str, path: StrPath) -> Iterator[OpenedFile]:
        """Open a file and the directory in which it can be replaced; record the action."""
        root = self._hold.root
        with root.open_parent(path) as (directory, name, place):
            fd, status, _ = root.open_in(directory, name)
            target = target_of_place(self._hold, place)
            try:
                with Recorded(self._hold.recorder, action, target) as entry:
                    yield OpenedFile(directory, name, fd, status.st_size, target, entry)
            finally:
                os.close(fd)

    def seal(
        self,
        path: StrPath,
        *,
        codec: str | None = None,
        meta: Mapping[str, Any] | None = None,
        packing: Packing | None = None,
        sidecar: bool | None = None,
        signature: Signature | None = None,
    ) -> Info:
        """Seal an existing plain file in place; its own bytes become the payload.

        The very bytes that are sealed are scanned before, with the zone's allow-list. With
        `packing` the containers go inside the file's compression. With `sidecar` (the zone says
        it if nothing is given) the file stays as it is, and its seal is a file beside it. With
        `signature` the bytes must be those that somebody signed with OpenSSF model-signing.

        Raises:
            ConfigError: sealed already, no codec for it, or not one of the zone's.
            TypeNotAllowed: the scanner does not find it clean.
            LimitExceeded: larger than the policy's limit. Tampered, UnknownKey: not as signed.
        """
        with self._opened("seal", path) as first, self._locked(first) as at:
            limit = self._hold.policy.limits.artifact
            if at.size > limit:
                message = f"{at.target} has {at.size} bytes, the limit is {limit}"
                raise LimitExceeded(message)
            plain = packing is None and (at.target.zone.sidecar if sidecar is None else sidecar)
            opened = os.fstat(at.fd)
            data = streams.read_whole(at.fd, at.size)
            if signature is not None:
                signature.verify(data, at.name)
            if packing is not None:
                data = packing.unpack(data)
            if container.is_sealed(data) or self._fits_sidecar(at):
                message = f"{at.target} is sealed already; see: safehold seal --renew"
                raise ConfigError(message)
            chosen = codec or codec_for(at.target)
            check_codec(at.target.zone, chosen)
            drafts = [
                self._writer.scanned(
                    Draft(Encoded([part], raw=True), chosen, meta=meta or {}), at.target
                )
                for part in (split_pickles(data) if chosen == "pickle" else [data])
            ]
            if not plain:
                return self._replace(at, drafts, pack=None if packing is None else packing.pack)
            if len(drafts) > 1:
                message = f"{at.target} holds {len(drafts)} pickles, a sidecar is for one"
                raise ConfigError(message)
            return self._record(at, drafts[0], opened)

    def _fits_sidecar(self, at: OpenedFile) -> bool:
        """Say whether a plain file is authentic by its sidecar; one that was changed is not."""
        with self._beside(at) as pair:
            if pair is None:
                return False
            try:
                pair.verified(self._reader.expected(at.target))
            except VerificationError:
                return False
            return True

    def _record(self, at: OpenedFile, draft: Draft, opened: os.stat_result, above: int = 0) -> Info:
        """Write the sidecar of a file that was `opened` under its lock and is in the draft."""
        written = self._writer.record(
            at.directory, at.name, at.target, draft, at.entry, opened=opened, above=above
        )
        return info_of(*written, sidecar=True)

    def renew(self, path: StrPath) -> Info:
        """Give an authentic sealed file the next generation.

        This is how an operator takes an older model back into service. Raises as load, but
        for Rollback.
        """
        with self._opened("renew", path) as first, self._locked(first) as at:
            opened = os.fstat(at.fd)
            found = self._containers(at)
            drafts = [Draft.of(sealed) for sealed in found]
            above = found[0].header.generation
            if self._is_plain(at):
                return self._record(at, drafts[0], opened, above)
            return self._replace(at, drafts, above=above)

    def rename(self, old: StrPath, new: StrPath, *, replace: bool = False) -> Info:
        """Give an authentic file another name, perhaps in another zone; seal it for that.

        The new file is whole before the old one goes, and a copy of the old one that is put back
        is refused. The generation goes on from both names.

        Raises:
            FileExistsError: there is a file with the new name, and it is not to `replace` that.
            ConfigError, TypeNotAllowed: the new zone does not have the codec, or the types.
            As load for the old file.
        """
        root = self._hold.root
        with (
            self._opened("rename", old) as first,
            root.open_parent(new) as (directory, name, place),
            self._locked(first) as at,
        ):
            found = self._containers(at)
            check_time(found[0].header)
            self._reader.check_fresh(found[0], at.target, 0)
            target = target_of_place(self._hold, place)
            with Recorded(self._hold.recorder, "rename", target) as entry:
                check_codec(target.zone, found[0].header.codec)
                for sealed in found:
                    check_declared(sealed.header, self._reader.reading(sealed.header, target).allow)
                if not replace and name in os.listdir(directory):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.name)
                generation = found[0].header.generation
                drafts = [Draft.of(sealed) for sealed in found]
                plain = self._is_plain(at)
                if plain:
                    written = self._writer.plain(
                        directory, name, target, drafts[0], entry, above=generation
                    )
                else:
                    written = self._writer.file(
                        directory, name, target, drafts, entry, above=generation
                    )
            at.entry.allow()
            # Beyond the old file: none of its copies is the newest of that name any more.
            gone = Mark(generation + 1, bytes(16))
            self._marks.write(at.target.zone.name, at.target.name, gone)
            os.unlink(at.name, dir_fd=at.directory)
            os.fsync(at.directory)
            sidecar.drop(at.directory, at.name)
            return info_of(*written, sidecar=plain)

    @contextlib.contextmanager
    def _locked(self, first: OpenedFile) -> Iterator[OpenedFile]:
        """Take the artifact's lock and open the file again, as a writer may have replaced it."""
        with self._marks.lock(first.target.zone.name, first.target.name):
            remove_temporary(first.directory, first.name)
            fd, status, _ = self._hold.root.open_in(first.directory, first.name)
            try:
                yield first._replace(fd=fd, size=status.st_size)
            finally:
                os.close(fd)

    def _tidy(self, at: OpenedFile) -> None:
        """Remove what a killed writer left of a file; nothing there costs a look."""
        for name in (at.name, at.name + sidecar.SUFFIX):
            if has_temporary(at.directory, name):
                with (
                    contextlib.suppress(OSError),  # a read-only deployment
                    self._marks.lock(at.target.zone.name, at.target.name),
                ):
                    remove_temporary(at.directory, name)

    def unseal(self, path: StrPath) -> None:
        """Replace a sealed file by the plain file that the replaced library reads.

        A file that was sealed as it stood comes back byte for byte; other values are written
        by pickle or joblib, and data codecs leave their own encoding. Of a plain file the
        sidecar goes. Raises as load, but for Rollback.
        """
        with self._opened("unseal", path) as first, self._locked(first) as at:
            containers = self._containers(at)
            if self._is_plain(at):
                at.entry.allow()
            else:
                plain = [piece for sealed in containers for piece in self._plain(sealed, at.target)]
                replace_file(
                    at.directory, at.name, plain, before_rename=at.entry.allow, locked=True
                )
            sidecar.drop(at.directory, at.name)

    def _plain(self, sealed: Sealed, target: Target) -> Sequence[Buffer]:
        if len(sealed.segments) == 1 or not CODECS[sealed.header.codec].carries_code:
            return sealed.segments
        reading = self._reader.reading(sealed.header, target)
        value = codec_named(sealed.header.codec).decode(sealed.segments, reading)
        return plain_encoder(sealed.header.codec)(value, reading.depth).segments

    def _replace(
        self,
        at: OpenedFile,
        drafts: Sequence[Draft],
        *,
        above: int = 0,
        pack: Callable[[bytes], bytes] | None = None,
    ) -> Info:
        written = self._writer.file(
            at.directory, at.name, at.target, drafts, at.entry, above=above, pack=pack, held=True
        )
        return info_of(*written)
