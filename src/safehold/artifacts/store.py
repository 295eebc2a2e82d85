"""Store: artifacts by path, handle or bytes; sealed when written, verified when read."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from safehold.artifacts import container, sidecar
from safehold.artifacts.codecs import Encoded
from safehold.artifacts.container import Buffer, Expected, Sealed
from safehold.artifacts.files import Packing
from safehold.artifacts.handles import Handles
from safehold.artifacts.info import Info, info_of
from safehold.artifacts.mapped import decode_mapped, map_payload, open_owned, verify_mapped
from safehold.artifacts.opened import OpenArtifact
from safehold.artifacts.plain import plain_bytes
from safehold.artifacts.reading import Decode, Verify
from safehold.artifacts.target import (
    Recorded,
    Target,
    check_codec,
    target_of_place,
)
from safehold.artifacts.writing import Draft, expiry
from safehold.errors import NotSealed, Tampered
from safehold.paths import Place, StrPath
from safehold.policy import Zone

__all__ = ["Packing", "Store"]

_NO_INPUT = "Ran out of input"  # what the replaced library says


class Store(Handles):
    """Reads and writes artifacts under one Context."""

    # -- paths

    def dump(  # noqa: PLR0913  (options, by keyword only)
        self,
        value: object,
        path: StrPath,
        *,
        codec: str | None = None,
        meta: Mapping[str, Any] | None = None,
        prefer: str | tuple[str, ...] = "",
        encode: Callable[[], Encoded] | None = None,
        packing: Packing | None = None,
        expires: datetime | int | None = None,
        sidecar: bool | None = None,
    ) -> Info:
        """Seal a value into a file; a crash leaves the old file or the new one.

        The codec follows from the zone and the file's suffix unless it is named. The first of
        `prefer` that the zone has is taken, and `encode` is asked for the encoded value if that
        is the first of all. With `packing` the container goes inside that compression. From
        `expires` on, a time with its zone or in Unix seconds, it is not loaded any more. With
        `sidecar` (the zone says it if nothing is given) the file is the plain one of the replaced
        library, and its seal a file beside it.

        Raises:
            EncodeError: the value has no lossless form in the codec, or names a type that
                the zone does not allow. ConfigError: the zone does not have the codec.
        """
        with self._hold.root.open_parent(path) as (directory, name, place):
            target = target_of_place(self._hold, place)
            with Recorded(self._hold.recorder, "dump", target) as entry:
                plain = packing is None and (target.zone.sidecar if sidecar is None else sidecar)
                draft = self._writer.draft(
                    value, target, codec=codec, meta=meta, prefer=prefer, encode=encode, plain=plain
                )
                draft = replace(draft, expires=expiry(expires))
                if plain:
                    written = self._writer.plain(directory, name, target, draft, entry)
                    return info_of(*written, sidecar=True)
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
        mmap_mode: str | None = None,
    ) -> Any:
        """Verify a file, then decode it.

        `allow` replaces the zone's allow-list for this call. `min_generation` refuses older
        artifacts even where no mark is known. `options` are those of `pickle.Unpickler`;
        `decode` takes the place of the codec's decoder. With `mmap_mode`, "r" or "c", arrays are
        views of the mapped file: "r" cannot be written to, "c" is private where it is written to.

        Raises:
            NotSealed, Tampered, UnknownKey, WrongContext, Rollback, Blocked, TypeNotAllowed,
            LimitExceeded, DecodeError; OSError when the file cannot be opened. ConfigError: the
            file cannot be mapped, as its zone does not say ``mmap = true``, somebody else could
            write it, or it is encrypted.
        """
        fd, status, place = self._hold.root.open_file(path)
        files = [fd]
        target = target_of_place(self._hold, place)
        verify = partial(self._verified, fd, status.st_size, place, target)
        if mmap_mode is not None:
            verify = partial(verify_mapped, self._hold.root, target.zone, place, mmap_mode)
            decode = decode_mapped(decode)
        mapped = verify if mmap_mode is not None else None
        try:
            return self._reader.read(
                target,
                verify,
                allow=allow,
                min_generation=min_generation,
                options=options,
                decode=decode,
                again=partial(self._again, place, files, target, mapped),
            )
        finally:
            for fd in files:
                os.close(fd)

    def _again(
        self, place: Place, files: list[int], target: Target, verify: Verify | None
    ) -> Verify | None:
        """Open a file anew, if it is another than the one before."""
        fd, status, there = self._hold.root.open_file(place.real)
        files.append(fd)
        if there != place or os.path.sameopenfile(fd, files[-2]):
            return None
        return verify or partial(self._verified, fd, status.st_size, place, target)

    def read(
        self, path: StrPath, *, allow: Iterable[str] | None = None, min_generation: int = 0
    ) -> memoryview:
        """Verify a file and return the bytes of the plain file, for another tool to decode.

        They are private memory, which cannot be written to. What that tool does with them is
        not restricted by the allow-list.

        Raises:
            DecodeError: the payload is not the plain file, as of a pickle with arrays; unseal it,
                or write it with a sidecar. Otherwise as load.
        """
        data: memoryview = self.load(
            path,
            allow=allow,
            min_generation=min_generation,
            decode=lambda sealed, _: plain_bytes(sealed),
        )
        return data

    def place_of(self, path: StrPath) -> tuple[Zone, str]:
        """Return the zone of a file that need not exist, and its path relative to the root.

        Of a file that lies elsewhere, it is the absolute path.

        Raises:
            OSError: its directory cannot be opened.
        """
        with self._hold.root.open_parent(path) as (_, _, place):
            zone = self._hold.policy.zone_for(place.relative)
            return zone, place.relative or place.real

    def maps(self, path: StrPath) -> bool:
        """Say whether a file can be mapped: the policy lets it be, and its seal is its own.

        Raises:
            OSError
        """
        fd, _, place = self._hold.root.open_file(path)
        try:
            own = container.is_sealed(os.pread(fd, container.PREFIX_BYTES, 0))
        finally:
            os.close(fd)
        return own and target_of_place(self._hold, place).zone.mmap

    def open(
        self,
        path: StrPath,
        *,
        allow: Iterable[str] | None = None,
        min_generation: int = 0,
        mmap: bool = False,
    ) -> OpenArtifact:
        """Verify a file's root and give out its segments and arrays, verified where touched.

        With `mmap` they are views of the mapped file. Close what this returns. Raises as load;
        Tampered also when a changed part is touched.
        """
        fd, _, place = self._hold.root.open_file(path)
        files = [fd]
        try:
            target = target_of_place(self._hold, place)
            found: list[tuple[container.Opened, memoryview | None]] = []

            def verify(expected: Expected) -> Sealed:
                if mmap:
                    files.append(open_owned(self._hold.root, target.zone, place)[0])
                size = os.fstat(files[-1]).st_size
                try:
                    opened = container.open_file(files[-1], size, expected)
                except NotSealed:
                    if mmap:
                        raise
                    opened = self._opened_beside(place, files, expected)
                payload = map_payload(files[-1], opened.shape) if mmap else None
                found.append((opened, payload))
                return Sealed(opened.header(), opened.shape.artifact, [])

            again = partial(self._again, place, files, target, verify)
            reading = self._reader.opened(
                target, verify, allow=allow, min_generation=min_generation, again=again
            )
            opened, payload = found[-1]
            info = info_of(
                opened.header(),
                opened.shape.artifact,
                os.fstat(files[-1]).st_size,
                sidecar=opened.shape.detached,
            )
            refuse = partial(self._refuse, target)
            return OpenArtifact(files.pop(), opened, info, reading, refuse, payload)
        finally:  # only an OpenArtifact that was returned owns its descriptor
            for fd in files:
                os.close(fd)

    def _opened_beside(
        self, place: Place, files: list[int], expected: Expected
    ) -> container.Opened:
        """Verify a sidecar's roots and open the file that it stands beside. Raises as open."""
        with sidecar.beside_place(self._hold.root, place) as pair:
            if pair is None:
                message = "not sealed, and without a sidecar; seal it with: safehold seal PATH"
                raise NotSealed(message)
            opened = pair.settled(lambda: pair.fitting(expected)).opened
            files.append(pair.taken())
            return opened

    def _refuse(self, target: Target, error: Tampered) -> None:
        """Record a part of an opened file that does not verify, and raise it."""
        with Recorded(self._hold.recorder, "read", target):
            raise error

    # -- bytes and handles

    def verify_bytes(self, data: Buffer, *, zone: str = "memory") -> None:
        """Verify bytes of a zone that belong to no path. Raises as loads."""
        self.container(data, zone=zone)

    def container(self, data: Buffer, *, zone: str = "memory") -> Sealed:
        """Return the verified container in bytes of a zone; nothing is decoded. Raises as loads."""
        target = Target(self._hold.policy.zone_named(zone), "")
        with Recorded(self._hold.recorder, "verify", target) as entry:
            sealed = container.verify_bytes(data, self._reader.expected(target))
            self._reader.check_context(sealed.header, target)
            entry.header(sealed.header)
            return sealed

    def seal_bytes(self, data: bytes, *, codec: str, zone: str = "memory") -> bytes:
        """Seal the bytes of a plain file for code that reads it as bytes. Raises as seal."""
        target = Target(self._hold.policy.zone_named(zone), "")
        check_codec(target.zone, codec)
        out = io.BytesIO()
        with Recorded(self._hold.recorder, "seal", target) as entry:
            draft = self._writer.scanned(Draft(Encoded([data], raw=True), codec), target)
            self._writer.stream(out, target, draft, entry)
        return out.getvalue()

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

        def verify(expected: Expected) -> Sealed:
            try:
                return container.verify_bytes(private, expected)
            except NotSealed:
                listed = self.unsealed.of_bytes(private, target)
                if listed is None:
                    raise
                return listed

        return self._reader.read(
            target,
            verify,
            allow=allow,
            options=options,
            decode=decode,
        )
