"""Writing: encode, take the next generation under the artifact's lock, seal, replace."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from safehold import sfh1
from safehold.allow import AllowList
from safehold.artifacts import container, sidecar
from safehold.artifacts.codecs import CODECS, Encoded, codec_named, plain_encoder
from safehold.artifacts.container import Buffer, Header, Sealed
from safehold.artifacts.ids import is_equal, new_id
from safehold.artifacts.marks import Mark, Marks
from safehold.artifacts.reading import Reader
from safehold.artifacts.target import Recorded, Target, check_codec, codec_for
from safehold.context import Context
from safehold.errors import ConfigError, EncodeError, TypeNotAllowed
from safehold.findings import Finding
from safehold.paths import replace_file
from safehold.replacing import Piece, length_of

if TYPE_CHECKING:
    from safehold.scan import FileReport


@dataclass(frozen=True, slots=True)
class Draft:
    """An encoded value that is ready to be sealed."""

    encoded: Encoded
    codec: str
    globals: Sequence[str] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    expires: int = 0

    @classmethod
    def of(cls, sealed: Sealed) -> Draft:
        """Return what makes the same artifact again."""
        header = sealed.header
        encoded = Encoded(sealed.segments, header.libs, raw=header.raw)
        return cls(encoded, header.codec, header.globals, header.meta, header.expires)


class Written(NamedTuple):
    """What was written: the first container's header and artifact id, bytes in all."""

    header: Header
    artifact: bytes
    size: int


