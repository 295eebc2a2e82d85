"""Transfer: a copy of a sealed file for another zone, name or service, and taking it in there.

What `export` writes is a container like any other, sealed for its destination: elsewhere it is
a WrongContext. It keeps the artifact id, so that the same file exported twice is the same
artifact. Under a suite that encrypts this repeats keys and nonces only with the same content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from safehold.artifacts import container, sidecar, streams
from safehold.artifacts.codecs import CODECS
from safehold.artifacts.container import Header, Sealed
from safehold.artifacts.info import Info, info_of
from safehold.artifacts.marks import Mark
from safehold.artifacts.reading import check_declared, check_time
from safehold.artifacts.rotating import Rotations
from safehold.artifacts.target import Recorded, Target, target_named, target_of_place
from safehold.artifacts.writing import Draft, check_name
from safehold.errors import Rollback, TypeNotAllowed
from safehold.keys import Key
from safehold.paths import StrPath, replace_file
from safehold.replacing import Piece, check_absent, length_of


class _Place(NamedTuple):
    """Where an imported file goes, and the event that will tell of it."""

    directory: int
    name: str
    target: Target
    entry: Recorded


class _Copy(NamedTuple):
    """A container that is taken in: its bytes, and what they are once verified."""

    data: bytearray
    sealed: Sealed


class Transfers(Rotations):
    """The part of a Store that hands files on and takes them in."""

    def export(
        self,
        path: StrPath,
        out: StrPath,
        *,
        for_zone: str,
        for_name: str,
        key: str | None = None,
    ) -> Info:
        """Write a copy of an authentic file that is sealed for another zone and name.

        These may be another policy's. Generation, times, versions, declared names and meta
        stay. `key` is the id of a listed key to seal with, the signing key if it is not given.

        Raises:
            FileExistsError: there is a file `out`. ConfigError: no such destination, or a key
            that cannot sign. As load for `path`.
        """
        there = target_named(for_zone, for_name)
        with (
            self._opened("export", path) as at,
            self._hold.root.open_parent(out) as (directory, name, _),
        ):
            at.entry.fields["detail"] = {"zone": for_zone, "name": there.name}
            signing = self._able(key)
            found = self._containers(at)
            for sealed in found:
                check_time(sealed.header)
            self._reader.check_fresh(found[0], at.target, 0)
            check_absent(directory, name)
            export = _Export(found, there, signing)

            def record() -> None:
                at.entry.fields |= {"key": signing.id, "size": export.size}
                at.entry.allow()

            replace_file(directory, name, export.pieces(), before_rename=record, new=True)
            first = found[0]
            return info_of(export.header(first, 0), first.artifact, export.size)

    def _able(self, key_id: str | None) -> Key:
        """Return the key to seal with, which says by itself if it cannot. Raises UnknownKey."""
        ring = self._hold.keyring
        if key_id is None:
            return ring.signing
        return ring.by_tag(ring.by_id(key_id).tag)  # this machine's own key seals no artifact

    def import_(self, file: StrPath, path: StrPath, *, renew: bool = False) -> Info:
        """Put a file that was exported for `path` there, in one step.

        It keeps its seal and its generation, which must be above all that were seen there, or
        the very artifact that was. With `renew` it is sealed with this policy's signing key
        instead, as the next generation here.

        Raises:
            WrongContext: not for this zone and name, expired, or of a codec that the zone does
                not have. Rollback: older than what was seen, and not renewed.
            ConfigError: the name is that of a sidecar.
            TypeNotAllowed: it names what the zone does not allow, or is not found clean.
            As load.
        """
        root = self._hold.root
        fd, _, _ = root.open_file(file)
        with (
            open(fd, "rb", buffering=0) as source,
            root.open_parent(path) as (directory, name, place),
        ):
            target = target_of_place(self._hold, place)
            with Recorded(self._hold.recorder, "import", target) as entry:
                check_name(name)
                expected = self._reader.expected(target)
                copies = []
                for position, data, sealed in streams.copy_each(source, expected):
                    self._check_taken(sealed, target, position)
                    copies.append(_Copy(data, sealed))
                    _check_same(sealed.header, copies[0].sealed.header)
                entry.header(copies[0].sealed.header)
                there = _Place(directory, name, target, entry)
                if renew:
                    return self._renewed(there, [copy.sealed for copy in copies])
                return self._taken(there, copies)

    def _check_taken(self, sealed: Sealed, target: Target, position: int) -> None:
        """Check a verified container for its place, as load and seal would.

        Whoever made it has a key, but not always this zone's list, and a service that was
        broken into has both: so the payload is scanned, as everything is that is sealed here.
        """
        header = sealed.header
        self._reader.check_context(header, Target(target.zone, target.name, position))
        check_time(header)
        allow = self._reader.reading(header, target).allow
        check_declared(header, allow)
        if header.raw:
            self._writer.scanned(Draft.of(sealed), target)
        elif CODECS[header.codec].carries_code:
            from safehold.scan import Verdict, scan_bytes  # large

            limits = self._hold.policy.limits
            report = scan_bytes(sealed.segments[0], limits=limits, allow=allow)
            for use in report.globals:
                if not allow.permits_dotted(use.name):
                    message = f"{target} names {use.name}, which its zone does not allow"
                    raise TypeNotAllowed(message, name=use.name)
            if report.verdict is Verdict.MALICIOUS:
                message = f"{target} is not clean: {report.findings[0].message}"
                raise TypeNotAllowed(message, name="")

    def _taken(self, there: _Place, copies: Sequence[_Copy]) -> Info:
        """Put the verified bytes in place under the artifact's lock, then move the mark."""
        first, target = copies[0].sealed, there.target
        size = sum(len(copy.data) for copy in copies)

        def record() -> None:
            there.entry.fields["size"] = size
            there.entry.allow()

        key = (target.zone.name, target.name)
        with self._marks.lock(*key):
            self._reader.check_fresh(first, target, 0, "safehold import --renew")
            pieces = (copy.data for copy in copies)
            replace_file(there.directory, there.name, pieces, before_rename=record, locked=True)
            sidecar.drop(there.directory, there.name)  # the file has its own seal now
            # After the file, as in every writer: a file that is newer than its mark loads.
            mark = Mark(first.header.generation, first.artifact)
            self._marks.write(*key, mark)
            self._reader.seen[key] = mark
        return info_of(first.header, first.artifact, size)

    def _renewed(self, there: _Place, found: Sequence[Sealed]) -> Info:
        """Seal anew for this place, with the next generation."""
        header = found[0].header
        there.entry.fields["detail"] = {
            "generation": header.generation,
            "key": header.key,
            "artifact": found[0].artifact.hex(),
        }
        written = self._writer.file(
            there.directory,
            there.name,
            there.target,
            [Draft.of(sealed) for sealed in found],
            there.entry,
            above=header.generation,
        )
        return info_of(*written)


