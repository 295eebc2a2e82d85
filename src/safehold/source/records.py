"""Runs of the journal as they lie on disk: one directory each, one file of entries.

An entry is a line of JSON, a space and a checksum. A line that does not match its checksum,
and all that follows it, is ignored: an entry is complete before its change begins.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from safehold.errors import ConfigError

DIRECTORY = ".safehold/journal"
ENTRIES = "entries"
GONE = ".gone"
"""End of the name of a run that is rolled back and half removed."""
_SUM = 16  # hex digits; against torn writes, not against forgery

RUN_ID = re.compile(r"\d{8}T\d{6}Z-\d{3,}")

Operation = Literal[
    "begin", "replace", "adopt", "create", "directory", "rename", "remove", "keep", "after",
    "commit", "final",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One announced change.

    ``backup``: name of the kept old file in the run's directory. ``to``: new name of a rename, or
    the name beside it under which an original is kept. ``after``: SHA-256 of the new content, once
    it is known; of a ``keep`` entry, of the original. ``number``: of an ``after`` entry, the number
    of the change that it belongs to.
    """

    operation: Operation
    path: str = ""
    number: int = 0
    backup: str | None = None
    to: str | None = None
    after: str | None = None
    mode: int | None = None
    mtime_ns: int | None = None

    def line(self) -> bytes:
        """Return the entry as it stands in the file."""
        body = json.dumps(
            {key: value for key in self.__slots__ if (value := getattr(self, key)) is not None},
            separators=(",", ":"),
        ).encode()
        return body + b" " + _checksum(body) + b"\n"


@dataclass(frozen=True, slots=True)
class Run:
    """A run whose changes can be rolled back."""

    id: str
    path: Path
    entries: tuple[JournalEntry, ...]
    is_finished: bool
    is_active: bool
    ended: float

    @property
    def changes(self) -> tuple[JournalEntry, ...]:
        """The entries that announce a change of the tree."""
        return tuple(item for item in self.entries if item.operation in _CHANGES)

    @property
    def kept(self) -> tuple[JournalEntry, ...]:
        """The entries of originals that lie beside what took their place."""
        return tuple(item for item in self.entries if item.operation == "keep")

    @property
    def is_final(self) -> bool:
        """Say whether its originals are being removed, so that it cannot be rolled back."""
        return any(item.operation == "final" for item in self.entries)


_BACKUP = re.compile(r"[0-9]{6,}")
_OPERATIONS = frozenset(get_args(Operation))
_CHANGES = ("replace", "adopt", "create", "directory", "rename", "remove", "keep")


def home_of(root: str | Path) -> Path:
    """Return the directory of the runs below a root.

    Raises:
        ConfigError: it is a link, or below one, and what it leads to is not the journal's.
    """
    home = Path(os.path.realpath(root)) / DIRECTORY
    if os.path.realpath(home) != str(home):
        message = f"{home} leads to {os.path.realpath(home)}; remove the link"
        raise ConfigError(message)
    return home


def runs(root: str | Path) -> list[Run]:
    """Return the runs below a root that can be rolled back, the oldest first.

    Raises:
        ConfigError: the journal is not one that this program wrote.
    """
    home = home_of(root)
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(os.listdir(home)):
            path = home / name
            if RUN_ID.fullmatch(name) and path.is_dir() and not path.is_symlink():
                found.append(_load_run(path))
    return found


def half_final(root: Path, run: Run) -> str:
    """Say what to do about a run whose originals were being removed when it was cut off."""
    return (
        f"run {run.id} on {root} was being made final and cannot be rolled back any more; go on "
        f"with: safehold migrate {root} --finalize"
    )


def _load_run(path: Path) -> Run:
    entries: list[JournalEntry] = []
    try:
        data = (path / ENTRIES).read_bytes()
    except FileNotFoundError:
        return Run(path.name, path, (), is_finished=False, is_active=False, ended=0.0)
    for line in data.split(b"\n"):
        body, _, checksum = line.rpartition(b" ")
        if not body or checksum != _checksum(body):
            break  # cut short: the change was never begun
        entries.append(_parse_entry(path, body))
    finished = any(entry.operation == "commit" for entry in entries)
    ended = os.stat(path / ENTRIES).st_mtime
    return Run(path.name, path, tuple(entries), finished, _is_locked(path / ENTRIES), ended)


def _parse_entry(path: Path, body: bytes) -> JournalEntry:
    """Read one entry. Raises ConfigError for what no run of this program writes.

    A checkout may bring a journal along that was made to write or delete elsewhere.
    """
    try:
        entry = JournalEntry(**json.loads(body))
        names = [entry.path, entry.to or ""]
        fine = (
            entry.operation in _OPERATIONS
            and not any(_leads_away(name) for name in names)
            and (entry.path != "" or entry.operation not in _CHANGES)
            and (entry.to is not None) == (entry.operation in ("rename", "keep"))
            and (entry.operation != "keep" or names[1].startswith(f"{entry.path}."))
            and (entry.backup is None or _BACKUP.fullmatch(entry.backup) is not None)
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        fine = False
    if not fine:
        message = f"the journal {path} holds an entry that safehold does not write; remove it"
        raise ConfigError(message)
    return entry


def _leads_away(name: str) -> bool:
    """Whether a path is not plainly one below the root, or lies in the journal."""
    parts = name.split("/")
    odd = name != "" and any(part in ("", ".", "..") for part in parts)
    return odd or "\0" in name or parts[:2] == DIRECTORY.split("/")


def _is_locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SUM // 2).hexdigest().encode()
