"""Store: artifacts by path, handle or bytes; sealed when written, verified when read."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from safehold.artifacts import container, streams
from safehold.artifacts.codecs import CODECS, Encoded, codec_named
from safehold.artifacts.codecs.pickle import split_pickles
from safehold.artifacts.container import Buffer, Sealed
from safehold.artifacts.info import Info, info_of
from safehold.artifacts.marks import Marks
from safehold.artifacts.reading import Decode, Reader
from safehold.artifacts.target import (
    Recorded,
    Target,
    check_codec,
    codec_for,
    target_of_handle,
    target_of_place,
)
from safehold.artifacts.writing import Draft, Writer
from safehold.context import Context
from safehold.errors import ConfigError, LimitExceeded, Rollback
from safehold.paths import StrPath, replace_file

_NO_INPUT = "Ran out of input"  # what the replaced library says


class Packing(NamedTuple):
    """A compression around the containers of a file, such as gzip that the service opens itself."""

    unpack: Callable[[bytes], bytes]
    pack: Callable[[bytes], bytes]


class _Opened(NamedTuple):
    """A file that is read and perhaps replaced, and the event that will tell of it."""

    directory: int
    name: str
    fd: int
    size: int
    target: Target
    entry: Recorded


class Store:
    """Reads and writes artifacts under one Context."""

    def __init__(self, hold: Context) -> None:
        """Use the context's policy, keys and recorder; nothing is opened here."""
        self._hold = hold
        marks = Marks(hold.policy.root / hold.policy.marks, hold.keyring)
        self._reader = Reader(hold, marks)
        self._writer = Writer(hold, marks, self._reader)

    # -- paths

    def dump(
        self,
        value: object,
        path: StrPath,
        *,
        codec: str | None = None,
        meta: Mapping[str, Any] | None = None,
        prefer: str | tuple[str, ...] = "",
        encode: Callable[[], Encoded] | None = None,
        packing: Packing | None = None,
    ) -> Info:
        """Seal a value into a file; a crash leaves the old file or the new one.

        The codec follows from the zone and the file's suffix unless it is named. The first of
        `prefer` that the zone has is taken, and `encode` is asked for the encoded value if that
        is the first of all. With
        `packing` the container goes inside that compression.

        Raises:
            EncodeError: the value has no lossless form in the codec, or names a type that
                the zone does not allow. ConfigError: the zone does not have the codec.
        """
        with self._hold.root.open_parent(path) as (directory, name, place):
            target = target_of_place(self._hold, place)
            with Recorded(self._hold.recorder, "dump", target) as entry:
                draft = self._writer.draft(
                    value, target, codec=codec, meta=meta, prefer=prefer, encode=encode
                )
                pack = None if packing is None else packing.pack
                return info_of(
                    *self._writer.file(directory, name, target, [draft], entry, pack=pack)
                )

    def load(
        self,
        path: StrPath,
        *,
        allow: Iterable[str] | None = None,
        min_generation: int = 0,
        options: Mapping[str, Any] | None = None,
        decode: Decode | None = None,
    ) -> Any:
        """Verify a file, then decode it.

        `allow` replaces the zone's allow-list for this call. `min_generation` refuses older
        artifacts even where no mark is known. `options` are those of `pickle.Unpickler`;
        `decode` takes the place of the codec's decoder.

        Raises:
            NotSealed, Tampered, UnknownKey, WrongContext, Rollback, Blocked, TypeNotAllowed,
            LimitExceeded, DecodeError; OSError when the file cannot be opened.
        """
        fd, status, place = self._hold.root.open_file(path)
        try:
            return self._reader.read(
                target_of_place(self._hold, place),
                lambda expected: container.verify_file(fd, status.st_size, expected),
                allow=allow,
                min_generation=min_generation,
                options=options,
                decode=decode,
            )
        finally:
            os.close(fd)

    def inspect(self, path: StrPath) -> Info:
        """Return verified metadata of a file's first container. Raises as load, but for Rollback.

        The payload of a file that holds one container is not read.
        """
        with self._opened("inspect", path) as at:
            expected = self._reader.expected(at.target)
            if streams.is_single(at.fd, at.size, expected):
                header, artifact = container.verified_header(at.fd, at.size, expected)
                self._reader.check_context(header, at.target)
            else:
                first = self._containers(at)[0]
                header, artifact = first.header, first.artifact
            at.entry.header(header)
            return info_of(header, artifact, at.size)

    def verify(
        self, path: StrPath, *, min_generation: int = 0, packing: Packing | None = None
    ) -> None:
        """Verify seal, context and freshness of a whole file, all of its containers.

        Raises:
            As load.
        """
        with self._opened("verify", path) as at:
            first = self._containers(at, packing)[0]
            self._reader.check_fresh(first, at.target, min_generation)

    def verify_bytes(self, data: Buffer, *, zone: str = "memory") -> None:
        """Verify bytes of a zone that belong to no path. Raises as loads."""
        target = Target(self._hold.policy.zone_named(zone), "")
        with Recorded(self._hold.recorder, "verify", target) as entry:
            sealed = container.verify_bytes(data, self._reader.expected(target))
            self._reader.check_context(sealed.header, target)
            entry.header(sealed.header)

    def _containers(self, at: _Opened, packing: Packing | None = None) -> list[Sealed]:
        """Verify every container of a file; most files hold one."""
        expected = self._reader.expected(at.target)
        found: list[Sealed] = []
        if packing is None:
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

    @contextlib.contextmanager
    def _opened(self, action: str, path: StrPath) -> Iterator[_Opened]:
        """Open a file and the directory in which it can be replaced; record the action."""
        root = self._hold.root
        with root.open_parent(path) as (directory, name, place):
            fd, status, _ = root.open_in(directory, name)
            target = target_of_place(self._hold, place)
            try:
                with Recorded(self._hold.recorder, action, target) as entry:
                    yield _Opened(directory, name, fd, status.st_size, target, entry)
            finally:
                os.close(fd)

    def seal(
        self,
        path: StrPath,
        *,
        codec: str | None = None,
        meta: Mapping[str, Any] | None = None,
        packing: Packing | None = None,
    ) -> Info:
        """Seal an existing plain file in place; its own bytes become the payload.

        The very bytes that are sealed are scanned before, with the zone's allow-list. With
        `packing` the containers go inside the file's compression.

        Raises:
            ConfigError: sealed already, no codec for it, or not one of the zone's.
            TypeNotAllowed: the scanner does not find it clean.
            LimitExceeded: larger than the policy's limit.
        """
        with self._opened("seal", path) as at:
            limit = self._hold.policy.limits.artifact
            if at.size > limit:
                message = f"{at.target} has {at.size} bytes, the limit is {limit}"
                raise LimitExceeded(message)
            data = streams.read_whole(at.fd, at.size)
            if packing is not None:
                data = packing.unpack(data)
            if container.is_sealed(data):
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
            return self._replace(at, drafts, pack=None if packing is None else packing.pack)

    def seal_bytes(self, data: bytes, *, codec: str, zone: str = "memory") -> bytes:
        """Seal the bytes of a plain file for code that reads it as bytes. Raises as seal."""
        target = Target(self._hold.policy.zone_named(zone), "")
        check_codec(target.zone, codec)
        out = io.BytesIO()
        with Recorded(self._hold.recorder, "seal", target) as entry:
            draft = self._writer.scanned(Draft(Encoded([data], raw=True), codec), target)
            self._writer.stream(out, target, draft, entry)
        return out.getvalue()

    def renew(self, path: StrPath) -> Info:
        """Give an authentic sealed file the next generation.

        This is how an operator takes an older model back into service. Raises as load, but
        for Rollback.
        """
        with self._opened("renew", path) as at:
            found = self._containers(at)
            drafts = [
                Draft(
                    Encoded(sealed.segments, sealed.header.libs, raw=sealed.header.raw),
                    sealed.header.codec,
                    sealed.header.globals,
                    sealed.header.meta,
                )
                for sealed in found
            ]
            return self._replace(at, drafts, above=found[0].header.generation)

    def unseal(self, path: StrPath) -> None:
        """Replace a sealed file by the plain file that the replaced library reads.

        A file that was sealed as it stood comes back byte for byte; other values are written
        by pickle or joblib, and data codecs leave their own encoding. Raises as load, but
        for Rollback.
        """
        with self._opened("unseal", path) as at:
            containers = self._containers(at)
            plain = [piece for sealed in containers for piece in self._plain(sealed, at.target)]
            replace_file(at.directory, at.name, plain, before_rename=at.entry.allow)

    def _plain(self, sealed: Sealed, target: Target) -> list[Buffer]:
        if len(sealed.segments) == 1 or not CODECS[sealed.header.codec].carries_code:
            return list(sealed.segments)
        reading = self._reader.reading(sealed.header, target)
        value = codec_named(sealed.header.codec).decode(sealed.segments, reading)
        return [_plain_file(value, sealed.header.codec)]

    def _replace(
        self,
        at: _Opened,
        drafts: Sequence[Draft],
        *,
        above: int = 0,
        pack: Callable[[bytes], bytes] | None = None,
    ) -> Info:
        written = self._writer.file(
            at.directory, at.name, at.target, drafts, at.entry, above=above, pack=pack
        )
        return info_of(*written)

    # -- bytes and handles

    def dumps(
        self,
        value: object,
        *,
        zone: str = "memory",
        codec: str | None = None,
        prefer: str | tuple[str, ...] = "",
        encode: Callable[[], Encoded] | None = None,
    ) -> bytes:
        """Seal a value into bytes that belong to a zone but to no path. Raises as dump."""
        target = Target(self._hold.policy.zone_named(zone), "")
        out = io.BytesIO()
        with Recorded(self._hold.recorder, "dump", target) as entry:
            draft = self._writer.draft(value, target, codec=codec, prefer=prefer, encode=encode)
            self._writer.stream(out, target, draft, entry)
        return out.getvalue()

    def loads(
        self,
        data: Buffer,
        *,
        zone: str = "memory",
        allow: Iterable[str] | None = None,
        options: Mapping[str, Any] | None = None,
        decode: Decode | None = None,
    ) -> Any:
        """Verify bytes of a zone, then decode them. Raises as load; EOFError for no bytes."""
        target = Target(self._hold.policy.zone_named(zone), "")
        # A private copy: the caller's buffer could change between verifying and decoding.
        private = bytearray(memoryview(data))
        if not private:
            raise EOFError(_NO_INPUT)
        return self._reader.read(
            target,
            lambda expected: container.verify_bytes(private, expected),
            allow=allow,
            options=options,
            decode=decode,
        )

    def dump_to(
        self,
        value: object,
        file: Any,
        *,
        codec: str | None = None,
        prefer: str | tuple[str, ...] = "",
        encode: Callable[[], Encoded] | None = None,
    ) -> Info:
        """Seal a value into an open binary handle, at its position. Raises as dump.

        Not crash-safe: the caller has opened, and usually emptied, the file.
        """
        target = target_of_handle(self._hold, file)
        with Recorded(self._hold.recorder, "dump", target) as entry:
            draft = self._writer.draft(value, target, codec=codec, prefer=prefer, encode=encode)
            return info_of(*self._writer.stream(file, target, draft, entry))

    def load_from(
        self,
        file: IO[bytes],
        *,
        allow: Iterable[str] | None = None,
        options: Mapping[str, Any] | None = None,
        decode: Decode | None = None,
    ) -> Any:
        """Verify and decode the next container of an open binary handle.

        `decode` is given the verified segments in place of the codec's own decoder.

        Raises:
            EOFError: the handle is at its end. Otherwise as load.
        """
        target = target_of_handle(self._hold, file)
        start = streams.read_up_to(file, container.PREFIX_BYTES)
        if not start and not target.has_mark:  # the end; a file that is empty is another matter
            raise EOFError(_NO_INPUT)
        return self._reader.read(
            target,
            lambda expected: streams.verify_next(start, file, expected),
            allow=allow,
            options=options,
            decode=decode,
        )


def _plain_file(value: object, codec: str) -> bytes:
    """Encode a value as the replaced library would, in one stream."""
    if codec == "joblib":
        from safehold.artifacts.codecs.joblib import encode_compressed

        return bytes(encode_compressed(value, 0, None).segments[0])
    import pickle

    return pickle.dumps(value, protocol=5)
