"""What `safehold harden` says about its changes: each kind together, long lists cut short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from safehold._cli._converting import Step
from safehold._cli._hardening import POLICY_NAME, Done, Plan
from safehold.policy.rendering import render_policy
from safehold.source import diff

MOST_LINES = 20  # of one kind on a terminal; the report holds all

_WOULD = {"seal": "seal", "convert": "convert", "quarantine": "set aside", "leave": "leave"}
_DID = {"seal": "sealed", "convert": "converted", "quarantine": "set aside", "leave": "left"}


def planned(plan: Plan, most: int | None = MOST_LINES) -> Iterator[str]:
    """Yield what `--write` would do, and at the end the numbers."""
    if plan.writes_policy:
        yield f"write {POLICY_NAME}:"
        yield from (f"    {line}" for line in render_policy(plan.policy).splitlines())
    for audit in plan.edits:
        yield from diff(audit)
    yield from _steps(plan.steps, _WOULD, most)
    yield from _left(plan, most)
    yield ", ".join(["would rewrite " + _files(len(plan.edits)), *_numbers(plan.steps, _WOULD)])


def made(plan: Plan, done: Done, most: int | None = MOST_LINES) -> Iterator[str]:
    """Yield what was done, and at the end the numbers."""
    yield from _cut([(f"wrote {file}", "") for file in done.files], most)
    yield from _steps(done.steps, _DID, most)
    yield from _left(plan, most)
    if plan.is_empty:
        yield "nothing to change"
    else:
        yield ", ".join([f"wrote {_files(len(done.files))}", *_numbers(done.steps, _DID)])


def _steps(steps: Sequence[Step], words: dict[str, str], most: int | None) -> Iterator[str]:
    for action, word in words.items():
        yield from _cut(
            [
                (f"{word} {step.path}: {step.reason}", step.remedy)
                for step in steps
                if step.action == action
            ],
            most,
        )


def _left(plan: Plan, most: int | None) -> Iterator[str]:
    """Yield what is left to do by hand, and what to know."""
    by_hand = [
        (f"{audit.path}:{item.line}: {item.rule} {item.message}", item.remedy)
        for audit in plan.audits
        for item in audit.diagnostics
    ]
    yield from _cut(by_hand, most)
    found = [(f"{item.location}: {item.rule.id} {item.message}", "") for item in plan.findings]
    yield from _cut(found, most)
    yield from (f"note: {note}" for note in plan.notes)


def _cut(items: Sequence[tuple[str, str]], most: int | None) -> Iterator[str]:
    """Yield each line with its remedy below it; beyond `most`, only how many there are."""
    for line, remedy in items[:most]:
        yield line
        if remedy:
            yield f"    {remedy}"
    if most is not None and len(items) > most:
        yield f"    ... and {len(items) - most} more; --report DIR lists all in changes.txt"


def _numbers(steps: Sequence[Step], words: dict[str, str]) -> Iterator[str]:
    for action, word in words.items():
        count = sum(step.action == action for step in steps)
        if count:
            yield f"{word} {count}"


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"
