"""What a scan has to show: each file with its findings, and which of those a baseline knows."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from safehold.findings import Finding
from safehold.scan import FileReport, Scan, Verdict
from safehold.scan.rules import UNREADABLE_FILE

SOURCE_FORMAT: Final = "python"
LINES: Final = frozenset({SOURCE_FORMAT, "lines", "commits", "lock"})
"""Formats whose findings are told apart by the text of their lines."""
# Where an inner stream starts moves with everything before it.
_OFFSET: Final = re.compile(r"@\d+")
# Words of the reader, which another version may choose differently.
_VOLATILE: Final = frozenset({"error"})


@dataclass(frozen=True, slots=True)
class Suppression:
    """A finding's entry in the baseline: why it is known, and until when it does not count."""

    reason: str = ""
    expires: date | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One finding with its fingerprint; ``known`` if it is in the baseline."""

    finding: Finding
    fingerprint: str
    known: Suppression | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file's report, its findings as items."""

    report: FileReport
    items: tuple[Item, ...]

    @property
    def counts(self) -> bool:
        """Whether anything but known findings was found, or the file could not be read."""
        if not self.items:
            return self.report.verdict is not Verdict.CLEAN
        return any(item.known is None for item in self.items)

    @property
    def failed(self) -> bool:
        """Whether the file could not be read."""
        return self.report.verdict is Verdict.ERROR


@dataclass(frozen=True, slots=True)
class Origin:
    """The revision that was scanned, where whoever started the scan says so."""

    repository: str
    revision: str
    branch: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """All that a renderer needs; the same result gives the same document.

    ``root`` is the directory that paths in documents are relative to. ``compared`` says whether
    there was a baseline, ``stale`` what stands in it and was not found.
    """

    entries: tuple[Entry, ...]
    root: str
    code: int
    compared: bool = False
    stale: tuple[str, ...] = ()
    made: datetime | None = None
    origin: Origin | None = None
    category: str = "safehold"

    @property
    def summary(self) -> dict[str, int]:
        """How many files there are, in all and per verdict."""
        return Scan(tuple(entry.report for entry in self.entries)).summary

    @property
    def suppressed(self) -> int:
        """How many findings are known."""
        return sum(item.known is not None for entry in self.entries for item in entry.items)

    @property
    def cached(self) -> int:
        """How many reports are of an earlier scan."""
        return sum(entry.report.cached for entry in self.entries)


def items_of(report: FileReport) -> Iterator[Item]:
    """Yield the findings of a report with fingerprints that no two of them share."""
    seen: Counter[str] = Counter()
    for finding in report.findings:
        text = identity_of(finding)
        seen[text] += 1
        digest = hashlib.sha256(f"1\n{seen[text]}\n{text}".encode("utf-8", "surrogatepass"))
        yield Item(finding, digest.hexdigest()[:32])


def entry_of(report: FileReport) -> Entry:
    """Return the entry of a report that no baseline is compared with."""
    return Entry(report, tuple(items_of(report)))


def code_of(entries: Iterable[Entry]) -> int:
    """Return the exit code: 0 nothing but known findings, 1 findings, 2 a file was not read."""
    worst = 0
    for entry in entries:
        if entry.failed:
            return 2
        if entry.counts:
            worst = 1
    return worst


def is_unread(item: Item) -> bool:
    """Say whether a finding tells that the file could not be read."""
    return item.finding.rule.id == UNREADABLE_FILE.id


def identity_of(finding: Finding) -> str:
    """Return what makes a finding the same one again, wherever in its file it has moved.

    In a source that is the text of its line, and which secret it is, if that can be told.
    """
    member = finding.location.member
    if finding.location.anchor:
        secret = finding.detail.get("fingerprint", "")
        return json.dumps([finding.rule.id, member, finding.location.anchor, secret])
    return json.dumps(
        [
            finding.rule.id,
            None if member is None else _OFFSET.sub("@", member),
            finding.message,
            {
                key: value
                for key, value in sorted(finding.detail.items())
                if isinstance(value, str) and key not in _VOLATILE
            },
        ]
    )
