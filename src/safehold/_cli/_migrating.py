"""What `safehold migrate` does with data: one run with the sources, and the end of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from safehold._cli import CLEAN, FINDINGS, _shared
from safehold._cli._converting import Step, check_marks
from safehold._cli._data import convert, plan_data, planned, verify_converted
from safehold._cli._found import check_found
from safehold._cli._progress import progress
from safehold.artifacts import Store
from safehold.context import Context
from safehold.errors import ConfigError
from safehold.policy import Policy
from safehold.report.migration import DataFile
from safehold.source import FileAudit, Journal, carry_out
from safehold.source import finalize as finalize_runs

_Result = tuple[list[FileAudit], tuple[DataFile, ...]]


def with_data(
    options: argparse.Namespace, root: Path, policy: Policy, audits: Sequence[FileAudit]
) -> _Result:
    """Plan what becomes of data; with ``--write`` do it, in one run with the sources.

    Raises:
        ConfigError: the policy is not the tree's own, or not written yet; a place outside.
    """
    _check_output(options.format)
    _check_root(policy, root)
    places = [Path(place) for place in options.data]
    with progress() as tell:
        steps = plan_data(policy, places, audits, exclude=options.exclude, tell=tell)
    if not options.write:
        return list(audits), tuple(map(planned, steps))
    _check_policy(policy, options, root)
    with Context.load(policy) as hold:
        check_marks(steps, hold)
        return _written(root, hold, audits, steps)


def _written(
    root: Path, hold: Context, audits: Sequence[FileAudit], steps: Sequence[Step]
) -> _Result:
    """Change sources and data under one journal, which a rollback undoes as a whole."""
    acts = any(step.action != "leave" for step in steps)
    if not acts and all(audit.after is None for audit in audits):
        return list(audits), tuple(map(planned, steps))
    store = Store(hold)
    with Journal.begin(root) as journal, progress() as tell:
        done = [carry_out(journal, root, audit) for audit in audits]
        data = []
        for step in steps:
            tell("data", step.path)
            data.append(convert(step, journal, store, hold))
    return done, tuple(data)


def finalize(options: argparse.Namespace, root: Path, policy: Policy) -> int:
    """Remove the originals of finished runs, after a last look at what replaced them."""
    _check_output(options.format)
    _check_root(policy, root)
    _check_policy(policy, options, root)
    with Context.load(policy) as hold:
        store = Store(hold)
        report = finalize_runs(root, lambda name: verify_converted(name, hold, store))
    if options.format == "json":
        names = ("runs", "removed", "problems")
        _shared.print_json({"schema": 1, **{name: getattr(report, name) for name in names}})
        return FINDINGS if report.problems else CLEAN
    for name in report.removed:
        print(_shared.printable(f"removed: {name}"))
    for problem in report.problems:
        print(_shared.printable(f"not removed: {problem}"))
    if report.problems:
        print("nothing was removed")
        return FINDINGS
    for run_id in report.runs:
        print(f"run {run_id} is final and cannot be rolled back any more")
    if not report.runs:
        print("nothing to finalize")
    return CLEAN


def _check_output(output: str) -> None:
    if output not in ("text", "json"):
        message = f"--data and --finalize tell what they did as text or json, not as {output}"
        raise ConfigError(message)


def _check_root(policy: Policy, root: Path) -> None:
    if policy.root != root.resolve():
        message = f"the policy's root is {policy.root}, not {root.resolve()}; name that as PATH"
        raise ConfigError(message)


def _check_policy(policy: Policy, options: argparse.Namespace, root: Path) -> None:
    """Raise ConfigError without a policy file, or for one in the tree that asks for too much."""
    if policy.path is None:
        message = (
            f"no policy: give --policy FILE, or write one with: safehold harden {root} --write"
        )
        raise ConfigError(message)
    if not _shared.has_policy(options):
        check_found(policy)
