"""Open handles, and what a file without a seal of its own may have instead of one."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import IO, Any

from safehold.artifacts import container, sidecar, streams
from safehold.artifacts.codecs import Encoded
from safehold.artifacts.container import Expected, Sealed
from safehold.artifacts.info import Info, info_of
from safehold.artifacts.listing import Listing
from safehold.artifacts.reading import Decode, Verify
from safehold.artifacts.target import (
    Recorded,
    Target,
    follows_renames,
    target_of_handle,
)
from safehold.errors import NotSealed, WrongContext
from safehold.paths import Place

_PLAIN_HANDLES = (io.BufferedReader, io.BufferedRandom, io.FileIO)
_NO_INPUT = "Ran out of input"  # what the replaced library says


class Handles(Listing):
    """The part of a Store that reads and writes open handles."""

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

        def verify(expected: Expected) -> Sealed:
            try:
                return streams.verify_next(start, file, expected)
            except WrongContext:
                memory = self._hold.policy.memory
                if not follows_renames(target.zone) or "*" not in memory.allow:
                    raise
                file.seek(target.at + len(start))  # perhaps `dumps` made what was written
                own = self._reader.expected(Target(memory, ""))
                return streams.verify_next(start, file, own)
            except NotSealed:
                if target.has_mark:
                    place = self._hold.root.place(file.fileno())
                    with sidecar.beside_place(self._hold.root, place) as pair:
                        if pair is not None:
                            pair.settled(lambda: pair.hold(file, start, expected))
                            return pair.settled(lambda: pair.verified(expected))
                listed = self.unsealed.of_handle(file, start, target, expected.limit)
                if listed is None:
                    raise
                return listed

        files: list[int] = []
        try:
            return self._reader.read(
                target,
                verify,
                allow=allow,
                options=options,
                decode=decode,
                again=partial(self._reopened, file, files, target),
            )
        finally:
            for fd in files:
                os.close(fd)

    def _reopened(self, file: IO[bytes], files: list[int], target: Target) -> Verify | None:
        """Open by name what has taken the place of a handle's file; None if nothing has.

        The handle is left behind what was read of it.
        """
        if not isinstance(file, _PLAIN_HANDLES) or not target.has_mark:
            return None  # what unpacks a file does not read its bytes
        before = files[-1] if files else file.fileno()
        try:
            fd, status, there = self._hold.root.open_file(target.real)
        except OSError:
            return None
        files.append(fd)
        if there.real != target.real or os.path.sameopenfile(fd, before):
            return None
        sealed = container.is_sealed(os.pread(fd, container.PREFIX_BYTES, 0))
        if sealed and not streams.is_single(fd, status.st_size, self._reader.expected(target)):
            return None  # the values that follow are those of the handle
        return partial(self._verified, fd, status.st_size, there, target)

    def _verified(
        self, fd: int, size: int, place: Place, target: Target, expected: Expected
    ) -> Sealed:
        """Verify an opened file; if it is plain, what has its name and a sidecar, or is listed."""
        try:
            return container.verify_file(fd, size, expected)
        except NotSealed:
            with sidecar.beside_place(self._hold.root, place) as pair:
                if pair is not None:
                    return pair.settled(lambda: pair.verified(expected))
            listed = self.unsealed.of_file(fd, size, target, expected.limit)
            if listed is None:
                raise
            return listed
