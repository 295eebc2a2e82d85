"""``safehold harden``: the main job, on a service's checkout."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold._cli._hardening import Done, Plan
    from safehold.policy import Policy
    from safehold.report.assessment import Assessment

HELP = """Harden a service's checkout: scan it and report, point unsafe calls at the facades, seal
the artifacts that the scanner finds clean (others are set aside by name), write safehold.toml,
scan again and report. Without --write nothing changes and the diff is shown. Everything that was
changed is undone by: safehold migrate PATH --rollback."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("path", metavar="PATH", help="the checkout")
    parser.add_argument("--write", action="store_true", help="make the changes")
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="write before and after reports (text, HTML) and all changes to DIR",
    )
    parser.add_argument(
        "--policy", metavar="FILE", help="follow this policy (default: PATH/safehold.toml)"
    )
    parser.add_argument(
        "--exclude",
        metavar="GLOB",
        action="append",
        default=[],
        help="leave out matching names or paths below PATH; may be repeated",
    )
    parser.add_argument(
        "--allow",
        metavar="NAME",
        action="append",
        default=[],
        help="a class or function of yours, as package.module.Name, that artifacts may name; "
        "may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 while findings or work are left."""
    from safehold._cli._hardening import apply_plan, make_plan
    from safehold._cli._progress import progress
    from safehold.context import Context
    from safehold.report.assessment import assess

    policy = _policy(options)
    exclude = [*options.exclude, *_inside(options.report, policy.root)]
    with progress() as tell:
        before = assess(policy, exclude=exclude, progress=tell)
        plan = make_plan(before, policy, allow=options.allow, exclude=exclude, progress=tell)
    _report(options, before, "before")
    if not options.write:
        _show_plan(options, plan)
        return 1 if before.findings or plan.steps or plan.edits else 0
    # Keys first: a missing or weak key must leave the tree as it is.
    with Context.load(plan.policy) as hold, progress() as tell:
        done = apply_plan(plan, hold, tell)
        after = assess(plan.policy, hold=hold, own=plan.own, exclude=exclude, progress=tell)
    _show_done(options, plan, done, before, after)
    _report(options, after, "after")
    settled = all(audit.is_settled for audit in plan.audits)
    return 0 if settled and not after.findings and not done.problems else 1


def _policy(options: argparse.Namespace) -> Policy:
    from safehold._cli._found import check_found
    from safehold._cli._hardening import POLICY_NAME
    from safehold._cli._libraries import with_libraries
    from safehold.errors import ConfigError
    from safehold.policy import Policy, default_policy

    root = Path(options.path)
    if not root.is_dir():
        message = f"{root} is not a directory; name the checkout to harden"
        raise ConfigError(message)
    if root.resolve().parent == root.resolve():
        message = f"{root} is the whole file system; name the checkout to harden"
        raise ConfigError(message)
    if options.policy:
        policy = Policy.load(options.policy)
    elif (root / POLICY_NAME).exists():
        policy = Policy.load(root / POLICY_NAME)
        if options.write:
            check_found(policy)
    else:
        return with_libraries(default_policy(root))
    if policy.root != root.resolve():
        message = f"the policy's root is {policy.root}, not {root.resolve()}; set root in it"
        raise ConfigError(message)
    if options.allow:
        message = f"{policy.path} is followed and not rewritten; add to its allow lists by hand"
        raise ConfigError(message)
    return policy


def _inside(report: str | None, root: Path) -> list[str]:
    """Leave reports out of the next look when they are written below the tree."""
    if report is None:
        return []
    relative = os.path.relpath(os.path.realpath(report), root)
    return [] if relative.startswith("..") else [relative]


def _report(options: argparse.Namespace, assessment: Assessment, name: str) -> None:
    from safehold._cli import _shared
    from safehold.report.html import render_html
    from safehold.report.text import render_text, summary_lines

    title = f"Risk report {name} hardening"
    print(f"-- {name}")
    for line in summary_lines(assessment):
        print(_shared.printable(line))
    if options.report is None:
        if assessment.findings:
            print("each finding with its remedy: --report DIR")
        return
    directory = Path(options.report)
    directory.mkdir(parents=True, exist_ok=True)
    for suffix, text in (
        ("txt", render_text(assessment, title)),
        ("html", render_html(assessment, title)),
    ):
        file = directory / f"{name}.{suffix}"
        file.write_bytes(text.encode("utf-8", "backslashreplace"))
        print(_shared.printable(f"report: {file}"))


def _show_plan(options: argparse.Namespace, plan: Plan) -> None:
    from safehold._cli import _changes

    print("-- what --write would do")
    for line in _changes.planned(plan):
        print(_shown(line))
    _keep(options, _changes.planned(plan, None))
    print("nothing was changed; --write makes these changes")


def _show_done(
    options: argparse.Namespace, plan: Plan, done: Done, before: Assessment, after: Assessment
) -> None:
    from safehold._cli import _changes, _shared
    from safehold._cli._hardening import POLICY_NAME

    print("-- done")
    for line in _changes.made(plan, done):
        print(_shown(line))
    for problem in done.problems:
        print(_shared.printable(f"not done: {problem}"), file=sys.stderr)
    _keep(options, [*_changes.made(plan, done, None), *(f"not done: {x}" for x in done.problems)])
    root = plan.policy.root
    if not plan.is_empty:
        command = shlex.join(["safehold", "migrate", str(root), "--rollback"])
        print(_shared.printable(f"undo with: {command}"))
    policy = shlex.quote(str(plan.policy.path or root / POLICY_NAME))
    print(_shared.printable(f"run the service with its key and: export SAFEHOLD_POLICY={policy}"))
    changes = zip(before.counts.items(), after.counts.values(), strict=True)
    print("findings: " + ", ".join(f"{name} {old} -> {new}" for (name, old), new in changes))


def _keep(options: argparse.Namespace, lines: Iterable[str]) -> None:
    """Write every change to the report's directory, where nothing is cut short."""
    from safehold._cli import _shared

    if options.report is not None:
        file = Path(options.report) / "changes.txt"
        text = "".join(f"{_shown(line)}\n" for line in lines)
        file.write_text(text, encoding="utf-8")
        print(_shared.printable(f"report: {file}"))


def _shown(line: str) -> str:
    """Make a line harmless; tabs of a diff stay, so that it can be applied."""
    from safehold._cli import _shared

    return "\t".join(_shared.printable(part) for part in line.split("\t"))
