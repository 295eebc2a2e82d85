"""Reports as the bytes of an entry, and back: typed, and only what comes back the same."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from safehold.findings import Confidence, Finding, Location, Severity
from safehold.scan.judge import GlobalUse
from safehold.scan.report import FileReport, Verdict
from safehold.scan.rules import RULES

_RULES: Final = {rule.id: rule for rule in RULES}


class _Finding(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    rule: str
    message: str
    line: int | None
    column: int | None
    offset: int | None
    member: str | None
    severity: int
    confidence: int
    detail: dict[str, Any]
    remedy: str


class _Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Without a format: no artifact, and nobody asked for it."""

    format: str | None
    plain: bool
    findings: list[_Finding]
    globals: list[tuple[str, str]]
    versions: list[tuple[str, str]]


_NOTHING: Final = _Entry(None, False, [], [], [])  # noqa: FBT003  a field
_DECODER: Final = msgspec.msgpack.Decoder(_Entry)


def encode(report: FileReport | None) -> bytes | None:
    """Return what stands for a report; None if it would not come back as it is."""
    try:
        content = msgspec.msgpack.encode(_NOTHING if report is None else _entry(report))
        path, digest = ("", "") if report is None else (report.path, report.digest)
        same = decode(content, path, digest) == report
    except (KeyError, TypeError, ValueError, OverflowError):
        # A number of more than 64 bits, text without a UTF-8 form, evidence of another type.
        return None
    return content if same else None


def decode(content: bytes, path: str, digest: str) -> FileReport | None:
    """Return the report of a file of this path; None for one that is no artifact.

    Raises:
        KeyError: a rule that there is not.
        ValueError: no entry.
    """
    entry = _DECODER.decode(content)
    if entry.format is None:
        return None
    findings = tuple(_finding(one, path) for one in entry.findings)
    return FileReport(
        path=path,
        format=entry.format,
        verdict=Verdict.of(findings),
        findings=findings,
        globals=tuple(GlobalUse(*pair) for pair in entry.globals),
        plain=entry.plain,
        digest=digest,
        versions=tuple(entry.versions),
    )


def _entry(report: FileReport) -> _Entry:
    return _Entry(
        format=report.format,
        plain=report.plain,
        findings=[
            _Finding(
                one.rule.id,
                one.message,
                one.location.line,
                one.location.column,
                one.location.offset,
                one.location.member,
                int(one.severity),
                int(one.confidence),
                dict(one.detail),
                one.remedy,
            )
            for one in report.findings
        ],
        globals=[(use.name, use.role) for use in report.globals],
        versions=list(report.versions),
    )


def _finding(one: _Finding, path: str) -> Finding:
    return Finding(
        rule=_RULES[one.rule],
        message=one.message,
        location=Location(path, one.line, one.column, one.offset, one.member),
        severity=Severity(one.severity),
        confidence=Confidence(one.confidence),
        detail=one.detail,
        remedy=one.remedy,
    )
