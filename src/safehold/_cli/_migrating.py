"""What `safehold migrate` does with data: one run with the sources, and the end of it."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from safehold._cli import CLEAN, FINDINGS, _shared
from safehold._cli._converting import Step, check_marks
from safehold._cli._data import convert, listable, pin, plan_data, planned, verify_converted
from safehold._cli._found import check_found
from safehold._cli._progress import progress
from safehold._cli._recorded import ending, migrating
from safehold.artifacts import Store
from safehold.artifacts.pins import Pin, merged, render
from safehold.context import Context
from safehold.errors import ConfigError
from safehold.events import Outcome
from safehold.paths import replace_file
from safehold.policy import Policy
from safehold.report.assessment import ORIGINAL_SUFFIX
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
    until: date | None = options.unsealed_until
    if until is not None:
        steps = list(map(listable, steps))
    if not options.write:
        return list(audits), tuple(planned(step, listed=until is not None) for step in steps)
    _check_policy(policy, options, root)
    with Context.load(policy) as hold:
        check_marks(steps, hold)
        return _written(root, hold, audits, steps, until)


def _written(
    root: Path,
    hold: Context,
    audits: Sequence[FileAudit],
    steps: Sequence[Step],
    until: date | None,
) -> _Result:
    """Change sources and data under one journal, which a rollback undoes as a whole.

    With `until` the files are listed, and before the sources: migrated calls find them so.
    """
    store = Store(hold)
    before = store.unsealed.pins()  # a list that is not authentic shows before the first change
    acts = any(step.action != "leave" for step in steps)
    if not acts and all(audit.after is None for audit in audits):
        return list(audits), tuple(
            DataFile(step.path, "left", step.reason, step.remedy) for step in steps
        )
    pins: list[Pin] = []
    data: list[DataFile] = []
    if any(audit.after is not None for audit in audits):
        hold.recorder.record(migrating(hold.policy, audits))
    with Journal.begin(root) as journal, progress() as tell:
        if until is not None:
            for step in steps:
                tell("data", step.path)
                told, found = pin(step, store, hold, until)
                data.append(told)
                pins += [] if found is None else [found]
            _write_list(journal, hold, before, merged(before, pins, ()))
        else:
            acting = {step.path for step in steps if step.action != "leave"}
            _write_list(journal, hold, before, _overtaken(before, acting, store, hold))
        done = [carry_out(journal, root, audit) for audit in audits]
        if until is None:
            for step in steps:
                tell("data", step.path)
                data.append(convert(step, journal, store, hold))
    return done, tuple(data)


def _overtaken(
    before: Sequence[Pin], paths: Collection[str], store: Store, hold: Context
) -> Sequence[Pin]:
    """Let originals count as what they are about to be sealed as, which has the next generation.

    Who has opened one when it is replaced reads it to its end.
    """
    return [
        replace(pin, generation=store.generation(hold.policy.root / pin.path) + 1)
        if pin.path in paths
        else pin
        for pin in before
    ]


def _write_list(
    journal: Journal, hold: Context, before: Sequence[Pin], pins: Sequence[Pin]
) -> None:
    """Put the list of unsealed files in place, where it is another than before."""
    path = hold.policy.root / hold.policy.unsealed
    if set(pins) == set(before):
        return
    if not pins:
        journal.remove(path)
    elif before or path.exists():
        journal.replace(path, render(pins, hold.keyring))
    else:
        journal.create(path, render(pins, hold.keyring))


def finalize(options: argparse.Namespace, root: Path, policy: Policy) -> int:
    """Remove the originals of finished runs, after a last look at what replaced them."""
    _check_output(options.format)
    _check_root(policy, root)
    _check_policy(policy, options, root)
    with Context.load(policy) as hold:
        store = Store(hold)
        before = store.unsealed.pins()
        hold.recorder.record(ending(policy, "finalize", "allowed"))
        report = finalize_runs(root, lambda name: verify_converted(name, hold, store))
        if not report.problems:
            _take_off_list(report.removed, before, hold)
        counts = {"removed": len(report.removed), "problems": len(report.problems)}
        outcome: Outcome = "failed" if report.problems else "done"
        hold.recorder.record(ending(policy, "finalize", outcome, runs=report.runs, **counts))
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


def _take_off_list(removed: Iterable[str], before: Sequence[Pin], hold: Context) -> None:
    """Take files whose originals are gone off the list of unsealed ones."""
    pins = merged(before, (), [name.removesuffix(ORIGINAL_SUFFIX) for name in removed])
    if set(pins) == set(before):
        return
    path = hold.policy.root / hold.policy.unsealed
    if not pins:
        path.unlink()
        return
    with hold.root.open_parent(path) as (directory, name, _):
        replace_file(directory, name, [render(pins, hold.keyring)])


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
