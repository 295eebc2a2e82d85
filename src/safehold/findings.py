"""What every scanner, check and rule yields: a Finding that points at a Rule."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


class Severity(enum.IntEnum):
    """How bad it is when the finding is true; the words of CVSS 4.0."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def label(self) -> str:
        """Lower-case name, as it stands in JSON."""
        return self.name.lower()


class Confidence(enum.IntEnum):
    """How sure the finding is."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3

    @property
    def label(self) -> str:
        """Lower-case name, as it stands in JSON."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Location:
    """Where: a file, a line (from 1) and column (from 1), or a byte offset in a member.

    ``anchor`` is a digest of the line's text, by which a baseline knows it where it has moved.
    """

    path: str = ""
    line: int | None = None
    column: int | None = None
    offset: int | None = None
    member: str | None = None
    anchor: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        text = self.path
        if self.member is not None:
            text += f"!{self.member}"
        if self.line is not None:
            text += f":{self.line}"
            if self.column is not None:
                text += f":{self.column}"
        elif self.offset is not None:
            text += f"@{self.offset}"
        return text


@dataclass(frozen=True, slots=True)
class Rule:
    """One stable kind of finding.

    ``score`` is the CVSS 4.0 base score of ``cvss``; a test recomputes it.
    ``fix`` says whether `safehold migrate` or `safehold harden` mends it, and whether
    that can change what the program does.
    """

    id: str
    name: str
    title: str
    why: str
    remedy: str
    severity: Severity
    cwe: int
    cvss: str
    score: float
    fix: Literal["safe", "unsafe", "none"] = "none"
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Have the severity known by the id alone, which is what an event carries."""
        _SEVERITIES[self.id] = self.severity


_SEVERITIES: dict[str, Severity] = {}


def severity_of(rule: str) -> Severity | None:
    """Return how bad what a rule finds is, if whoever defines it was imported."""
    return _SEVERITIES.get(rule)


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation: what, where, how bad, how sure; made by `of`.

    ``detail`` is JSON-ready evidence, never a secret.
    """

    rule: Rule
    message: str
    location: Location
    severity: Severity
    confidence: Confidence
    detail: Mapping[str, Any]
    remedy: str

    @classmethod
    def of(
        cls,
        rule: Rule,
        message: str,
        location: Location,
        *,
        severity: Severity | None = None,
        confidence: Confidence = Confidence.HIGH,
        detail: Mapping[str, Any] | None = None,
        remedy: str = "",
    ) -> Finding:
        """Build a finding with the rule's severity and remedy unless they are given."""
        return cls(
            rule=rule,
            message=message,
            location=location,
            severity=rule.severity if severity is None else severity,
            confidence=confidence,
            detail={} if detail is None else detail,
            remedy=remedy or rule.remedy,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the finding in the shape that `safehold scan --format json` prints."""
        return {
            "rule": self.rule.id,
            "severity": self.severity.label,
            "confidence": self.confidence.label,
            "message": self.message,
            "location": {
                "offset": self.location.offset,
                "member": self.location.member,
                "line": self.location.line,
            },
            "detail": dict(self.detail),
        }