class _Export:
    """The containers of a file as they are for another place; `size` counts what was made."""

    def __init__(self, found: Sequence[Sealed], target: Target, key: Key) -> None:
        self._found = found
        self._target = target
        self._key = key
        self.size = 0

    def header(self, sealed: Sealed, at: int) -> Header:
        return msgspec.structs.replace(
            sealed.header,
            zone=self._target.zone.name,
            name=self._target.name,
            suite=self._key.suite,
            key=self._key.id,
            at=at,
        )

    def pieces(self) -> Iterator[Piece]:
        large = sum(map(len, self._found[0].segments)) >= container.CHUNK
        slotted = large and len(self._found) == 1
        for sealed in self._found:
            segments = [(len(segment), [segment]) for segment in sealed.segments]
            header = self.header(sealed, self.size)
            pieces: Iterable[Piece]
            if slotted:
                pieces = container.slotted_chunks(header, segments, self._key, sealed.artifact)
            else:
                pieces = container.sealed_chunks(
                    header, segments, self._key, sealed.artifact, align=container.MEMORY_ALIGN
                )
            for piece in pieces:
                self.size += length_of(piece)
                yield piece


def _check_same(header: Header, first: Header) -> None:
    """Raise Rollback for a container of another generation than the first of its file."""
    if header.generation != first.generation:
        message = f"{header.name} holds containers of different generations"
        raise Rollback(message)
