"""What a scan returns: one report per file, and their sum."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from safehold.findings import Finding
from safehold.scan import rules
from safehold.scan.judge import GlobalUse

_HOSTILE = frozenset(
    rule.id
    for rule in (
        rules.DANGEROUS_GLOBAL,
        rules.ATTACK_CONSTRUCTION,
        rules.ESCAPING_MEMBER,
        rules.OUTSIDE_FILE,
        rules.HOSTILE_TEMPLATE,
        rules.GRAPH_OPERATION,
        rules.EXTERNAL_ENTITY,
        rules.ENTITY_EXPANSION,
    )
)


def makes_malicious(rule: str) -> bool:
    """Say whether one finding of this rule makes a file malicious, or may do so."""
    return rule in _HOSTILE or rule == rules.READERS_DISAGREE.id


def _hides_names(finding: Finding) -> bool:
    """Whether a loader reaches names in it that the scanner's own reader does not see."""
    return finding.rule is rules.READERS_DISAGREE and "unseen" in finding.detail


class Verdict(enum.StrEnum):
    """What is to be thought of a file, from harmless to not known at all."""

    CLEAN = "clean"
    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"
    ERROR = "error"

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Verdict:
        """Return the verdict that findings amount to."""
        findings = tuple(findings)
        if not findings:
            return cls.CLEAN
        ids = {finding.rule.id for finding in findings}
        if ids & _HOSTILE or any(map(_hides_names, findings)):
            return cls.MALICIOUS
        if rules.UNREADABLE_FILE.id in ids:
            return cls.ERROR
        return cls.SUSPICIOUS if ids else cls.CLEAN


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file: its format, what was found, and the names it carries with their roles.

    ``plain`` is true if it names nothing beyond Python's own data types, so that a format
    without code could hold the same content. ``digest`` is the SHA-256 of the bytes that were
    read, in hexadecimal, if the scan was asked for it and read them all. ``versions`` are those of
    libraries, by the name they are imported by, that the content says it was written with.
    ``packages`` are those of a lock: name, version, and licence if it is known.

    ``cached`` says that an earlier scan found this, ``cache_problem`` why the cache that was asked
    for is of no use. Neither makes one report differ from another.
    """

    path: str
    format: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    globals: tuple[GlobalUse, ...] = ()
    plain: bool = False
    digest: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    packages: tuple[tuple[str, str, str], ...] = ()
    cached: bool = field(default=False, compare=False)
    cache_problem: str = field(default="", compare=False)

    def as_json(self) -> dict[str, Any]:
        """Return the report in the shape that `safehold scan --format json` prints."""
        return {
            "path": self.path,
            "format": self.format,
            "verdict": self.verdict.value,
            "findings": [finding.as_json() for finding in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Scan:
    """Reports of everything that was scanned."""

    files: tuple[FileReport, ...]

    @property
    def summary(self) -> dict[str, int]:
        """How many files there are, in all and per verdict."""
        counts = {"files": len(self.files), **{verdict.value: 0 for verdict in Verdict}}
        for report in self.files:
            counts[report.verdict.value] += 1
        return counts

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all files, in order."""
        return tuple(finding for report in self.files for finding in report.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the scan in the shape that `safehold scan --format json` prints."""
        return {
            "schema": 1,
            "files": [report.as_json() for report in self.files],
            "summary": self.summary,
        }
