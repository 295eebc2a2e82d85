"""Reversible changes of a tree: what is about to happen is on disk before it happens.

A run is one directory `.safehold/journal/RUN` below the root. `entries` holds one JSON line for
each change, closed by a checksum and fsynced before the change begins; a last line that is cut
short announces a change that never began. Old files are kept as hard links: every change here
replaces a name and leaves the old inode, so content, mode, owner and mtime stay with the link.
Where links are impossible, a synced copy is kept.

A file that somebody writes in place (not through a new file and a rename) while it is linked
changes its backup too; nothing in safehold writes so.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from safehold.errors import ConfigError
from safehold.paths import replace_file
from safehold.source.copies import digest_of, link_or_copy, sync_directory, temporary_of
from safehold.source.records import ENTRIES, JournalEntry, half_final, home_of, runs

Step = Callable[[str], None]


class Journal:
    """Writes one run. Every path must lie below the root; links on the way are resolved."""

    def __init__(self, root: Path, directory: Path, step: Step) -> None:
        self.root = root
        self.directory = directory
        self._step = step
        self._numbers = itertools.count(1)
        self._unsettled: list[tuple[int, Path, str | None]] = []
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(directory / ENTRIES, flags, 0o600)
        # Released by the kernel when the process dies, however it dies.
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @classmethod
    def begin(cls, root: str | Path, *, step: Step = lambda _: None) -> Self:
        """Start a run. `step` is called before each system call that changes something.

        Raises:
            ConfigError: another run has not ended, or was killed and is not rolled back; the
                journal is a link.
        """
        real = Path(os.path.realpath(root))
        home = home_of(real)
        step("begin")
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home):
            _refuse_unfinished(real)
            with contextlib.suppress(FileExistsError), open(home / ".gitignore", "xb") as file:
                file.write(b"*\n")
            directory = home / _new_id(home)
            step("begin: directory")
            directory.mkdir(mode=0o700)
            journal = cls(real, directory, step)
            try:
                step("begin: entries")
                journal._append(JournalEntry("begin"))
                for path in (directory, home, home.parent, real):
                    sync_directory(path)
            except BaseException:
                journal.close()
                raise
        return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Commit after success; after an error leave the run open, to be rolled back."""
        if kind is None:
            self.commit()
        else:
            self.close()

    def replace(
        self, path: str | Path, data: bytes | Iterable[bytes], *, mode: int | None = None
    ) -> None:
        """Replace a file's content; its mode and owner stay unless `mode` is given.

        Raises:
            OSError: the file is missing or cannot be replaced; it is then as before.
        """
        real, name = self._locate(path)
        number, backup, status = self._back_up(real, name)
        known = hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else None
        self._announce(JournalEntry("replace", name, number, backup, after=known, **_kept(status)))
        self._write(real, data, number, stat.S_IMODE(status.st_mode) if mode is None else mode)

    def create(self, path: str | Path, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        """Create a file and the directories above it.

        Raises:
            FileExistsError: there is such a file.
        """
        real, name = self._locate(path)
        if os.path.lexists(real):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(real))
        self._make_parents(real)
        known = hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else None
        number = next(self._numbers)
        self._announce(JournalEntry("create", name, number, after=known))
        self._write(real, data, number, mode)

    def rename(self, path: str | Path, new_path: str | Path) -> None:
        """Give a file or directory another name below the root.

        Raises:
            FileExistsError: the new name is taken.
        """
        real, name = self._locate(path)
        target, to = self._locate(new_path)
        status = os.lstat(real)
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        self._make_parents(target)
        self._announce(JournalEntry("rename", name, next(self._numbers), to=to, **_kept(status)))
        self._step("rename")
        os.rename(real, target)
        self._step("rename: sync")
        sync_directory(target.parent)
        sync_directory(real.parent)

    def remove(self, path: str | Path) -> None:
        """Remove a file.

        Raises:
            OSError: it is missing, or its directory cannot be written.
        """
        real, name = self._locate(path)
        number, backup, status = self._back_up(real, name)
        self._announce(JournalEntry("remove", name, number, backup, **_kept(status)))
        self._step("remove")
        os.unlink(real)
        sync_directory(real.parent)

    def will_create(self, path: str | Path) -> None:
        """Announce a file or directory that other code is about to create; no-op if it exists."""
        real, name = self._locate(path)
        if os.path.lexists(real):
            return
        missing = [name]
        for parent in real.parents:
            if parent.exists():
                break
            missing.append(str(parent.relative_to(self.root)))
        for item in reversed(missing):
            number = next(self._numbers)
            self._announce(JournalEntry("create", item, number))
            if item == name:
                self._unsettled.append((number, real, None))

    def adopt(self, path: str | Path) -> None:
        """Keep a file that other code is about to replace by a new file and a rename."""
        real, name = self._locate(path)
        number, backup, status = self._back_up(real, name)
        self._announce(JournalEntry("adopt", name, number, backup, **_kept(status)))
        self._unsettled.append((number, real, backup))

    def keep(self, path: str | Path, beside: str | Path) -> None:
        """Give a file that is about to be replaced a second name, under which it stays.

        Raises:
            FileExistsError: that name is taken. OSError: the file is missing.
        """
        real, name = self._locate(path)
        target, to = self._locate(beside)
        digest = digest_of(real)
        if digest is None:
            raise OSError(errno.EINVAL, "not a regular file that can be read", str(real))
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        number = next(self._numbers)
        self._announce(JournalEntry("keep", name, number, to=to, after=digest))
        self._step(f"keep {name}")
        temporary = temporary_of(target)
        try:
            link_or_copy(real, temporary)
            os.rename(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(target.parent)

    def put_back(self, path: str | Path, beside: str | Path) -> None:
        """Undo what was done to a file since `keep`. Raises OSError."""
        real, _ = self._locate(path)
        target, _ = self._locate(beside)
        self._step("put back")
        if os.path.lexists(real) and os.path.samestat(os.lstat(real), os.lstat(target)):
            os.unlink(target)  # a rename between two names of one file does nothing
        else:
            os.replace(target, real)
        sync_directory(real.parent)

    def commit(self) -> None:
        """End the run; it can still be rolled back, also when its end could not be noted.

        Raises:
            OSError: the end could not be noted: the run counts as cut off.
        """
        try:
            self._settle()
            self._announce(JournalEntry("commit"))
        finally:
            self.close()  # with it the lock, without which nobody in this process could roll back

    def close(self) -> None:
        """Close the file of entries without ending the run."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # -- steps

    def _locate(self, path: str | Path) -> tuple[Path, str]:
        real = Path(os.path.realpath(path))
        try:
            name = str(real.relative_to(self.root))
        except ValueError:
            raise ConfigError(f"{path} leads out of {self.root}; not changed") from None
        if name == "." or name.startswith(".safehold/journal"):
            raise ConfigError(f"{path} is the journal's own place")
        return real, name

    def _back_up(self, real: Path, name: str) -> tuple[int, str, os.stat_result]:
        status = os.lstat(real)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(real))
        number = next(self._numbers)
        backup = f"{number:06d}"
        kept = self.directory / backup
        self._step(f"back up {name}")
        link_or_copy(real, kept)
        sync_directory(self.directory)
        return number, backup, status

    def _make_parents(self, real: Path) -> None:
        missing = list(itertools.takewhile(lambda parent: not parent.exists(), real.parents))
        for parent in reversed(missing):
            name = str(parent.relative_to(self.root))
            self._announce(JournalEntry("directory", name, next(self._numbers)))
            self._step("make directory")
            parent.mkdir()
            sync_directory(parent.parent)

    def _write(self, real: Path, data: bytes | Iterable[bytes], number: int, mode: int) -> None:
        digest = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            for chunk in (data,) if isinstance(data, bytes) else data:
                self._step("write")
                digest.update(chunk)
                yield chunk

        def before_rename() -> None:
            if not isinstance(data, bytes):
                after = digest.hexdigest()
                self._append(JournalEntry("after", "", number, after=after))
            self._step("rename")

        parent = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            replace_file(parent, real.name, chunks(), mode=mode, before_rename=before_rename)
        finally:
            os.close(parent)
        self._step("renamed")

    def _announce(self, entry: JournalEntry) -> None:
        self._settle()
        self._append(entry)

    def _settle(self) -> None:
        """Note what other code has put in place since it was announced."""
        waiting = []
        for number, real, backup in self._unsettled:
            after = digest_of(real)
            old = None if backup is None else digest_of(self.directory / backup)
            if after is not None and after != old:
                self._append(JournalEntry("after", "", number, after=after), sync=False)
            else:
                waiting.append((number, real, backup))
        self._unsettled = waiting

    def _append(self, entry: JournalEntry, *, sync: bool = True) -> None:
        self._step(f"entry {entry.operation}")
        line = entry.line()
        end = os.fstat(self._fd).st_size
        try:
            if os.write(self._fd, line) != len(line):
                raise OSError(errno.ENOSPC, "the journal's disk is full")
        except OSError:
            os.ftruncate(self._fd, end)  # a torn line would hide the ones that follow
            raise
        if sync:
            self._step(f"entry {entry.operation}: sync")
            os.fsync(self._fd)


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Let one process at a time start a run."""
    fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _refuse_unfinished(root: Path) -> None:
    for run in runs(root):
        if run.is_active:
            raise ConfigError(f"another run on {root} is still working (run {run.id})")
        if run.is_final:
            raise ConfigError(half_final(root, run))
        if not run.is_finished:
            raise ConfigError(
                f"an earlier run on {root} was cut off (run {run.id}); "
                f"undo it first: safehold migrate {root} --rollback"
            )


def _new_id(home: Path) -> str:
    """Return a name that sorts after those of all earlier runs."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    last = max((name[:16] for name in os.listdir(home) if name[:1].isdigit()), default="")
    stamp = max(stamp, last)
    for number in itertools.count():
        name = f"{stamp}-{number:03d}"
        if not any(other.startswith(name) for other in os.listdir(home)):
            return name
    raise AssertionError


def _kept(status: os.stat_result) -> dict[str, Any]:
    return {"mode": stat.S_IMODE(status.st_mode), "mtime_ns": status.st_mtime_ns}
