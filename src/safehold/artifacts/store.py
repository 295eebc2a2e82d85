"""Store: artifacts by path, handle or bytes; sealed when written, verified when read."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from safehold.artifacts import container
from safehold.artifacts.codecs import Encoded, codec_named
from safehold.artifacts.codecs.pickle import split_pickles
from safehold.artifacts.container import Buffer, Expected, Header, Sealed
from safehold.artifacts.marks import Marks
from safehold.artifacts.reading import Decode, Reader
from safehold.artifacts.target import (
    Target,
    check_codec,
    codec_for,
    recorded,
    target_of_handle,
    target_of_place,
)
from safehold.artifacts.writing import Draft, Writer
from safehold.context import Context
from safehold.errors import ConfigError, LimitExceeded, Tampered
from safehold.paths import StrPath, replace_file

_STREAM_STEP = 2**20
_NO_INPUT = "Ran out of input"  # what the replaced library says


@dataclass(frozen=True, slots=True)
class Info:
    """Verified metadata of an artifact. `created`: Unix seconds; `size`: bytes of the file."""

    zone: str
    name: str
    codec: str
    generation: int
    created: int
    key: str
    suite: str
    size: int
    artifact: str
    globals: tuple[str, ...]
    libs: Mapping[str, str]
    meta: Mapping[str, Any]
    raw: bool


class Store:
    """Reads and writes artifacts under one Context."""

    def __init__(self, hold: Context) -> None:
        """Use the context's policy, keys and recorder; nothing is opened here."""
        self._hold = hold
        marks = Marks(hold.policy.root / hold.policy.marks, hold.keyring)
        self._reader = Reader(hold, marks)
        self._writer = Writer(hold, marks, self._reader.seen)

    # -- paths

    def dump(
        self,
        value: object,
        path: StrPath,
        *,
        codec: str | None = None,
        meta: Mapping[str, Any] | None = None,
        prefer: str = "",
        encode: Callable[[], Encoded] | None = None,
    ) -> Info:
        """Seal a value into a file; a crash leaves the old file or the new one.

        The codec follows from the zone and the file's suffix unless it is named. `prefer`
        is taken where the zone has it, and `encode` is then asked for the encoded value.

        Raises:
            EncodeError: the value has no lossless form in the codec, or names a type that
                the zone does not allow. ConfigError: the zone does not have the codec.
        """
        with self._hold.root.open_parent(path) as (directory, name, place):
            target = target_of_place(self._hold, place)
            draft = self._writer.draft(
                value, target, codec=codec, meta=meta, prefer=prefer, encode=encode
            )
            return _info(*self._writer.file(directory, name, target, [draft]))

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
        """Return metadata whose seal was verified; the payload is not read. Raises as load."""
        fd, status, place = self._hold.root.open_file(path)
        target = target_of_place(self._hold, place)
        try:
            with recorded(self._hold.recorder, "inspect", target) as entry:
                header, artifact = container.verified_header(
                    fd, status.st_size, self._reader.expected(target)
                )
                self._reader.check_context(header, target)
                entry.header(header)
        finally:
            os.close(fd)
        return _info(header, artifact, status.st_size)

    def verify(self, path: StrPath, *, min_generation: int = 0) -> None:
        """Verify seal, context and freshness of a whole file, all of its containers.

        Raises:
            As load.
        """
        self._verified(path, "verify", min_generation)

    def _verified(
        self, path: StrPath, action: str, min_generation: int | None
    ) -> tuple[list[Sealed], Target]:
        fd, status, place = self._hold.root.open_file(path)
        target = target_of_place(self._hold, place)
        try:
            with recorded(self._hold.recorder, action, target) as entry:
                found = self._containers(fd, status.st_size, target)
                entry.header(found[0].header)
                if min_generation is not None:
                    self._reader.check_fresh(found[0], target, min_generation)
        finally:
            os.close(fd)
        return found, target

    def _containers(self, fd: int, size: int, target: Target) -> list[Sealed]:
        """Verify every container of a file; most files hold one."""
        expected = self._reader.expected(target)
        prefix = os.pread(fd, container.PREFIX_BYTES, 0)
        if container.total_length(prefix, expected.limit) >= size:
            sealed = container.verify_file(fd, size, expected)
            self._reader.check_context(sealed.header, target)
            return [sealed]
        found: list[Sealed] = []
        with open(os.dup(fd), "rb") as file:
            position = file.seek(0)
            while start := bytes(_read_up_to(file, container.PREFIX_BYTES)):
                if not container.is_sealed(start):
                    message = "bytes were appended to the container"
                    raise Tampered(message)
                sealed = _verify_stream(start, file, expected)
                place = Target(target.zone, target.name, position)
                self._reader.check_context(sealed.header, place)
                found.append(sealed)
                position = file.tell()
        return found

    def seal(
        self,
        path: StrPath,
        *,
        codec: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Info:
        """Seal an existing plain file in place; its own bytes become the payload.

        The very bytes that are sealed are scanned before, with the zone's allow-list.

        Raises:
            ConfigError: sealed already, no codec for it, or not one of the zone's.
            TypeNotAllowed: the scanner does not find it clean.
            LimitExceeded: larger than the policy's limit.
        """
        data, target = self._read_plain(path)
        if container.is_sealed(data):
            message = f"{os.fspath(path)} is sealed already; see: safehold seal --renew"
            raise ConfigError(message)
        chosen = codec or codec_for(target)
        check_codec(target.zone, chosen)
        drafts = [
            self._writer.scanned(Draft(Encoded([part], raw=True), chosen, meta=meta or {}), target)
            for part in (split_pickles(data) if chosen == "pickle" else [data])
        ]
        return self._put(path, target, drafts)

    def renew(self, path: StrPath) -> Info:
        """Give an authentic sealed file the next generation.

        This is how an operator takes an older model back into service. Raises as load, but
        for Rollback.
        """
        found, target = self._verified(path, "renew", None)
        drafts = [
            Draft(
                Encoded(sealed.segments, sealed.header.libs, raw=sealed.header.raw),
                sealed.header.codec,
                sealed.header.globals,
                sealed.header.meta,
            )
            for sealed in found
        ]
        return self._put(path, target, drafts)

    def unseal(self, path: StrPath) -> None:
        """Replace a sealed file by the plain file that the replaced library reads.

        A file that was sealed as it stood comes back byte for byte; other values are written
        by pickle or joblib, and data codecs leave their own encoding. Raises as load, but
        for Rollback.
        """
        found, target = self._verified(path, "unseal", None)
        plain = [piece for sealed in found for piece in self._plain(sealed, target)]
        with self._hold.root.open_parent(path) as (directory, name, _):
            replace_file(directory, name, plain)

    def _plain(self, sealed: Sealed, target: Target) -> list[Buffer]:
        if len(sealed.segments) == 1:
            return list(sealed.segments)
        codec = codec_named(sealed.header.codec)
        value = codec.decode(sealed.segments, self._reader.reading(sealed.header, target))
        return [_plain_file(value, sealed.header.codec)]

    def _read_plain(self, path: StrPath) -> tuple[bytes, Target]:
        fd, status, place = self._hold.root.open_file(path)
        with open(fd, "rb") as file:
            limit = self._hold.policy.limits.artifact
            if status.st_size > limit:
                message = f"{os.fspath(path)} has {status.st_size} bytes, the limit is {limit}"
                raise LimitExceeded(message)
            return file.read(), target_of_place(self._hold, place)

    def _put(self, path: StrPath, target: Target, drafts: Sequence[Draft]) -> Info:
        with self._hold.root.open_parent(path) as (directory, name, _):
            return _info(*self._writer.file(directory, name, target, drafts))

    # -- bytes and handles

    def dumps(
        self,
        value: object,
        *,
        zone: str = "memory",
        codec: str | None = None,
        prefer: str = "",
        encode: Callable[[], Encoded] | None = None,
    ) -> bytes:
        """Seal a value into bytes that belong to a zone but to no path. Raises as dump."""
        target = Target(self._hold.policy.zone_named(zone), "")
        draft = self._writer.draft(value, target, codec=codec, prefer=prefer, encode=encode)
        out = io.BytesIO()
        self._writer.stream(out.write, target, draft)
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
        private = bytearray(data)
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
        prefer: str = "",
        encode: Callable[[], Encoded] | None = None,
    ) -> Info:
        """Seal a value into an open binary handle, at its position. Raises as dump.

        Not crash-safe: the caller has opened, and usually emptied, the file.
        """
        target = target_of_handle(self._hold, file)
        draft = self._writer.draft(value, target, codec=codec, prefer=prefer, encode=encode)
        return _info(*self._writer.stream(file.write, target, draft))

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
        start = bytes(_read_up_to(file, container.PREFIX_BYTES))
        if not start:
            raise EOFError(_NO_INPUT)
        return self._reader.read(
            target,
            lambda expected: _verify_stream(start, file, expected),
            allow=allow,
            options=options,
            decode=decode,
        )


