"""The risk report as one HTML file: no script, nothing loaded from elsewhere.

Every text that comes from the scanned tree goes through `text`.
"""

from __future__ import annotations

from collections.abc import Iterator

from safehold._version import __version__
from safehold.findings import Finding, Severity
from safehold.report.assessment import Assessment
from safehold.report.page import page, text
from safehold.report.text import by_rule


def render_html(assessment: Assessment, title: str) -> str:
    """Return the report as a complete HTML document."""
    return page(title, _body(assessment))


def _body(assessment: Assessment) -> Iterator[str]:
    yield f'<p class="meta"><code>{text(assessment.root)}</code><br>'
    yield f"made {assessment.made:%Y-%m-%d %H:%M:%S} UTC by safehold {text(__version__)}: "
    yield (
        f"{len(assessment.sources)} source files, {len(assessment.artifacts)} plain artifacts, "
        f"{len(assessment.sealed)} sealed artifacts</p>"
    )
    yield '<ul class="counts">'
    for name, count in assessment.counts.items():
        yield f"<li><b>{count}</b>{name}</li>"
    yield f"<li><b>{assessment.worst_score}</b>worst CVSS 4.0</li></ul>"
    if not assessment.findings:
        yield "<p>Nothing was found.</p>"
    for first, members in by_rule(assessment.findings):
        yield from _rule(first, members)
    yield from _diagnostics(assessment)


def _rule(first: Finding, members: list[Finding]) -> Iterator[str]:
    rule = first.rule
    yield f'<section class="rule {Severity(rule.severity).label}" id="{text(rule.id)}">'
    yield f"<h2>{text(rule.id)} {text(rule.title)}</h2>"
    yield f'<p><span class="tag">{rule.severity.label}</span> '
    yield f'<span class="tag">CVSS 4.0 {rule.score}</span> '
    yield f'<span class="tag">CWE-{rule.cwe}</span> <code>{text(rule.cvss)}</code></p>'
    yield f"<p>{text(rule.why)}</p><p><b>Remedy:</b> {text(rule.remedy)}</p>"
    yield "<table><thead><tr><th>where</th><th>what</th><th>confidence</th></tr></thead>"
    for item in members:
        more = "" if item.remedy == rule.remedy else f"<br><b>Remedy:</b> {text(item.remedy)}"
        yield (
            f"<tr><td><code>{text(item.location)}</code></td><td>{text(item.message)}{more}</td>"
            f"<td>{item.confidence.label}</td></tr>"
        )
    yield "</table></section>"


def _diagnostics(assessment: Assessment) -> Iterator[str]:
    rows = [(audit.path, item) for audit in assessment.sources for item in audit.diagnostics]
    if not rows:
        return
    yield "<h2>To do by hand</h2><table><thead>"
    yield "<tr><th>where</th><th>what</th><th>remedy</th></tr></thead>"
    for path, item in rows:
        yield (
            f"<tr><td><code>{text(path)}:{item.line}</code></td><td>{text(item.rule)} "
            f"{text(item.message)}</td><td>{text(item.remedy)}</td></tr>"
        )
    yield "</table>"
