"""One look at a service for its risk report: the tree, its settings, and what was looked at."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from safehold.artifacts import rules as artifact_rules
from safehold.context import Context
from safehold.deploy import CHECKS, check_settings
from safehold.deploy.reading import Read, read_path
from safehold.findings import Finding, Severity
from safehold.policy import Policy
from safehold.report.assessment import Progress, assess
from safehold.scan import Verdict
from safehold.source import rules as source_rules


@dataclass(frozen=True, slots=True)
class Found:
    """A finding and the part of the look that found it."""

    part: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the production checklist; ``found`` is None if no settings were read."""

    rule: str
    title: str
    severity: Severity
    found: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """What was found; ``parts`` that ran, ``files`` that each of them read."""

    root: Path
    made: datetime
    found: tuple[Found, ...]
    parts: frozenset[str]
    files: Mapping[str, frozenset[str]]
    checklist: tuple[Check, ...] = ()


def look(
    policy: Policy,
    *,
    hold: Context | None = None,
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> Look:
    """Look at the tree below the policy's root, and its settings as those of production."""
    seen = assess(policy, hold=hold, exclude=exclude, progress=progress)
    into = Read()
    read_path(policy.root, into)
    parts = {"sources", "artifacts", "policy", *(("seals",) if hold else ())}
    settings: list[Finding] = []
    if into.files:
        parts.add("settings")
        deploy = policy.deploy
        settings = check_settings(into.whole(dict(deploy.names), deploy.key_days))
    read = frozenset(
        report.path
        for report in (*seen.artifacts, *seen.sealed)
        if report.verdict is not Verdict.ERROR
    )
    unread = {where.path for where, _ in into.failed}
    files = {
        "policy": frozenset({"", _relative(str(policy.path or ""), policy.root)}),
        "sources": frozenset(_relative(audit.path, policy.root) for audit in seen.sources),
        "artifacts": read,
        "seals": read,
        "settings": frozenset(
            _relative(str(path), policy.root) for path in into.files if str(path) not in unread
        ),
    }
    found: dict[tuple[str, str, str], Found] = {}
    for finding in (*seen.findings, *settings):
        part = "settings" if finding in settings else _part(finding)
        at = replace(finding.location, path=_relative(finding.location.path, policy.root))
        key = (finding.rule.id, finding.message, str(at))
        found.setdefault(key, Found(part, replace(finding, location=at)))
    return Look(
        policy.root, seen.made, tuple(found.values()), frozenset(parts),
        files,
        _checklist(settings if into.files else None),
    )  # fmt: skip


_SOURCES = frozenset(row.rule.id for row in source_rules.RULES)


def _part(finding: Finding) -> str:
    if finding.rule.id == artifact_rules.BROKEN_SEAL.id:
        return "seals"
    if finding.rule.id in _SOURCES:
        return "sources"
    return "artifacts" if finding.rule.id < "SH2" else "policy"


def _relative(path: str, root: Path) -> str:
    return os.path.relpath(path, root) if os.path.isabs(path) else path


def _checklist(settings: list[Finding] | None) -> tuple[Check, ...]:
    rows = []
    for row in CHECKS:
        count = None
        if settings is not None:
            count = sum(finding.rule.id == row.rule.id for finding in settings)
        rows.append(Check(row.rule.id, row.rule.title, row.rule.severity, count))
    return tuple(rows)
