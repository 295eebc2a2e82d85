"""What `safehold harden` decides and does: a plan made by looking, then applied with a journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from safehold._cli._converting import Step, apply_step, check_marks, place_step, scanned_again
from safehold._cli._notes import notes_on
from safehold._cli._reads import Reads
from safehold._cli._recorded import migrating
from safehold._cli._zones import allowing, at_hand_in, extended, trusted_code
from safehold.artifacts import Store
from safehold.artifacts import rules as artifact_rules
from safehold.context import Context
from safehold.errors import SafeholdError
from safehold.findings import Finding, Location
from safehold.policy import Policy
from safehold.policy.rendering import render_policy
from safehold.report.assessment import Assessment, Progress, is_code_carrying
from safehold.scan import FileReport
from safehold.scan.rules import UNKNOWN_GLOBAL
from safehold.source import FileAudit, Journal, audit_tree, migrate_file
from safehold.source.classes import own_classes

POLICY_NAME = "safehold.toml"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `--write` would do; `notes` say what the service will meet afterwards."""

    policy: Policy
    writes_policy: bool
    steps: tuple[Step, ...]
    audits: tuple[FileAudit, ...]
    findings: tuple[Finding, ...] = ()
    own: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def edits(self) -> tuple[FileAudit, ...]:
        """The source files that change."""
        return tuple(audit for audit in self.audits if audit.after is not None)

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to change; a run without changes would hide the last one."""
        acts = any(step.action != "leave" for step in self.steps)
        return not (self.writes_policy or self.edits or acts)


@dataclass(slots=True)
class Done:
    """What was done, and what could not be."""

    steps: list[Step] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


# --- planning ------------------------------------------------------------------------------


def make_plan(
    before: Assessment,
    policy: Policy,
    *,
    allow: Sequence[str] = (),
    exclude: Sequence[str],
    progress: Progress,
) -> Plan:
    """Decide what to do with what was found; reads only.

    `allow` holds names that the operator vouches for, besides those found plain.
    """
    root = policy.root
    given = policy.path is not None  # an operator's own policy is followed, not rewritten
    unknown = {
        str(finding.detail.get("global", ""))
        for finding in before.findings
        if finding.rule.id == UNKNOWN_GLOBAL.id
    }
    own = own_classes(root, unknown) | frozenset(allow)
    reads = Reads.of(before.sources)
    reports = [
        scanned_again(report, policy, own) if report.findings and own else report
        for report in before.artifacts
        if is_code_carrying(report) or reads.reads_as(report)
    ]
    at_hand = at_hand_in(before)
    steps = [place_step(report, policy, reads, own) for report in reports]
    found = [step.path for step in steps if _holds_objects_outside(step, policy)]
    findings = [
        Finding.of(
            artifact_rules.MODELS_IN_EXTERNAL,
            "holds objects that have no form as plain data",
            Location(path=path),
        )
        for path in found
    ]
    if given:
        reason = "holds objects, but its zone is external; give it an internal zone"
        steps = [Step("leave", step.path, reason) if step.path in found else step for step in steps]
    else:
        places = [*found, *_unknown_outside(reports, steps, policy)]
        policy = extended(policy, before, reports, places, own, at_hand.plain)
        policy = replace(
            policy,
            zones=tuple(
                allowing(zone, allow) if zone.trust == "internal" else zone for zone in policy.zones
            ),
            memory=allowing(policy.memory, allow),
        )
    audits = tuple(
        audit_tree(
            root,
            policy=policy,
            exclude=exclude,
            progress=lambda path: progress("plan", path),
            migrated_alone=True,
        )
    )
    if not given:
        policy = replace(policy, trusted=trusted_code(audits))
    refused = frozenset() if given else at_hand.others - frozenset(allow)
    notes = tuple(notes_on(before, policy, reads, _changed_files(steps), refused))
    return Plan(policy, not given, tuple(steps), audits, tuple(findings), own, notes)


def _changed_files(steps: Sequence[Step]) -> list[str]:
    return [step.path for step in steps if step.action in ("seal", "convert")]


def _holds_objects_outside(step: Step, policy: Policy) -> bool:
    external = policy.zone_for(step.path).trust == "external"
    return step.action == "seal" and external and not step.as_bytes


def _unknown_outside(
    reports: Sequence[FileReport], steps: Sequence[Step], policy: Policy
) -> Iterator[str]:
    """Yield what is set aside for unknown names alone: when made again, it holds objects."""
    for report, step in zip(reports, steps, strict=True):
        rules = {finding.rule.id for finding in report.findings}
        is_external = policy.zone_for(report.path).trust == "external"
        if is_external and step.action == "quarantine" and rules == {UNKNOWN_GLOBAL.id}:
            yield report.path


# --- applying ------------------------------------------------------------------------------


def apply_plan(plan: Plan, hold: Context, progress: Progress) -> Done:
    """Do what the plan says; every change can be rolled back, also after a kill.

    Raises:
        ConfigError: an earlier run was cut off and must be rolled back first, or marks of
            another key stand in the way. Nothing was changed then.
    """
    root = plan.policy.root
    done = Done()
    if plan.is_empty:
        return done
    check_marks(plan.steps, hold)
    if plan.edits:
        hold.recorder.record(migrating(plan.policy, plan.edits))
    with Journal.begin(root) as journal:
        if plan.writes_policy:
            journal.create(root / POLICY_NAME, render_policy(plan.policy).encode())
            done.files.append(POLICY_NAME)
        for audit in plan.edits:
            progress("sources", audit.path)
            problem = migrate_file(journal, root, audit)
            if problem is None:
                done.files.append(audit.path)
            else:
                done.problems.append(f"{audit.path}:{problem.line}: {problem.message}")
        store = Store(hold)
        for step in plan.steps:
            progress("artifacts", step.path)
            try:
                apply_step(step, journal, store, hold)
            except (SafeholdError, OSError) as error:
                done.problems.append(f"{step.path}: {type(error).__name__}: {error}")
            else:
                done.steps.append(step)
    return done
