"""Writing: encode, take the next generation under the artifact's lock, seal, replace."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from safehold.allow import AllowList
from safehold.artifacts import container
from safehold.artifacts.codecs import CODECS, Encoded, codec_named
from safehold.artifacts.container import Buffer, Header
from safehold.artifacts.marks import Mark, Marks
from safehold.artifacts.target import Target, check_codec, codec_for, recorded
from safehold.context import Context
from safehold.errors import EncodeError, TypeNotAllowed
from safehold.paths import replace_file

if TYPE_CHECKING:
    from safehold.scan import FileReport


@dataclass(frozen=True, slots=True)
class Draft:
    """An encoded value that is ready to be sealed."""

    encoded: Encoded
    codec: str
    globals: Sequence[str] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)


class Writer:
    """Seals under one Context."""

    def __init__(self, hold: Context, marks: Marks, seen: dict[tuple[str, str], int]) -> None:
        """`seen` is the reader's: what this process wrote it has seen."""
        self._hold = hold
        self._marks = marks
        self._seen = seen

    def draft(
        self,
        value: object,
        target: Target,
        *,
        codec: str | None = None,
        meta: Mapping[str, Any] | None = None,
        prefer: str = "",
        encode: Callable[[], Encoded] | None = None,
    ) -> Draft:
        """Encode a value for a target; `encode` does it if the codec is `prefer`.

        Raises:
            EncodeError, LimitExceeded, ConfigError
        """
        chosen = codec or codec_for(target, prefer)
        check_codec(target.zone, chosen)
        if encode is not None and chosen == prefer:
            encoded = encode()
        else:
            encoded = codec_named(chosen).encode(value, self._hold.policy.limits.depth)
        return self.checked(Draft(encoded, chosen, meta=_plain_meta(meta)), target)

    def checked(self, draft: Draft, target: Target) -> Draft:
        """List the names that a code-carrying draft holds; refuse what could not be loaded.

        Raises:
            EncodeError: a name that the zone's allow-list does not permit.
        """
        if not CODECS[draft.codec].carries_code:
            return draft
        allow = self._allow(draft, target)
        names = sorted({item.name for item in _scan(draft, allow).globals})
        for name in names:
            if not _permits(allow, name):
                message = (
                    f"{target} would name {name}, which zone {target.zone.name!r} does not "
                    f"allow; add it to the zone's allow list if it is yours"
                )
                raise EncodeError(message)
        return Draft(draft.encoded, draft.codec, names, draft.meta)

    def scanned(self, draft: Draft, target: Target) -> Draft:
        """List the names of a foreign draft; refuse what the scanner does not find clean.

        Raises:
            TypeNotAllowed: with the scanner's first finding.
        """
        report = _scan(draft, self._allow(draft, target))
        names = sorted({item.name for item in report.globals})
        if report.verdict != "clean":
            found = report.findings[0]
            message = f"{target} is {report.verdict}: {found.rule.id} {found.message}"
            raise TypeNotAllowed(message, name=str(found.detail.get("global", "")))
        return Draft(draft.encoded, draft.codec, names, draft.meta)

    def _allow(self, draft: Draft, target: Target) -> AllowList:
        own = ("joblib",) if draft.codec == "joblib" else ()
        return AllowList.of(target.zone.allow, *own)

    def file(
        self, directory: int, name: str, target: Target, drafts: Sequence[Draft]
    ) -> tuple[Header, bytes, int]:
        """Seal into a file, one container per draft; returns the first's header and id, and size.

        Raises:
            OSError
        """
        align = container.FILE_ALIGN if len(drafts) == 1 else container.MEMORY_ALIGN
        with self._sealing(target, drafts[0], align) as sealing:
            replace_file(directory, name, self._file_pieces(sealing, target, drafts))
        return sealing.header, sealing.artifact, sealing.size

    def _file_pieces(
        self, first: _Sealing, target: Target, drafts: Sequence[Draft]
    ) -> Iterator[Buffer]:
        yield from first.pieces()
        for draft in drafts[1:]:
            place = Target(target.zone, target.name, at=first.size)
            following = _Sealing(
                self._hold, place, draft, 0, os.urandom(16), container.MEMORY_ALIGN
            )
            for piece in following.pieces():
                first.size += len(piece)
                yield piece

    def stream(
        self, write: Callable[[bytes], object], target: Target, draft: Draft
    ) -> tuple[Header, bytes, int]:
        """Seal into a handle's `write`; returns header, artifact id and size."""
        with self._sealing(target, draft, container.MEMORY_ALIGN) as sealing:
            for piece in sealing.pieces():
                write(bytes(piece))
        return sealing.header, sealing.artifact, sealing.size

    @contextlib.contextmanager
    def _sealing(self, target: Target, draft: Draft, align: int) -> Iterator[_Sealing]:
        key = (target.zone.name, target.name)
        artifact = os.urandom(16)
        with contextlib.ExitStack() as stack:
            entry = stack.enter_context(recorded(self._hold.recorder, "dump", target))
            generation = 0
            if target.has_mark:
                stack.enter_context(self._marks.lock(*key))
                mark = self._marks.read(*key)
                generation = max(mark.generation if mark else 0, self._seen.get(key, 0)) + 1
            sealing = _Sealing(self._hold, target, draft, generation, artifact, align)
            entry.header(sealing.header)
            yield sealing
            entry.fields["size"] = sealing.size
            if target.has_mark:
                # After the file: a crash in between leaves a file that is newer than its mark,
                # which loads; the other order would leave one that is refused.
                self._marks.write(*key, Mark(generation, artifact))
                self._seen[key] = generation


class _Sealing:
    """One container on its way out."""

    def __init__(
        self,
        hold: Context,
        target: Target,
        draft: Draft,
        generation: int,
        artifact: bytes,
        align: int,
    ) -> None:
        self.artifact = artifact
        self.size = 0
        self._key = hold.keyring.signing
        self._align = align
        self._segments = [
            (memoryview(segment).nbytes, [segment]) for segment in draft.encoded.segments
        ]
        self.header = Header(
            v=1,
            suite=self._key.suite,
            key=self._key.id,
            zone=target.zone.name,
            name=target.name,
            generation=generation,
            created=int(time.time()),
            codec=draft.codec,
            segments=[length for length, _ in self._segments],
            libs=dict(draft.encoded.libs),
            globals=list(draft.globals),
            meta=dict(draft.meta),
            at=target.at,
            raw=draft.encoded.raw,
        )

    def pieces(self) -> Iterator[Buffer]:
        for piece in container.sealed_chunks(
            self.header, self._segments, self._key, self.artifact, align=self._align
        ):
            self.size += len(piece)
            yield piece


def _scan(draft: Draft, allow: AllowList) -> FileReport:
    from safehold.scan import scan_bytes  # large; not needed to read or to store data

    return scan_bytes(bytes(draft.encoded.segments[0]), allow=allow)


def _permits(allow: AllowList, name: str) -> bool:
    """Look a dotted name up at every place where the module's part could end."""
    parts = name.split(".")
    return any(
        allow.permits(".".join(parts[:index]), ".".join(parts[index:]))
        for index in range(1, len(parts))
    )


def _plain_meta(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check that meta comes back as it went in. Raises EncodeError."""
    plain = dict(meta or {})
    try:
        if msgspec.msgpack.decode(msgspec.msgpack.encode(plain)) == plain:
            return plain
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        pass
    message = "meta must hold text, numbers, lists and dicts with text keys only"
    raise EncodeError(message)
