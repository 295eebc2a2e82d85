"""The risk report as JSON, which a later run compares itself with, and as SARIF."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from safehold._version import __version__
from safehold.report.formats import sarif
from safehold.report.result import Entry, Item, Result, Suppression
from safehold.report.risk.documents import Acceptance
from safehold.report.risk.model import Risk, Row
from safehold.report.risk.parts import checked, controls, headline
from safehold.report.risk.scores import FORMULA, RESIDUAL, shown
from safehold.report.shown import json_text
from safehold.scan import FileReport, Verdict


def render_json(risk: Risk) -> str:
    """Return the report as a document."""
    return json_text(
        {
            "safehold": "risk",
            "schema": 1,
            "version": __version__,
            "made": risk.look.made.isoformat(),
            "root": str(risk.look.root),
            "tree": risk.tree,
            "headline": dict(headline(risk)),
            "formula": [FORMULA, RESIDUAL],
            "counts": risk.counts,
            "findings": [_row(row, is_new=row.fingerprint in risk.new) for row in risk.rows],
            "unscored": risk.unscored,
            "closed": [
                {"rule": one.finding.rule.id, "path": one.finding.location.path,
                 "message": one.finding.message, "score": shown(one.score),
                 "evidence": one.evidence}
                for one in risk.closed
            ],
            "trend": [
                {"made": one.made.isoformat(), "open": shown(one.total), "findings": one.findings,
                 "unknown": one.unknown}
                for one in risk.trend
            ],
            "proof": {
                "note": risk.proof.note,
                "probes": [
                    {"id": one.id, "rule": one.rule, "title": one.title, "outcome": one.outcome,
                     "reason": one.reason}
                    for one in risk.proof.probes
                ],
            },
            "idle": [_acceptance(one) for one in risk.idle],
            "looked": sorted(risk.look.parts),
            "checklist": [
                {"rule": one.rule, "title": one.title, "state": checked(one)}
                for one in risk.look.checklist
            ],
            "controls": [
                {"subject": name, "controls": names, "evidence": said, "findings": found}
                for name, names, said, found in controls(risk)
            ],
        }
    )  # fmt: skip


def render_sarif(risk: Risk) -> str:
    """Return the findings as SARIF; accepted ones are suppressed there."""
    files: dict[str, list[Row]] = defaultdict(list)
    for row in risk.rows:
        files[row.finding.location.path].append(row)
    entries = tuple(_entry(path, rows) for path, rows in sorted(files.items()))
    code = 1 if risk.open else 0
    return sarif.render(
        Result(entries, str(risk.look.root), code, compared=True, category="safehold-report")
    )


def _entry(path: str, rows: list[Row]) -> Entry:
    findings = tuple(row.finding for row in rows)
    report = FileReport(path, "report", Verdict.SUSPICIOUS, findings)
    return Entry(report, tuple(Item(row.finding, row.fingerprint, _known(row)) for row in rows))


def _known(row: Row) -> Suppression | None:
    one = row.accepted
    return None if one is None else Suppression(f"{one.owner}: {one.reason}", one.expires)


def _row(row: Row, *, is_new: bool) -> dict[str, Any]:
    one = row.finding
    return {
        "rule": one.rule.id,
        "severity": one.severity.label,
        "part": row.part,
        "path": one.location.path,
        "line": one.location.line,
        "message": one.message,
        "fingerprint": row.fingerprint,
        "cwe": one.rule.cwe,
        "cvss": one.rule.cvss,
        "score": shown(row.score),
        "residual": None if row.residual is None else shown(row.residual),
        "proof": row.proof,
        "new": is_new,
        "kept": row.kept,
        "accepted": None if row.accepted is None else _acceptance(row.accepted),
        "expired": None if row.over is None else _acceptance(row.over),
    }


def _acceptance(one: Acceptance) -> dict[str, str]:
    return {
        "rule": one.rule, "path": one.path, "owner": one.owner, "reason": one.reason,
        "expires": str(one.expires),
    }  # fmt: skip
