"""The risk report as text for a terminal or a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from safehold.findings import Finding
from safehold.report.assessment import Assessment

_WIDTH = 78


def render_text(assessment: Assessment, title: str) -> str:
    """Return the report as lines of text, findings grouped by rule, worst first."""
    return "\n".join(_lines(assessment, title)) + "\n"


def summary_lines(assessment: Assessment) -> Iterator[str]:
    """Yield what was looked at, the counts by severity and the worst finding."""
    yield (
        f"{len(assessment.sources)} source files, {len(assessment.artifacts)} plain artifacts, "
        f"{len(assessment.sealed)} sealed artifacts"
    )
    counts = ", ".join(f"{count} {name}" for name, count in assessment.counts.items())
    yield f"{len(assessment.findings)} findings: {counts}"
    worst = assessment.worst
    if worst is not None:
        yield f"worst: CVSS 4.0 {assessment.worst_score} ({worst.rule.id}: {worst.rule.title})"


def by_rule(findings: Iterable[Finding]) -> Iterator[tuple[Finding, list[Finding]]]:
    """Yield (first finding, all findings) of each rule, by score and then by id."""
    order = sorted(findings, key=lambda item: (-item.rule.score, item.rule.id))
    for _, group in groupby(order, key=lambda item: item.rule.id):
        members = sorted(group, key=lambda item: (item.location.path, item.location.line or 0))
        yield members[0], members


def _lines(assessment: Assessment, title: str) -> Iterator[str]:
    yield f"{title}: {assessment.root}"
    yield f"made {assessment.made:%Y-%m-%d %H:%M:%S} UTC"
    yield "=" * _WIDTH
    yield from summary_lines(assessment)
    for first, members in by_rule(assessment.findings):
        rule = first.rule
        yield ""
        weight = f"{rule.severity.label}, CVSS 4.0 {rule.score}, CWE-{rule.cwe}"
        yield f"{rule.id} {rule.title} ({weight})"
        yield f"  why: {rule.why}"
        yield f"  remedy: {rule.remedy}"
        for item in members:
            yield f"  - {item.location}: {item.message} [{item.confidence.label} confidence]"
            if item.remedy != rule.remedy:
                yield f"    remedy: {item.remedy}"
    for audit in assessment.sources:
        for diagnostic in audit.diagnostics:
            yield ""
            yield f"{audit.path}:{diagnostic.line}: {diagnostic.rule} {diagnostic.message}"
            yield f"  remedy: {diagnostic.remedy}"
