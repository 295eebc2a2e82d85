"""The risk of one run: each finding's score, what is left of it, who takes it, what was closed.

Renderers print what stands here, and all of it is computed here, in the run, from findings.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import PurePosixPath

from safehold.findings import Finding, Location, Rule, Severity
from safehold.report.result import identity_of
from safehold.report.risk.documents import Acceptance, Earlier, Old, Proof, rules_by_id
from safehold.report.risk.looking import Found, Look
from safehold.report.risk.scores import held_score_of, score_of


@dataclass(frozen=True, slots=True)
class Row:
    """One finding. ``residual`` is None unless all its probes held on this very tree.

    ``kept`` says why a finding of an earlier run counts that this run has not found.
    """

    finding: Finding
    part: str
    fingerprint: str
    score: int
    residual: int | None = None
    proof: str = ""
    accepted: Acceptance | None = None
    over: Acceptance | None = None
    kept: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it counts."""
        return self.accepted is None


@dataclass(frozen=True, slots=True)
class Closed:
    """A finding of the earlier run that is gone, and what shows it."""

    finding: Finding
    score: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Point:
    """A run, scored now by the formula; ``unknown``: findings whose rules this version lacks."""

    made: datetime
    total: int
    findings: int
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Risk:
    """All that a report shows."""

    look: Look
    tree: str
    proof: Proof
    rows: tuple[Row, ...]
    before: Point | None = None
    closed: tuple[Closed, ...] = ()
    new: frozenset[str] = frozenset()
    trend: tuple[Point, ...] = ()
    idle: tuple[Acceptance, ...] = ()
    unscored: tuple[str, ...] = ()

    @property
    def open(self) -> tuple[Row, ...]:
        """Findings that count."""
        return tuple(row for row in self.rows if row.is_open)

    @property
    def accepted(self) -> tuple[Row, ...]:
        """Findings that somebody takes for now."""
        return tuple(row for row in self.rows if not row.is_open)

    @property
    def total(self) -> int:
        """The headline, in tenths."""
        return sum(row.score for row in self.open)

    @property
    def taken(self) -> int:
        """The accepted risk, in tenths."""
        return sum(row.score for row in self.accepted)

    @property
    def residual(self) -> int | None:
        """The residual risk, in tenths; None without a proof of this very tree."""
        if not self.proof.here:
            return None
        return sum(row.score if row.residual is None else row.residual for row in self.open)

    @property
    def counts(self) -> dict[str, int]:
        """Open findings by severity, worst first."""
        counted = Counter(row.finding.severity for row in self.open)
        return {severity.label: counted[severity] for severity in reversed(Severity)}

    def fails(self, least: Severity) -> bool:
        """Say whether something open is as bad as that, or got in without a rule to score it."""
        return bool(self.unscored) or any(row.finding.severity >= least for row in self.open)


def risk_of(
    look: Look,
    tree: str,
    *,
    proof: Proof | None = None,
    accepted: Sequence[Acceptance] = (),
    before: Earlier | None = None,
    trend: Iterable[Earlier] = (),
) -> Risk:
    """Score a look. What `before` found stays, unless a probe or check shows that it is gone."""
    proof = proof or Proof()
    rules = rules_by_id()
    attacks, unscored = _attacks(proof, rules)
    rows = list(_rows((*look.found, *attacks), proof))
    names = {row.fingerprint for row in rows}
    closed: list[Closed] = []
    lost: list[str] = []
    for old in before.findings if before else ():
        if old.fingerprint in names:
            continue
        finding = old.finding(rules)
        if finding is None:
            lost.append(f"{old.rule} {old.path}: this version has no such rule, so it stays open")
            continue
        is_closed, why = _closing(old, look, proof)
        if is_closed:
            closed.append(Closed(finding, score_of(finding), why))
        else:
            rows.append(Row(finding, old.part, old.fingerprint, score_of(finding), kept=why))
    day = look.made.date()
    rows = [_taken(row, [one for one in accepted if one.takes(row.finding)], day) for row in rows]
    rows.sort(key=lambda row: (-row.score, row.finding.rule.id, str(row.finding.location)))
    known = {old.fingerprint for old in before.findings} if before else names
    now = Point(look.made, sum(row.score for row in rows), len(rows))
    earlier = [_point(one, rules) for one in (*trend, *((before,) if before else ()))]
    return Risk(
        look, tree, proof, tuple(rows),
        before=_point(before, rules) if before else None,
        closed=tuple(closed),
        new=frozenset(row.fingerprint for row in rows) - known,
        trend=tuple(sorted({*earlier, now}, key=lambda point: point.made)) if earlier else (),
        idle=tuple(one for one in accepted if not any(one.takes(row.finding) for row in rows)),
        unscored=(*unscored, *lost),
    )  # fmt: skip


