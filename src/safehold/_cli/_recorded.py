"""What the command line decides by itself goes to the trail too, where a policy is in force."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from safehold._cli import _shared
from safehold.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from safehold.events import Event, Outcome
    from safehold.findings import Finding
    from safehold.policy import Policy
    from safehold.scan import FileReport
    from safehold.source import FileAudit

_MOST_RULES = 20


def scanned(
    policy: Policy | None, reports: Generator[FileReport], *, quiet: bool
) -> Generator[FileReport]:
    """Yield the reports, then record what was found, if there was something.

    Raises:
        TrailError: the trail did not take it.
    """
    verdicts, rules = Counter[str](), Counter[str]()
    worst: Finding | None = None
    with contextlib.closing(reports):
        for report in reports:
            verdicts[report.verdict.value] += 1
            for finding in report.findings:
                rules[finding.rule.id] += 1
                if worst is None or finding.severity > worst.severity:
                    worst = finding
            yield report
    if policy is None or worst is None:
        return
    from safehold.events import Event

    event = Event(
        action="scan",
        outcome="done",
        rule=worst.rule.id,
        reason="findings",
        artifact=worst.location.path,
        detail={
            "severity": worst.severity.label,
            "verdicts": dict(verdicts),
            "rules": dict(rules.most_common(_MOST_RULES)),
        },
    )
    record(policy, event, quiet=quiet)


def migrating(policy: Policy, audits: Sequence[FileAudit]) -> Event:
    """Return the event of a run that is about to change sources."""
    from safehold.events import Event

    changed = [audit for audit in audits if audit.after is not None]
    return Event(
        action="migrate",
        outcome="allowed",
        reason="sources",
        artifact=str(policy.root),
        detail={"files": len(changed), "edits": sum(len(audit.edits) for audit in changed)},
    )


def ending(policy: Policy, action: str, outcome: Outcome, **detail: object) -> Event:
    """Return the event of a rollback, or of what makes runs final, before it and after it."""
    from safehold.events import Event

    return Event(action=action, outcome=outcome, artifact=str(policy.root), detail=detail)


def record(policy: Policy, event: Event, *, quiet: bool = False) -> None:
    """Record an event under a policy that the user has named; say so where its keys are not here.

    A scan in CI takes limits from a policy whose keys the service alone has.

    Raises:
        TrailError: the trail did not take it.
    """
    from safehold.context import Context

    try:
        hold = Context.load(policy)
    except (ConfigError, MissingExtra) as error:
        if not quiet:
            line = f"safehold: warning: not recorded in the trail: {error}"
            print(_shared.printable(line), file=sys.stderr)
        return
    with hold:
        hold.recorder.record(event)
