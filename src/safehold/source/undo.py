"""Undoes a run of the journal, the last change first.

Each step looks at what is there before it acts, so that a rollback that was killed is simply
run again. What somebody changed after the run is kept beside as `NAME.before-rollback`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from safehold.errors import ConfigError
from safehold.paths import temporary_stem
from safehold.source.copies import copy_file, digest_of, sync_directory, temporary_of
from safehold.source.journal import Step
from safehold.source.records import GONE, RUN_ID, JournalEntry, Run, half_final, home_of, runs

# Seconds after a run's last entry during which a file without a known digest counts as the
# run's own: other code may still have been writing when an unfinished run was killed.
_SLACK_FINISHED = 2.0
_SLACK_KILLED = 600.0
# As `paths.replace_file` names its temporary files.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.sfh-tmp", re.DOTALL)


@dataclass(slots=True)
class RollbackReport:
    """What a rollback did: runs undone, names put back, foreign files kept, what went wrong."""

    runs: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def rollback(
    root: str | Path, run: str | None = None, *, step: Step = lambda _: None
) -> RollbackReport:
    """Undo the newest run, or with `run` that one and all newer ones, or with "all" every one.

    A run with a problem is left in the journal, so that it can be rolled back again.

    Raises:
        ConfigError: no such run, a run that is still working, or a journal that is not one of
            this program's.
    """
    top = Path(os.path.realpath(root))
    report = RollbackReport()
    clear(top)
    found = runs(top)
    if run not in (None, "all") and run not in [item.id for item in found]:
        known = ", ".join(item.id for item in found) or "none"
        raise ConfigError(f"no run {run!r} to roll back below {top}; runs: {known}")
    for item in reversed(found):
        if item.is_active:
            raise ConfigError(f"run {item.id} on {top} is still working; stop it first")
        if item.is_final:
            raise ConfigError(half_final(top, item))
        undo = _Undo(top, item, report, step)
        undo.run_back()
        if report.problems:
            break
        discard(item, step)
        report.runs.append(item.id)
        if run in (None, item.id):
            break
    clear(top)
    return report


class _Undo:
    """Undoes one run."""

    def __init__(self, root: Path, run: Run, report: RollbackReport, step: Step) -> None:
        self._root = root
        self._run = run
        self._report = report
        self._step = step
        self._after = {item.number: item.after for item in run.entries if item.operation == "after"}

    def run_back(self) -> None:
        for entry in reversed(self._run.changes):
            path = self._root / entry.path
            try:
                self._check_place(path)
                self._check_place(self._root / (entry.to or entry.path))
                self._remove_temporaries(path)
                if entry.operation == "rename":
                    self._undo_rename(entry, path)
                elif entry.operation == "create":
                    self._undo_create(entry, path)
                elif entry.operation == "directory":
                    self._undo_directory(entry, path)
                elif entry.operation == "keep":
                    self._undo_keep(entry)
                else:
                    self._undo_replace(entry, path)
            except OSError as error:
                self._report.problems.append(f"{entry.path}: {error.strerror or error}")

    def _check_place(self, path: Path) -> None:
        """Refuse a directory that is a link by now, or was one when a journal was planted."""
        if os.path.realpath(path.parent) != str(path.parent):
            raise OSError(errno.EXDEV, "a link on the way there", str(path))

    def _undo_replace(self, entry: JournalEntry, path: Path) -> None:
        if entry.backup is None:
            return
        kept = self._run.path / entry.backup
        if not os.path.lexists(kept):
            return  # already back in its place
        if not stat.S_ISREG(os.lstat(kept).st_mode):
            raise OSError(errno.EINVAL, "its backup is not a regular file", str(kept))
        if os.path.lexists(path):
            if self._is_same(kept, path):
                return  # the change was never made; the run's directory goes as a whole
            if self._is_foreign(entry, path):
                self._keep(entry, path)
        self._step(f"restore {entry.path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(kept, path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy_back(kept, path)
        sync_directory(path.parent)
        self._report.restored.append(entry.path)

    def _copy_back(self, kept: Path, path: Path) -> None:
        """Restore over a device boundary; the temporary name is one that is cleaned up."""
        temporary = temporary_of(path)
        copy_file(kept, temporary)
        self._step("restore: copied")
        os.rename(temporary, path)
        os.unlink(kept)

    def _undo_rename(self, entry: JournalEntry, path: Path) -> None:
        target = self._root / (entry.to or "")
        if not os.path.lexists(target):
            if not os.path.lexists(path):
                self._report.problems.append(f"{entry.to}: is gone, so {entry.path} stays away")
            return
        if os.path.lexists(path):
            self._keep(entry, path)
        self._step(f"rename back {entry.path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        os.rename(target, path)
        sync_directory(path.parent)
        with contextlib.suppress(FileNotFoundError):
            sync_directory(target.parent)
        self._report.restored.append(entry.path)

    def _undo_create(self, entry: JournalEntry, path: Path) -> None:
        if not os.path.lexists(path):
            return
        if any(name.startswith(entry.path + "/") for name in self._report.kept):
            self._report.kept.append(entry.path)
            return
        if self._is_foreign(entry, path):
            self._keep(entry, path)
            return
        self._step(f"remove {entry.path}")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            os.unlink(path)
        sync_directory(path.parent)
        self._report.restored.append(entry.path)

    def _undo_directory(self, entry: JournalEntry, path: Path) -> None:
        """Remove a directory that the journal made itself, unless others use it by now."""
        self._step(f"remove {entry.path}")
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError:
            self._report.kept.append(entry.path)
            return
        sync_directory(path.parent)

    def _undo_keep(self, entry: JournalEntry) -> None:
        """Remove the second name of an original, which by now has its own name again."""
        beside = self._root / (entry.to or "")
        self._remove_temporaries(beside)
        if not os.path.lexists(beside):
            return
        self._step(f"remove {entry.to}")
        if digest_of(beside) != entry.after:
            self._report.kept.append(str(entry.to))  # somebody has changed it
            return
        os.unlink(beside)
        sync_directory(beside.parent)

    def _is_same(self, kept: Path, path: Path) -> bool:
        if os.path.samestat(os.lstat(kept), os.lstat(path)):
            return True
        # A kept copy instead of a link: same bytes, mode and mtime mean that nothing was done.
        old, new = os.lstat(kept), os.lstat(path)
        return (old.st_mode, old.st_mtime_ns, old.st_size) == (
            new.st_mode,
            new.st_mtime_ns,
            new.st_size,
        ) and digest_of(kept) == digest_of(path)

    def _is_foreign(self, entry: JournalEntry, path: Path) -> bool:
        """Say whether somebody else wrote what is there now."""
        known = entry.after or self._after.get(entry.number)
        if known is not None:
            return digest_of(path) != known
        if entry.operation == "remove":
            return True  # nothing of ours is there
        slack = _SLACK_FINISHED if self._run.is_finished else _SLACK_KILLED
        return any(time > self._run.ended + slack for time in _times(path))

    def _keep(self, entry: JournalEntry, path: Path) -> None:
        beside = path.with_name(path.name + ".before-rollback")
        number = 1
        while os.path.lexists(beside):
            number += 1
            beside = path.with_name(f"{path.name}.before-rollback-{number}")
        self._step(f"keep {entry.path}")
        os.rename(path, beside)
        sync_directory(path.parent)
        self._report.kept.append(str(beside.relative_to(self._root)))

    def _remove_temporaries(self, path: Path) -> None:
        """Remove what a killed `paths.replace_file` left of this file."""
        try:
            names = os.listdir(path.parent)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            match = _TEMPORARY.fullmatch(name)
            if match is not None and match[1] == temporary_stem(path.name):
                self._step("remove temporary")
                os.unlink(path.parent / name)


def _times(path: Path) -> Iterator[float]:
    """Yield the modification times of the files at and below a path."""
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        yield status.st_mtime
        return
    for directory, _, files in os.walk(path):
        for name in files:
            yield os.lstat(os.path.join(directory, name)).st_mtime


def discard(run: Run, step: Step) -> None:
    """Remove a run's directory; under another name first, so that it counts as gone."""
    gone = run.path.with_name(run.id + GONE)
    step("discard: rename")
    os.rename(run.path, gone)
    sync_directory(gone.parent)
    step("discard: remove")
    shutil.rmtree(gone)


def clear(root: Path) -> None:
    """Remove half-removed runs, and the journal's own directories once they are empty."""
    home = home_of(root)
    if not home.is_dir():
        return
    for name in os.listdir(home):
        if name.endswith(GONE) and RUN_ID.fullmatch(name.removesuffix(GONE)):
            shutil.rmtree(home / name)
    if set(os.listdir(home)) <= {".gitignore"}:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(home / ".gitignore")
        with contextlib.suppress(OSError):  # somebody else's files are in there
            os.rmdir(home)
            os.rmdir(home.parent)
