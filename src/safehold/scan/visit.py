"""One scan of one file: what is being read, what was found, how much may still be unpacked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, Protocol

from safehold.findings import Finding, Location, Rule
from safehold.policy import Limits
from safehold.scan import rules
from safehold.scan.budget import Budget
from safehold.scan.carried import carried
from safehold.scan.judge import GlobalUse, Judge, Note
from safehold.scan.names import Names
from safehold.scan.spool import Spool
from safehold.scan.values import Data

# Unpacking this much is harmless at any ratio.
_FREE_BYTES: Final = 64 * 2**20
# Seconds that the system takes for each byte of a temporary file that nobody needs any more.
_TAKEN_BACK: Final = 0.5 / 2**30
_MOST_FINDINGS: Final = 2000
_LONGEST_MAGIC: Final = 16
_PYTHON: Final = (".py", ".pyw")
# Of the sources in an archive, how large one may be that is searched for names, or parsed, and how
# much of all is parsed: trees take a thousand times as much memory as their source.
_LARGEST_SOURCE: Final = 8 * 2**20
_LARGEST_PARSED: Final = 2**18
_MOST_PARSED: Final = 2**19
# What was not read to its end may be so for want of time, memory or a library.
_UNSETTLED: Final = frozenset(
    {rules.LIMIT_EXCEEDED.id, rules.UNREADABLE_FILE.id, rules.UNREADABLE_STREAM.id}
)
# Steps that are counted for asking every format about a source.
_SCANNED: Final = 50

# What a file that is loaded as an artifact is usually called.
SUFFIXES: Final = (
    ".pkl", ".pickle", ".pck", ".pcl", ".p", ".joblib", ".jl", ".dill", ".cloudpickle", ".sav",
    ".model", ".pt", ".pth", ".ckpt", ".bin", ".pt2", ".ptl", ".npy", ".npz", ".skops",
    ".keras", ".h5", ".hdf5", ".onnx", ".tflite", ".gguf", ".safetensors", ".ubj",
    ".cbm", ".pte", ".mlmodel", ".pmml",
)  # fmt: skip
_GRAPHS: Final = ("saved_model.pb", "keras_metadata.pb")
# There, .pth files are lists of directories for the interpreter.
_PATH_FILES: Final = re.compile(r"(?:site|dist)-packages[/\\][^/\\]*$")
_PACKED: Final = (".gz", ".bz2", ".xz", ".lzma", ".z", ".lz4", ".zst")


@lru_cache(maxsize=64)
def is_artifact_name(name: str) -> bool:
    """Whether a file of this name is expected to be an artifact."""
    lower = name.lower()
    if lower.endswith(".pth") and _PATH_FILES.search(lower):
        return False
    for suffix in _PACKED:
        lower = lower.removesuffix(suffix)
    return lower.endswith((*SUFFIXES, *_GRAPHS))


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes to be read: a file, a member of an archive, or what a wrapper unpacked to.

    ``named`` is set for what the caller asked for by name, ``persistent`` where the loader
    resolves persistent ids (torch), ``buffers`` where it has the out-of-band buffers at hand.
    """

    data: Data
    name: str
    member: str | None = None
    depth: int = 0
    named: bool = False
    persistent: bool = False
    buffers: bool = False

    @property
    def wanted(self) -> bool:
        """Whether the bytes must be in a known format."""
        return self.named or is_artifact_name(self.name)

    def starts(self, *magics: bytes) -> bool:
        """Whether the bytes begin with one of these."""
        return bytes(self.data[:_LONGEST_MAGIC]).startswith(magics)

    def inner(
        self,
        data: Data,
        name: str,
        member: str,
        *,
        persistent: bool = False,
        buffers: bool = False,
    ) -> Source:
        """Return the source of something inside this one."""
        depth = self.depth + 1
        return Source(data, name, member, depth, persistent=persistent, buffers=buffers)

    def unwrapped(self, data: Data, kind: str) -> Source:
        """Return the source of what a wrapper like gzip holds; it is wanted as this one is."""
        member = kind if self.member is None else f"{self.member}|{kind}"
        return replace(self, data=data, member=member, depth=self.depth + 1)


