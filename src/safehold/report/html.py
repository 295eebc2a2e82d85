"""The risk report as one HTML file: no script, nothing loaded from elsewhere.

Every text that comes from the scanned tree goes through `_text`.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

from safehold._version import __version__
from safehold.findings import Finding, Severity
from safehold.report.assessment import Assessment
from safehold.report.text import by_rule

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin: 0; }
.meta { opacity: .7; margin-top: .25rem; overflow-wrap: anywhere; }
.counts { display: flex; flex-wrap: wrap; gap: .75rem; padding: 0; list-style: none; }
.counts li { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem;
  min-width: 5rem; }
.counts b { display: block; font-size: 1.5rem; }
.rule { border: 1px solid var(--line); border-left-width: .4rem; border-radius: .5rem;
  padding: .75rem 1rem; margin: 1rem 0; }
.critical { border-left-color: #b00020; } .high { border-left-color: #d9480f; }
.medium { border-left-color: #b58900; } .low { border-left-color: #2b6cb0; }
.info { border-left-color: #888; }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; }
td, th { text-align: left; vertical-align: top; padding: .25rem .5rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
.tag { background: var(--soft); border-radius: .25rem; padding: 0 .4rem; font-size: .85rem; }
""".strip()


def render_html(assessment: Assessment, title: str) -> str:
    """Return the report as a complete HTML document."""
    return "\n".join(_document(assessment, title)) + "\n"


def _text(value: object) -> str:
    """Escape, and show characters that would not print or would reorder the line."""
    shown = "".join(
        char if char.isprintable() or char == " " else f"\\u{ord(char):04x}" for char in str(value)
    )
    return html.escape(shown.encode("utf-8", "backslashreplace").decode(), quote=True)


def _document(assessment: Assessment, title: str) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield (
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    )
    yield f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{_text(title)}</h1>"
    yield f'<p class="meta"><code>{_text(assessment.root)}</code><br>'
    yield f"made {assessment.made:%Y-%m-%d %H:%M:%S} UTC by safehold {_text(__version__)}: "
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
    yield "</body></html>"


def _rule(first: Finding, members: list[Finding]) -> Iterator[str]:
    rule = first.rule
    yield f'<section class="rule {Severity(rule.severity).label}" id="{_text(rule.id)}">'
    yield f"<h2>{_text(rule.id)} {_text(rule.title)}</h2>"
    yield f'<p><span class="tag">{rule.severity.label}</span> '
    yield f'<span class="tag">CVSS 4.0 {rule.score}</span> '
    yield f'<span class="tag">CWE-{rule.cwe}</span> <code>{_text(rule.cvss)}</code></p>'
    yield f"<p>{_text(rule.why)}</p><p><b>Remedy:</b> {_text(rule.remedy)}</p>"
    yield "<table><tr><th>where</th><th>what</th><th>confidence</th></tr>"
    for item in members:
        more = "" if item.remedy == rule.remedy else f"<br><b>Remedy:</b> {_text(item.remedy)}"
        yield (
            f"<tr><td><code>{_text(item.location)}</code></td><td>{_text(item.message)}{more}</td>"
            f"<td>{item.confidence.label}</td></tr>"
        )
    yield "</table></section>"


def _diagnostics(assessment: Assessment) -> Iterator[str]:
    rows = [(audit.path, item) for audit in assessment.sources for item in audit.diagnostics]
    if not rows:
        return
    yield "<h2>To do by hand</h2><table><tr><th>where</th><th>what</th><th>remedy</th></tr>"
    for path, item in rows:
        yield (
            f"<tr><td><code>{_text(path)}:{item.line}</code></td><td>{_text(item.rule)} "
            f"{_text(item.message)}</td><td>{_text(item.remedy)}</td></tr>"
        )
    yield "</table>"
