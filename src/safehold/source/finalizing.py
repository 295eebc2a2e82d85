"""Ends what a rollback could undo: originals that were kept beside what took their place go.

First everything is looked at, and one problem leaves all as it is. Then a run is marked as final,
which is the point of no return, its originals are removed, and its directory. What is cut off
after the mark is simply run again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safehold.errors import ConfigError, SafeholdError
from safehold.source.copies import digest_of, sync_directory
from safehold.source.journal import Step
from safehold.source.records import ENTRIES, JournalEntry, Run, runs
from safehold.source.undo import clear, discard


@dataclass(slots=True)
class FinalReport:
    """What was made final: runs, originals that were removed, what stands in the way."""

    runs: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def finalize(
    root: str | Path, verify: Callable[[str], None], *, step: Step = lambda _: None
) -> FinalReport:
    """Remove the originals of the newest run that kept some, and of all runs before it.

    `verify` is called with the name of each file that has an original beside it, and raises where
    it is not what the original was converted to.

    Raises:
        ConfigError: a run is still working, or was cut off.
    """
    top = Path(os.path.realpath(root))
    clear(top)
    report = FinalReport()
    found = _concerned(runs(top), top)
    report.problems += [
        problem for run in found for entry in run.kept for problem in _problems(top, entry, verify)
    ]
    if report.problems:
        return report
    for run in found:
        _end(top, run, report, step)
    clear(top)
    return report


def _concerned(found: Sequence[Run], root: Path) -> list[Run]:
    """Return the runs up to the newest with originals. Raises ConfigError."""
    for run in found:
        if run.is_active:
            raise ConfigError(f"run {run.id} on {root} is still working")
        if not run.is_finished:
            raise ConfigError(
                f"run {run.id} on {root} was cut off; undo it first: "
                f"safehold migrate {root} --rollback"
            )
    last = max((index for index, run in enumerate(found) if run.kept), default=-1)
    return list(found[: last + 1])


def _problems(root: Path, entry: JournalEntry, verify: Callable[[str], None]) -> Iterator[str]:
    """Yield why an original has to stay; one that is gone already is none."""
    beside = root / (entry.to or "")
    if not os.path.lexists(beside):
        return
    if os.path.realpath(beside.parent) != str(beside.parent):
        yield f"{entry.to}: a link on the way there"
    elif digest_of(beside) != entry.after:
        yield f"{entry.to}: is not the original any more; look at it, and move or remove it"
    else:
        try:
            verify(entry.path)
        except (SafeholdError, OSError) as error:
            yield f"{entry.path}: {type(error).__name__}: {error}"


def _end(root: Path, run: Run, report: FinalReport, step: Step) -> None:
    if not run.is_final:
        _mark(run, step)
    for entry in run.kept:
        beside = root / (entry.to or "")
        step(f"remove {entry.to}")
        try:
            os.unlink(beside)
        except FileNotFoundError:
            continue
        sync_directory(beside.parent)
        report.removed.append(str(entry.to))
    discard(run, step)
    report.runs.append(run.id)


def _mark(run: Run, step: Step) -> None:
    """Note in the journal that this run is not to be rolled back any more. Raises OSError."""
    fd = os.open(run.path / ENTRIES, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        end = os.fstat(fd).st_size
        line = JournalEntry("final").line()
        step("entry final")
        if os.write(fd, line) != len(line):
            os.ftruncate(fd, end)
            raise OSError(errno.ENOSPC, "the journal's disk is full")
        step("entry final: sync")
        os.fsync(fd)
    finally:
        os.close(fd)
