"""The risk report as one page: no script, nothing loaded, charts as SVG within it, to be printed.

Every text that comes from what was scanned, proved or accepted goes through `text`.
"""

from __future__ import annotations

from collections.abc import Iterator

from safehold._version import __version__
from safehold.report.page import page, text
from safehold.report.risk.model import Point, Risk, Row
from safehold.report.risk.parts import (
    TITLE,
    checked,
    comparison,
    controls,
    headline,
    point,
    state,
)
from safehold.report.risk.scores import FORMULA, RESIDUAL, shown


def render_html(risk: Risk) -> str:
    """Return the page."""
    return page(TITLE, _body(risk))


def _body(risk: Risk) -> Iterator[str]:
    yield f'<p class="meta"><code>{text(risk.look.root)}</code><br>'
    yield f"made {risk.look.made:%Y-%m-%d %H:%M:%S} UTC by safehold {text(__version__)}<br>"
    yield f"tree <code>{text(risk.tree)}</code></p>"
    yield '<ul class="counts">'
    yield from (f"<li><b>{text(value)}</b>{text(name)}</li>" for name, value in headline(risk))
    yield "</ul>"
    yield f"<p>{text(FORMULA)}</p><p>{text(RESIDUAL)}</p>"
    if risk.proof.note:
        yield f"<p>{text(risk.proof.note)}</p>"
    if risk.unscored:
        yield '<section class="rule critical"><h2>Open, without a score</h2><ul>'
        yield from (f"<li>{text(line)}</li>" for line in risk.unscored)
        yield "</ul></section>"
    yield from _bars(risk)
    yield from _earlier(risk)
    yield from _rows("Open findings", risk.open)
    yield from _rows("Accepted risks", risk.accepted)
    if risk.idle:
        yield "<h2>Acceptances that are of no finding</h2><ul>"
        yield from (f"<li>{text(one.rule)} {text(one.path)}: {text(one.owner)}, {text(one.reason)}"
                    "</li>" for one in risk.idle)  # fmt: skip
        yield "</ul>"
    yield from _probes(risk)
    yield from _checklist(risk)
    yield from _controls(risk)


def _bars(risk: Risk) -> Iterator[str]:
    """Draw the open findings by severity; the numbers stand beside the bars."""
    most = max(1, *risk.counts.values())
    said = ", ".join(f"{count} {name}" for name, count in risk.counts.items())
    yield "<h2>Open findings by severity</h2>"
    yield f'<svg viewBox="0 0 400 130" role="img" aria-label="{text(said)}">'
    for place, (name, count) in enumerate(risk.counts.items()):
        top, width = place * 26, round(240 * count / most)
        yield f'<text x="0" y="{top + 16}">{name}</text>'
        yield f'<rect class="{name}" x="80" y="{top + 2}" width="{width}" height="18"/>'
        yield f'<text x="{88 + width}" y="{top + 16}">{count}</text>'
    yield "</svg>"


def _earlier(risk: Risk) -> Iterator[str]:
    if risk.before is not None:
        yield "<h2>Since the earlier run</h2><ul>"
        yield from (f"<li>{text(line)}</li>" for line in comparison(risk))
        yield "</ul>"
    if risk.closed:
        yield "<table><thead><tr><th>closed</th><th>score</th><th>what shows it</th></tr></thead>"
        for one in risk.closed:
            where = f"<code>{text(one.finding.location)}</code>"
            yield f"<tr><td>{text(one.finding.rule.id)} {where}</td><td>{shown(one.score)}</td>"
            yield f"<td>{text(one.evidence)}</td></tr>"
        yield "</table>"
    if len(risk.trend) > 1:
        yield "<h2>Trend</h2>"
        yield _line(risk.trend)
        yield "<ul>"
        yield from (f"<li>{text(point(one))}</li>" for one in risk.trend)
        yield "</ul>"


def _line(points: tuple[Point, ...]) -> str:
    most = max(1, *(one.total for one in points))
    places = [
        (round(10 + 380 * number / (len(points) - 1)), round(100 - 90 * one.total / most))
        for number, one in enumerate(points)
    ]
    drawn = " ".join(f"{x},{y}" for x, y in places)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="4"/>' for x, y in places)
    return (
        '<svg viewBox="0 0 400 110" role="img" aria-label="risk of each run, as listed below">'
        f'<polyline points="{drawn}" fill="none" stroke="currentColor" stroke-width="2"/>'
        f"{dots}</svg>"
    )


def _rows(title: str, rows: tuple[Row, ...]) -> Iterator[str]:
    yield f"<h2>{title}: {len(rows)}</h2>"
    if not rows:
        yield "<p>None.</p>"
    for row in rows:
        one = row.finding
        rule = one.rule
        yield f'<section class="rule {one.severity.label}" id="f-{row.fingerprint}">'
        yield f"<h3>{text(rule.id)} {text(rule.title)}</h3>"
        yield f'<p><span class="tag">{one.severity.label}</span> '
        yield f'<span class="tag">score {shown(row.score)}</span> '
        yield f'<span class="tag">CWE-{rule.cwe}</span> <code>{text(rule.cvss)}</code></p>'
        yield f"<p><code>{text(one.location)}</code>: {text(one.message)}</p>"
        if said := state(row):
            yield f"<p><b>{text(said)}</b></p>"
        yield f"<p>{text(rule.why)}</p><p><b>Remedy:</b> {text(one.remedy)}</p></section>"


def _probes(risk: Risk) -> Iterator[str]:
    yield "<h2>Attacks that were tried on this tree</h2>"
    if not risk.proof.probes:
        yield "<p>None counts for this tree.</p>"
        return
    yield "<table><thead><tr><th>probe</th><th>outcome</th><th>rule</th></tr></thead>"
    for one in risk.proof.probes:
        yield f"<tr><td>{text(one.title)} {text(one.reason)}</td><td>{text(one.outcome)}</td>"
        yield f"<td>{text(one.rule)}</td></tr>"
    yield "</table>"


def _checklist(risk: Risk) -> Iterator[str]:
    yield "<h2>Production checklist</h2>"
    yield "<p>Nothing found means: in the settings that were read.</p>"
    yield "<table><thead><tr><th>check</th><th>state</th></tr></thead>"
    for one in risk.look.checklist:
        yield f"<tr><td>{text(one.rule)} {text(one.title)}</td><td>{checked(one)}</td></tr>"
    yield "</table>"


def _controls(risk: Risk) -> Iterator[str]:
    first: dict[str, str] = {}
    for row in risk.open:
        first.setdefault(row.finding.rule.id, row.fingerprint)
    yield "<h2>Evidence by control</h2>"
    yield "<p>This is evidence for whoever judges compliance, not a statement of it.</p>"
    yield "<table><thead><tr><th>subject</th><th>controls</th><th>evidence</th></tr></thead>"
    for name, names, said, found in controls(risk):
        links = " ".join(f'<a href="#f-{first[one]}">{one}</a>' for one in found)
        yield f"<tr><td>{text(name)}</td><td>{text('; '.join(names))}</td>"
        yield f"<td>{said} {links}</td></tr>"
    yield "</table>"
