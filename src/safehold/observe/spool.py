"""Spool: alerts that wait for a channel, one file each, so that a kill loses none.

A file is named by what the alert says, so the same one waits once, in however many processes. Files
are whole or not there. The thread that sends brings them to disk as soon as it is told of them: no
decision waits for a disk, and what a power cut takes in between the trail has.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from safehold.observe.channels import Alert
from safehold.replacing import replace_file

_ASIDE: Final = ".refused"
_MOST: Final = 10_000
"""Most alerts that wait; labels are from a closed vocabulary, so there are fewer in practice."""


def fingerprint(alert: Alert) -> str:
    """Return what the same alert has again: a digest of its labels."""
    text = json.dumps(sorted(alert.labels.items()), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Spool:
    """What waits for one channel, in a directory that the processes of a service share."""

    def __init__(self, directory: Path) -> None:
        """Nothing is made before the first alert."""
        self.directory = directory
        self._synced: set[str] = set()

    def add(self, alert: Alert, repeat: float) -> bool:
        """Keep an alert; False if it waits already or was told less than `repeat` seconds ago.

        Raises:
            OSError: there is no room for it.
        """
        name = fingerprint(alert)
        file = self.directory / f"{name}.json"
        if file.exists() or self._told_since(name, time.time() - repeat):
            return False
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(self.waiting()) >= _MOST:
            raise OSError(28, "too many alerts wait")
        data = json.dumps([dict(alert.labels), dict(alert.annotations), alert.starts])
        folder = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            replace_file(folder, file.name, [data.encode()], mode=0o600, flush=False)
        finally:
            os.close(folder)
        return True

    def waiting(self) -> list[Path]:
        """Return the files of what waits, the oldest first."""
        try:
            files = [path for path in self.directory.iterdir() if path.suffix == ".json"]
        except FileNotFoundError:
            return []
        return sorted(files, key=_age)

    def read(self, file: Path) -> Alert | None:
        """Return an alert that waits; None, and it is removed, if nobody wrote it as we do."""
        try:
            labels, annotations, starts = json.loads(file.read_bytes())
            alert = Alert(_texts(labels), _texts(annotations), float(starts))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError, RecursionError):
            file.unlink(missing_ok=True)
            return None
        return alert

    def told(self, file: Path) -> None:
        """Take an alert away that was sent, and remember when."""
        mark = self._mark(file.stem)
        mark.touch(0o600)
        os.utime(mark)
        file.unlink(missing_ok=True)

    def set_aside(self, file: Path) -> Path:
        """Keep an alert that a channel will not take where it keeps no other waiting."""
        aside = file.with_suffix(_ASIDE)
        self._mark(file.stem).touch(0o600)
        os.utime(self._mark(file.stem))
        file.replace(aside)
        return aside

    def sync(self) -> None:
        """Bring to disk what waits and was not brought there before. Raises OSError."""
        files = {path.name: path for path in self.waiting()}
        new = files.keys() - self._synced
        for name in new:
            with contextlib.suppress(FileNotFoundError):  # another process has sent it
                _sync(files[name], os.O_RDONLY)
        if new:
            _sync(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        self._synced = set(files)

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Be the one process that sends, if no other is."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)

    def _told_since(self, name: str, time_then: float) -> bool:
        try:
            at = self._mark(name).stat().st_mtime
        except FileNotFoundError:
            return False
        return time_then < at <= time.time() + 60  # a clock that went back does not silence

    def _mark(self, name: str) -> Path:
        return self.directory / f".told-{name}"


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(
        isinstance(key, str) and isinstance(item, str) for key, item in value.items()
    ):
        raise TypeError
    return value