def _attacks(proof: Proof, rules: dict[str, Rule]) -> tuple[list[Found], list[str]]:
    """Return a finding for each probe that got in, and those that no rule can score."""
    found, unscored = [], []
    for probe in proof.probes:
        if probe.outcome != "got-in":
            continue
        rule = rules.get(probe.rule)
        if rule is None:
            unscored.append(f"probe {probe.id} got in: {probe.title} ({probe.rule} has no score)")
            continue
        message = f"the attack got in: {probe.title}"
        found.append(Found("probes", Finding.of(rule, message, Location(f"probe:{probe.id}"))))
    return found, unscored


def _rows(found: Iterable[Found], proof: Proof) -> Iterator[Row]:
    seen: Counter[str] = Counter()
    for one in found:
        text = f"{one.finding.location.path}\n{identity_of(one.finding)}"
        seen[text] += 1
        digest = hashlib.sha256(f"1\n{seen[text]}\n{text}".encode("utf-8", "surrogatepass"))
        outcome = _outcome(proof, one.finding.rule.id)
        left = held_score_of(one.finding) if outcome == "held" else None
        yield Row(
            one.finding, one.part, digest.hexdigest()[:32], score_of(one.finding), left, outcome
        )


def _outcome(proof: Proof, rule: str) -> str:
    """Return what the linked probes came to: held only if every one of them did."""
    outcomes = {probe.outcome for probe in proof.linked(rule)} if proof.here else set()
    if "got-in" in outcomes:
        return "got-in"
    return "held" if outcomes == {"held"} else ""


def _taken(row: Row, accepted: Sequence[Acceptance], day: date) -> Row:
    for one in accepted:
        if not one.is_over(day):
            return replace(row, accepted=one)
    return replace(row, over=accepted[0]) if accepted else row


def _closing(old: Old, look: Look, proof: Proof) -> tuple[bool, str]:
    """Say whether a finding that was not found again is closed, and what shows that or lacks."""
    outcome = _outcome(proof, old.rule)
    if outcome == "got-in":
        return False, "a linked probe gets in"
    if old.part == "probes":
        held = outcome == "held"
        return held, "its probe held on this tree" if held else "no proof of this tree says held"
    if old.part not in look.parts:
        return False, f"its check ({old.part}) did not run"
    if not _was_read(old, look):
        return False, "its file was not read"
    also = "; its probe held on this tree" if outcome == "held" else ""
    if old.path not in look.files.get(old.part, ()):
        return True, f"its file is gone, and its check ({old.part}) ran{also}"
    return True, f"its check ({old.part}) ran and finds nothing{also}"


def _was_read(old: Old, look: Look) -> bool:
    """Say whether the same part read its file, or that is no longer there."""
    if old.path in look.files.get(old.part, ()):
        return True
    place = PurePosixPath(old.path)
    if not old.path or place.is_absolute() or ".." in place.parts:
        return False
    return not (look.root / place).exists()


def _point(report: Earlier, rules: dict[str, Rule]) -> Point:
    findings = [old.finding(rules) for old in report.findings]
    known = [finding for finding in findings if finding is not None]
    total = sum(score_of(finding) for finding in known)
    return Point(report.made, total, len(findings), len(findings) - len(known))
