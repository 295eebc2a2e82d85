"""The risk report for a terminal, and as Markdown: the same lines, marked up or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from safehold._version import __version__
from safehold.report.risk.model import Risk
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
from safehold.report.shown import log_line

_MARKS: Final = re.compile(r"([\\`*_{}\[\]()<>#+!|~&:@-])")


def render_text(risk: Risk) -> str:
    """Return the report as lines for a terminal."""
    return "\n".join(log_line(line) for line in _lines(risk, marked=False)) + "\n"


def render_markdown(risk: Risk) -> str:
    """Return the report as Markdown; nothing that was scanned marks up anything."""
    return "\n".join(log_line(line) for line in _lines(risk, marked=True)) + "\n"


def _lines(risk: Risk, *, marked: bool) -> Iterator[str]:
    head = "## " if marked else "== "
    safe = _plain if marked else str
    yield f"# {TITLE}" if marked else f"{TITLE}: {risk.look.root}"
    yield ""
    yield safe(f"{risk.look.root}, {risk.look.made:%Y-%m-%d %H:%M:%S} UTC, safehold {__version__}")
    yield safe(f"tree {risk.tree}")
    yield ""
    yield from (f"- {name}: {number}" for name, number in headline(risk))
    yield "- " + ", ".join(f"{count} {name}" for name, count in risk.counts.items())
    yield ""
    yield from (FORMULA, "", RESIDUAL)
    if risk.proof.note:
        yield from ("", safe(risk.proof.note))
    yield from (f"- {safe(line)}" for line in risk.unscored)
    for title, rows in (("Open findings", risk.open), ("Accepted risks", risk.accepted)):
        yield from ("", f"{head}{title}: {len(rows)}")
        for row in rows:
            one = row.finding
            where = f"{one.rule.id} {one.location}: {one.message}"
            first = "- " if marked else ""
            yield first + safe(f"{shown(row.score)} {one.severity.label} {where}")
            pad = "  - " if marked else "    "
            yield pad + safe(f"{one.rule.cvss}, CWE-{one.rule.cwe}")
            yield pad + safe(f"remedy: {one.remedy}")
            if said := state(row):
                yield pad + safe(said)
    yield from (f"- accepts nothing: {safe(f'{one.rule} {one.path} ({one.owner})')}"
                for one in risk.idle)  # fmt: skip
    if risk.before is not None:
        yield from ("", f"{head}Since the earlier run")
        yield from (f"- {safe(line)}" for line in comparison(risk))
        for gone in risk.closed:
            what = f"closed: {gone.finding.rule.id} {gone.finding.location}, {shown(gone.score)}"
            yield f"- {safe(f'{what}: {gone.evidence}')}"
    if risk.trend:
        yield from ("", f"{head}Trend")
        yield from (f"- {safe(point(one))}" for one in risk.trend)
    yield from ("", f"{head}Probes")
    yield from (
        f"- {safe(f'{one.outcome}: {one.id} ({one.rule}) {one.title} {one.reason}'.rstrip())}"
        for one in risk.proof.probes
    )
    if not risk.proof.probes:
        yield "- none counts for this tree"
    yield from ("", f"{head}Production checklist")
    yield from (f"- {checked(one)}: {one.rule} {safe(one.title)}" for one in risk.look.checklist)
    yield from ("", f"{head}Evidence by control")
    for name, names, said, found in controls(risk):
        evidence = f"{said} {', '.join(found)}".rstrip()
        yield f"- {safe(name)}: {safe('; '.join(names))}. Evidence: {evidence}"


def _plain(text: str) -> str:
    return _MARKS.sub(r"\\\1", text.replace("\n", " "))
