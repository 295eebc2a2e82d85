"""Sentences and rows that every format of the risk report shows, so that they say the same."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.report.risk.controls import FRAMEWORKS, TOP_25, mapped
from safehold.report.risk.documents import rules_by_id
from safehold.report.risk.looking import Check
from safehold.report.risk.model import Point, Risk, Row
from safehold.report.risk.scores import shown

TITLE = "Risk report"
NOT_MEASURED = "not measured"


def headline(risk: Risk) -> list[tuple[str, str]]:
    """Return the numbers on top, each with its name."""
    left = risk.residual
    return [
        ("open risk", shown(risk.total)),
        ("residual risk", NOT_MEASURED if left is None else shown(left)),
        ("accepted risk", shown(risk.taken)),
        ("open findings", str(len(risk.open))),
    ]


def state(row: Row) -> str:
    """Return what is known of a finding beyond its score."""
    words = []
    if row.proof == "got-in":
        words.append("a linked probe got in")
    if row.residual is not None:
        words.append(f"its probes held on this tree, {shown(row.residual)} left")
    if row.kept:
        words.append(f"of the earlier run and not closed: {row.kept}")
    if row.accepted is not None:
        one = row.accepted
        words.append(f"accepted by {one.owner} until {one.expires}: {one.reason}")
    if row.over is not None:
        one = row.over
        words.append(
            f"acceptance by {one.owner} ended on {one.expires}, so it counts again: {one.reason}"
        )
    return "; ".join(words)


def checked(check: Check) -> str:
    """Return the state of a line of the checklist."""
    if check.found is None:
        return "not looked at"
    return f"{check.found} found" if check.found else "nothing found"


def point(one: Point) -> str:
    """Return a run of the trend."""
    more = f", {one.unknown} not scored: their rules are unknown" if one.unknown else ""
    return f"{one.made:%Y-%m-%d %H:%M} UTC: {shown(one.total)} of {one.findings} findings{more}"


def comparison(risk: Risk) -> Iterator[str]:
    """Yield what changed since the earlier run; accepted findings count in both."""
    if risk.before is None:
        return
    now = sum(row.score for row in risk.rows)
    yield f"before: {point(risk.before)}"
    yield f"now: {shown(now)} of {len(risk.rows)} findings, accepted ones among them"
    kept = sum(bool(row.kept) for row in risk.rows)
    yield f"{len(risk.new)} new, {len(risk.closed)} closed, {kept} gone but not closed"


def controls(risk: Risk) -> Iterator[tuple[str, list[str], str, list[str]]]:
    """Yield (subject, controls by framework, what is evidence, ids of open findings)."""
    opened = {row.finding.rule.id for row in risk.open}
    rules = rules_by_id()
    for subject, ids in mapped(rules.values()):
        found = [name for name in ids if name in opened]
        weak = sorted(subject.weaknesses & TOP_25)
        names = [
            f"{framework} {control}"
            for framework, control in zip(FRAMEWORKS, subject.controls, strict=True)
            if control
        ]
        if weak:
            names.append("CWE Top 25 2024: " + ", ".join(f"CWE-{one}" for one in weak))
        said = "open findings" if found else f"none open, of {len(ids)} rules"
        yield subject.name, names, said, found