class Format(Protocol):
    """One format: a module with this function.

    A module whose files can only begin with some bytes has them as ``FIRSTS`` as well, and is not
    asked about bytes that begin otherwise; one whose files are known by the ends of their names
    has those as ``ENDS``, in lower case. One without is asked about all. ``HEAD``, a pattern of how
    its files begin if they begin like a pickle, and ``SIGN``, bytes that are anywhere in them, say
    which pickles cannot be in it, unless their names end with one of ``ENDS_TOO``. A function
    ``fits`` tells more exactly than ``HEAD`` whether bytes may be in it.
    """

    def read(self, source: Source, visit: Visit, /) -> str | None:
        """Read a source and return the format's name, or None if the bytes are another's."""


class SourceCheck(Protocol):
    """Looks at Python sources that are members of an archive; what it is stands above this one."""

    def is_worth(self, name: str, data: bytes, /) -> bool:
        """Whether anything can be found in it; far cheaper than to look."""

    def findings(self, name: str, data: bytes, /) -> Iterable[Finding]:
        """Return what is found, with lines as locations."""


@dataclass
class Visit:
    """Findings and budget of one file; every format reads through it."""

    path: str
    limits: Limits
    names: Names
    formats: Callable[[Data, str], tuple[Format, ...]]
    otherwise: Callable[[Source, Visit], str]
    # Whether the second reader is asked about harmless bytes as well, see inert.
    paranoid: bool = False
    sources: SourceCheck | None = None
    budget: Budget = field(default_factory=Budget)
    findings: list[Finding] = field(default_factory=list)
    uses: dict[GlobalUse, None] = field(default_factory=dict)
    plain: bool = True
    unpacked: int = 0
    members: int = 0
    # Bytes of sources that were worth parsing.
    parsed: int = 0
    # Libraries that the content says it was written with, and their versions.
    versions: set[tuple[str, str]] = field(default_factory=set)
    # A file that is no artifact and in no known format is left out of a directory's report.
    recognised: bool = False
    # The first pickle stream of the source that was asked for it last, see streams.py; taken
    # once a format that begins with one has claimed it.
    first: tuple[Source, Any] | None = None
    first_taken: bool = False
    # Whether the same bytes under the same name always give the same, see cache.py.
    settled: bool = True
    _seen: set[tuple[str | int | None, ...]] = field(default_factory=set)

    def scan(self, source: Source, asked: tuple[Format, ...] | None = None) -> str:
        """Read a source in every format that accepts it and return the name of the first.

        ``asked`` are the formats that are possible, if that is known already.

        Raises:
            OutOfTime: the time for the file is used up.
        """
        self.budget.spend(_SCANNED)
        if source.depth > self.limits.depth:
            message = f"nested deeper than {self.limits.depth} levels: raise limits.depth"
            self.note(source, rules.LIMIT_EXCEEDED, message)
            return "unknown"
        found = []
        taken, self.first_taken = self.first_taken, False
        for row in self.formats(source.data, source.name) if asked is None else asked:
            name = row.read(source, self)
            if name is not None:
                found.append(name)
        self.first_taken = taken
        if source.member is not None and source.name.endswith(_PYTHON):
            self._read_source(source)
        if found:
            self.recognised = True
            return found[0]
        if source.wanted:
            self.recognised = True
            return self.otherwise(source, self)
        return "unknown"

    def note(
        self,
        source: Source,
        rule: Rule,
        message: str,
        offset: int | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep one finding; the same one of the same member is kept once."""
        if rule.id in _UNSETTLED:
            self.settled = False
        if self._is_new(rule, message, source.member):
            where = Location(self.path, offset=offset, member=source.member)
            self.findings.append(Finding.of(rule, message, where, detail=dict(detail or {})))

    def _is_new(self, rule: Rule, message: str, *place: str | int | None) -> bool:
        key = (rule.id, message, *place)
        if key in self._seen or len(self.findings) >= _MOST_FINDINGS:
            return False
        self._seen.add(key)
        return True

    def _read_source(self, source: Source) -> None:
        """Look at a member that is Python source, within bounds of its own: a parse is dear."""
        check, size = self.sources, len(source.data)
        if check is None:
            return
        data = bytes(source.data[: _LARGEST_SOURCE + 1])
        if size <= _LARGEST_SOURCE and not check.is_worth(source.name, data):
            return
        self.parsed += size
        if size > _LARGEST_PARSED or self.parsed > _MOST_PARSED:
            message = "more Python source than is read in an archive; unpack it and scan that"
            # Of many that are one too many, once.
            whole = source if size > _LARGEST_PARSED else replace(source, member=None)
            self.note(whole, rules.LIMIT_EXCEEDED, message)
            return
        self.depends()  # on a policy
        for found in check.findings(source.name, data):
            where = replace(found.location, path=self.path, member=source.member)
            if self._is_new(found.rule, found.message, source.member, where.line):
                self.findings.append(replace(found, location=where))

    def depends(self) -> None:
        """Say that what is found depends on more than the bytes and their name.

        On other files, say, or on how much memory or stack this process has.
        """
        self.settled = False

    def take(self, source: Source, judge: Judge, notes: Iterable[Note] | None = None) -> None:
        """Keep what a judge noted and the names it saw."""
        if judge.uses:
            self.uses.update(dict.fromkeys(judge.globals))
            self.versions |= judge.versions
            self.plain = self.plain and judge.plain
        loading = []
        for note in judge.notes if notes is None else notes:
            if note.nested:
                loading.append(note)
            else:
                self.note(source, note.rule, note.message, note.offset, note.detail)
        # Last, as what they load may take all the time that is left.
        for note in loading:
            nested, note.nested = note.nested, None  # which may hold much
            known = False
            try:
                known = self._are_weights(source, nested or ())
            finally:
                if not known:
                    self.note(source, note.rule, note.message, note.offset, note.detail)

    def take_unread(self) -> None:
        """Keep what the first stream did where a limit ended all reading of its source.

        All of it if the stream itself was read up to a limit, for it is no other file by chance.
        """
        if self.first is not None:
            source, first = self.first
            for note in first.judge.notes:
                if note.counts_anyway or first.outcome.status == "limit":
                    self.note(source, note.rule, note.message, note.offset, note.detail)

    def _are_weights(self, source: Source, nested: Iterable[Any]) -> bool:
        """Read what calls load from bytes; whether each is a file of torch without a finding."""
        for count, value in enumerate(nested):
            before = len(self.findings)
            data = carried(source.data, value)
            if data is None or before >= _MOST_FINDINGS or not self.count_member(source):
                return False
            inner = source.inner(data, "", f"{source.member or ''}@bytes {count}")
            if not self.admit(inner, len(data)):
                return False
            if self.scan(inner) != "torch" or len(self.findings) > before:
                return False
        return True

    def count_member(self, source: Source) -> bool:
        """Count one more member of an archive; False, with a finding, when there are too many.

        Raises:
            OutOfTime: the time for the file is used up.
        """
        self.budget.ask()
        self.members += 1
        if self.members > self.limits.members:
            message = f"more than {self.limits.members} members: raise limits.members"
            self.note(source, rules.LIMIT_EXCEEDED, message)
            return False
        return True

    def admit(self, source: Source, size: int) -> bool:
        """Count bytes that are read where they stand; False, with a finding, if too many.

        The members of an archive may overlap, so their sum can exceed the file many times over.
        """
        self.unpacked += size
        if self.unpacked > self.limits.artifact:
            message = f"holds more than {self.limits.artifact} bytes: raise limits.artifact"
            self.note(source, rules.LIMIT_EXCEEDED, message)
            return False
        return True

    def unpack(
        self,
        source: Source,
        chunks: Iterator[bytes],
        packed: int,
        errors: tuple[type[Exception], ...],
    ) -> Data:
        """Return what the chunks hold, as much of it as could be had within the limits.

        Errors of the decompressor and exceeded limits become findings; what came before them
        is returned, since a loader would have read it too.
        """
        free = max(_FREE_BYTES, packed * self.limits.expansion)
        most = min(self.limits.artifact - self.unpacked, free)
        which = "expansion" if most == free else "artifact"
        buffer = Spool()
        try:
            for chunk in chunks:
                if buffer.size + len(chunk) > most:
                    message = f"unpacks to more than {most} bytes: raise limits.{which}"
                    detail = {"packed": packed, "unpacked": f"more than {most}"}
                    self.note(source, rules.LIMIT_EXCEEDED, message, None, detail)
                    buffer.write(chunk[: most - buffer.size])
                    break
                buffer.write(chunk)
                if not self.budget.may_unpack:
                    message = "takes too much processor time to unpack: raise limits.seconds"
                    self.note(source, rules.LIMIT_EXCEEDED, message)
                    break
        except errors as error:
            message = "the packed data is broken or cut off"
            self.note(source, rules.UNREADABLE_STREAM, message, None, {"error": str(error)[:200]})
        self.unpacked += buffer.size
        data = buffer.data()
        self.budget.keep(data)
        if not isinstance(data, bytes):
            self.budget.charge(buffer.size * _TAKEN_BACK)
        return data