class Writer:
    """Seals under one Context."""

    def __init__(self, hold: Context, marks: Marks, reader: Reader) -> None:
        """`reader` knows the newest generations: what this process wrote it has seen."""
        self._hold = hold
        self._marks = marks
        self._reader = reader

    def draft(
        self,
        value: object,
        target: Target,
        *,
        codec: str | None = None,
        meta: Mapping[str, Any] | None = None,
        prefer: str | tuple[str, ...] = "",
        encode: Callable[[], Encoded] | None = None,
        plain: bool = False,
    ) -> Draft:
        """Encode a value for a target; `encode` does it if the codec is the first of `prefer`.

        With `plain` the segments, joined, are the file that the replaced library reads.

        Raises:
            EncodeError, LimitExceeded, ConfigError
        """
        chosen = codec or codec_for(target, prefer)
        check_codec(target.zone, chosen)
        first = prefer if isinstance(prefer, str) else prefer[0]
        if encode is not None and chosen == first:
            encoded = encode()
        else:
            encoder = plain_encoder(chosen) if plain else codec_named(chosen).encode
            allow = [AllowList.of(target.zone.allow)] if CODECS[chosen].enums and not plain else []
            encoded = encoder(value, self._hold.policy.limits.depth, *allow)
        draft = Draft(encoded, chosen, encoded.names, _plain_meta(meta))
        return self.checked(draft, target)

    def checked(self, draft: Draft, target: Target) -> Draft:
        """List the names that a code-carrying draft holds; refuse what could not be loaded.

        Raises:
            EncodeError: a name that the zone's allow-list does not permit.
        """
        if not CODECS[draft.codec].carries_code:
            return draft
        allow = _allow(draft, target)
        names = names_of(self._scan(draft, allow))
        for name in names:
            if not allow.permits_dotted(name):
                message = (
                    f"{target} would name {name}, which zone {target.zone.name!r} does not "
                    f"allow; add it to the zone's allow list if it is yours"
                )
                raise _NotAllowedError(message)
        return replace(draft, globals=names)

    def scanned(self, draft: Draft, target: Target) -> Draft:
        """List the names of a foreign draft; refuse what the scanner does not find clean.

        Raises:
            TypeNotAllowed: with the scanner's first finding, or because the file is of another
                format than the codec reads. EncodeError: meta is not plain.
        """
        report = self._scan(draft, _allow(draft, target))
        opaque = draft.codec == _OPAQUE
        found = [item for item in report.findings if not opaque or not _is_unread(item)]
        if found:
            message = f"{target} is {report.verdict}: {found[0].rule.id} {found[0].message}"
            raise TypeNotAllowed(message, name=str(found[0].detail.get("global", "")))
        if opaque:  # whatever it names, nothing is resolved here
            return replace(draft, meta=_plain_meta(draft.meta))
        if not is_read_by(draft.codec, report.format):
            # Another reader takes other bytes for opcodes than the one that found it clean.
            message = f"{target} is a {report.format} file, not one of codec {draft.codec}"
            raise TypeNotAllowed(message, name="")
        return replace(draft, globals=names_of(report), meta=_plain_meta(draft.meta))

    def _scan(self, draft: Draft, allow: AllowList) -> FileReport:
        from safehold.scan import scan_bytes  # large; not needed to read or to store data

        data = draft.encoded.segments[0]
        return scan_bytes(data, limits=self._hold.policy.limits, allow=allow)

    def file(  # noqa: PLR0913  (options, by keyword only)
        self,
        directory: int,
        name: str,
        target: Target,
        drafts: Sequence[Draft],
        entry: Recorded,
        *,
        above: int = 0,
        pack: Callable[[bytes], bytes] | None = None,
        held: bool = False,
    ) -> Written:
        """Seal into a file, one container per draft; its generation is beyond `above`.

        With `pack` the file holds what that makes of the containers. `held` says that the caller
        has the artifact's lock.

        Raises:
            OSError. ConfigError: the name is that of a sidecar.
        """
        check_name(name)
        align = _align(drafts)
        with contextlib.ExitStack() as stack:
            if not held:
                stack.enter_context(self._lock(target))
            above = max(above, self._unmarked(directory, name, target))
            sealing = stack.enter_context(self._sealing(target, drafts[0], align, entry, above))
            pieces: Iterator[Piece]
            if pack is not None:
                pieces = iter([pack(b"".join(self._file_pieces(sealing, target, drafts)))])
            elif align == container.FILE_ALIGN:
                pieces = sealing.slotted_pieces()
            else:
                pieces = self._file_pieces(sealing, target, drafts)

            def record() -> None:
                entry.fields["size"] = sealing.size
                entry.allow()

            replace_file(directory, name, pieces, before_rename=record, locked=True)
            sidecar.drop(directory, name)  # the file has its own seal now
        return Written(sealing.header, sealing.artifact, sealing.size)

    def _file_pieces(
        self, first: _Sealing, target: Target, drafts: Sequence[Draft]
    ) -> Iterator[Buffer]:
        yield from first.pieces()
        for draft in drafts[1:]:
            place = Target(target.zone, target.name, at=first.size)
            following = _Sealing(
                self._hold, place, draft, first.header.generation, container.MEMORY_ALIGN
            )
            for piece in following.pieces():
                first.size += len(piece)
                yield piece

    def stream(self, file: Any, target: Target, draft: Draft, entry: Recorded) -> Written:
        """Seal into an open handle."""
        lock = self._lock(target) if target.name else contextlib.nullcontext()
        with lock, self._sealing(target, draft, container.MEMORY_ALIGN, entry) as sealing:
            entry.allow()
            for piece in sealing.pieces():
                _write_whole(file, piece)
        return Written(sealing.header, sealing.artifact, sealing.size)

    @contextlib.contextmanager
    def _sealing(
        self,
        target: Target,
        draft: Draft,
        align: int,
        entry: Recorded,
        above: int = 0,
        *,
        detached: bool = False,
    ) -> Iterator[_Sealing]:
        """Take the next generation, under the artifact's lock; store it when the block ends."""
        key = (target.zone.name, target.name)
        generation = 0
        if target.name:
            # A revoked key's mark counts: what it sealed does not load, and who may change the
            # marks could as well remove this one.
            newest = self._reader.newest(target, revoked=True)
            # What follows in a file belongs to the generation that the file began with.
            generation = max(newest.generation if newest else 0, above) + target.has_mark
        sealing = _Sealing(self._hold, target, draft, generation, align, detached=detached)
        entry.header(sealing.header)
        yield sealing
        if target.has_mark:
            # After the file: a crash in between leaves a file that is newer than its mark,
            # which loads; the other order would leave one that is refused.
            mark = Mark(generation, sealing.artifact)
            self._marks.write(*key, mark)
            self._reader.seen[key] = mark

    def _unmarked(self, directory: int, name: str, target: Target) -> int:
        """Return the generation of what is there, if it may be newer than its mark."""
        return self._reader.unmarked(directory, name, target)

    def _lock(self, target: Target) -> contextlib.AbstractContextManager[None]:
        return self._marks.lock(target.zone.name, target.name)


