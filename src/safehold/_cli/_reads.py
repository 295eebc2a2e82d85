"""How the service reads its files, as far as the source shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from safehold.findings import Finding
from safehold.scan import FileReport
from safehold.source import ArtifactUse, FileAudit

_MOST_PLACES = 5


@dataclass(frozen=True, slots=True)
class Reads:
    """Uses with a path, and the places of reads whose path the source does not show."""

    uses: tuple[ArtifactUse, ...]
    files: tuple[str, ...]  # of a handle or path
    contents: tuple[str, ...]  # of a file's content, handed on as bytes
    foreign: tuple[str, ...]  # of bytes that come from elsewhere
    libraries: frozenset[str]  # of reads by torch and numpy

    @classmethod
    def of(cls, audits: Iterable[FileAudit]) -> Reads:
        """Gather what the audits of a tree show."""
        audits = list(audits)
        findings = [item for audit in audits for item in audit.findings]
        hidden = [item for item in findings if item.detail.get("path") is None]
        reads = [item for item in hidden if item.detail.get("use") == "read"]
        return cls(
            tuple(use for audit in audits for use in audit.artifacts),
            files=_places(item for item in reads if item.detail.get("input") == "file"),
            contents=_places(item for item in reads if item.detail.get("input") == "content"),
            foreign=_places(item for item in reads if item.detail.get("input") == "bytes"),
            libraries=frozenset(str(item.detail.get("call")).partition(".")[0] for item in reads),
        )

    def is_as_bytes(self, path: str) -> bool | None:
        """Say whether a file is read as bytes (its seal then names no path); None: not shown."""
        ways = {use.via == "bytes" for use in self.uses if use.kind == "read" and _fits(path, use)}
        if ways:
            return ways == {True}
        if self.contents and not self.files:
            return True
        return None if self.contents else False

    def reads_as(self, report: FileReport) -> str:
        """Return what the facade of torch or numpy takes a file for; empty if none reads it.

        Where the source does not show what is read, a file of objects is taken for one of those.
        """
        kind = report.format.rpartition("+")[2]
        codec = {"torch": "torch", "npy": "npy", "npz": "npy"}.get(kind)
        if codec is None:
            return ""
        if any(use.codec == codec and _fits(report.path, use) for use in self.uses):
            return kind
        if codec == "torch":
            return kind if "torch" in self.libraries else ""
        return kind if "numpy" in self.libraries and report.globals else ""

    def without_facade(self, report: FileReport) -> str:
        """Return which call that stays as it is reads or writes a file; empty for none."""
        for use in self.uses:
            if use.without_facade and _fits(report.path, use):
                return use.without_facade
        return ""


def listed(places: Sequence[str]) -> str:
    """Return a few places and the number of the others."""
    more = len(places) - _MOST_PLACES
    return ", ".join(places[:_MOST_PLACES]) + (f" and {more} more" if more > 0 else "")


def _fits(path: str, use: ArtifactUse) -> bool:
    """Say whether a use is of this file; a pattern of stars shows nothing."""
    return bool(use.pattern.strip("*/")) and fnmatchcase(path, use.pattern)


def _places(findings: Iterable[Finding]) -> tuple[str, ...]:
    return tuple(_unique(f"{item.location.path}:{item.location.line}" for item in findings))


def _unique(items: Iterable[str]) -> Iterator[str]:
    yield from dict.fromkeys(items)