def _verify_stream(start: bytes, file: IO[bytes], expected: Expected) -> Sealed:
    total = container.total_length(start, expected.limit)
    data = bytearray(start)
    data += _read_up_to(file, total - len(start))
    return container.verify_bytes(data, expected)


def _read_up_to(file: IO[bytes], count: int) -> bytearray:
    """Read until `count` bytes or the end; memory grows with what is really there."""
    data = bytearray()
    while len(data) < count:
        piece = file.read(min(count - len(data), _STREAM_STEP))
        if not piece:
            break
        data += piece
    return data


def _info(header: Header, artifact: bytes, size: int) -> Info:
    return Info(
        zone=header.zone,
        name=header.name,
        codec=header.codec,
        generation=header.generation,
        created=header.created,
        key=header.key,
        suite=header.suite,
        size=size,
        artifact=artifact.hex(),
        globals=tuple(header.globals),
        libs=header.libs,
        meta=header.meta,
        raw=header.raw,
    )


def _plain_file(value: object, codec: str) -> bytes:
    """Encode a value as the replaced library would, in one stream."""
    if codec == "joblib":
        from safehold.artifacts.codecs.joblib import encode_compressed

        return bytes(encode_compressed(value, 0, None).segments[0])
    import pickle

    return pickle.dumps(value, protocol=5)