class _Sealing:
    """One container on its way out."""

    def __init__(
        self,
        hold: Context,
        target: Target,
        draft: Draft,
        generation: int,
        align: int,
        *,
        detached: bool = False,
    ) -> None:
        self.size = 0
        self._key = hold.keyring.signing
        self._align = align
        self._detached = detached
        self._segments: list[container.Segment] = [
            (memoryview(segment).nbytes, [segment]) for segment in draft.encoded.segments
        ]
        if detached:  # the plain file is one segment, without gaps
            whole = sum(length for length, _ in self._segments)
            self._segments = [(whole, draft.encoded.segments)]
        equal = is_equal(target, self._key, self._segments)
        self.header = Header(
            v=1,
            suite=self._key.suite,
            key=self._key.id,
            zone=target.zone.name,
            name=target.name,
            generation=generation,
            created=0 if equal else int(time.time()),
            codec=draft.codec,
            segments=[length for length, _ in self._segments],
            libs=dict(draft.encoded.libs),
            globals=list(draft.globals),
            meta=dict(draft.meta),
            at=target.at,
            raw=draft.encoded.raw or detached,
            expires=draft.expires,
        )
        self.artifact = new_id(self.header, self._segments, self._key, equal=equal)

    def pieces(self) -> Iterator[Buffer]:
        for piece in container.sealed_chunks(
            self.header,
            self._segments,
            self._key,
            self.artifact,
            align=self._align,
            detached=self._detached,
        ):
            self.size += len(piece)
            yield piece

    def slotted_pieces(self) -> Iterator[Piece]:
        """Yield the pieces of a large file, whose key can be changed in place."""
        for piece in container.slotted_chunks(
            self.header, self._segments, self._key, self.artifact
        ):
            self.size += length_of(piece)
            yield piece


def check_name(name: str) -> None:
    """Raise ConfigError for an artifact that would have the name of a sidecar."""
    if name.endswith(sidecar.SUFFIX):
        message = f"{name} is the name of a sidecar; an artifact cannot end in {sidecar.SUFFIX}"
        raise ConfigError(message)


# The formats for which the scanner follows the very loader that a codec uses.
_READ_AS: Mapping[str, frozenset[str]] = {
    "pickle": frozenset({"pickle", "torch"}),  # a torch file has its pickle inside, and a facade
    "joblib": frozenset(
        f"{wrapper}{kind}"
        for wrapper in ("", "gzip+", "bz2+", "xz+", "lzma+", "zlib+")
        for kind in ("joblib", "pickle")
    ),
    "skops": frozenset({"skops"}),
}


_OPAQUE = "bytes"


class _NotAllowedError(EncodeError):
    """A value names what its zone does not allow, so that it could not be loaded again."""

    def __init__(self, message: str) -> None:
        from safehold.scan.rules import UNKNOWN_GLOBAL

        super().__init__(message)
        self.rule = UNKNOWN_GLOBAL.id


def _is_unread(finding: Finding) -> bool:
    """Say whether the scanner only could not read a file, which is no matter for mere bytes."""
    from safehold.scan import rules

    return finding.rule.id in {rules.UNREADABLE_STREAM.id, rules.UNREADABLE_FILE.id}


def is_read_by(codec: str, scanned: str) -> bool:
    """Say whether a codec reads a file as the scanner did when it called it this format."""
    return scanned in _READ_AS.get(codec, {scanned})


def expiry(when: datetime | int | None) -> int:
    """Return a time to come in Unix seconds, 0 for None. Raises ConfigError."""
    if when is None:
        return 0
    if isinstance(when, datetime):
        if when.tzinfo is None:
            message = "expires needs a time zone, as in datetime.now(UTC) + timedelta(days=30)"
            raise ConfigError(message)
        when = int(when.timestamp())
    if when <= time.time():
        message = f"expires is {when} in Unix seconds, which is past"
        raise ConfigError(message)
    return when


def _align(drafts: Sequence[Draft]) -> int:
    """Give a large payload whole pages; a small one would only grow."""
    large = sum(map(len, drafts[0].encoded.segments)) >= container.CHUNK
    return container.FILE_ALIGN if large and len(drafts) == 1 else container.MEMORY_ALIGN


def _allow(draft: Draft, target: Target) -> AllowList:
    own = ("joblib",) if draft.codec == "joblib" else ()
    return AllowList.of(target.zone.allow, *own)


def names_of(report: FileReport) -> list[str]:
    """Return the names to be allowed: those of plain weights are torch's own reader's to judge."""
    from safehold.scan.weights import NAMES

    torch = report.format == "torch"
    known = {".".join(name) for name in NAMES} if torch else set()
    return sorted({item.name for item in report.globals} - known)


def _write_whole(file: Any, piece: Buffer) -> None:
    """Write all of a piece; an unbuffered file may take less at a time."""
    data = bytes(piece)
    count = file.write(data)
    while isinstance(file, io.RawIOBase) and count is not None and count < len(data):
        data = data[count:]
        count = file.write(data)


def _plain_meta(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check that meta comes back as it went in. Raises EncodeError."""
    plain = dict(meta or {})
    try:
        if msgspec.msgpack.decode(sfh1.encode_header(plain)) == plain:
            return plain
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        pass
    message = "meta must hold text, numbers, lists and dicts with text keys only"
    raise EncodeError(message)
