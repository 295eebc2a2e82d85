"""Check a manifest: its own chain, and that every writer it names is there as it ended."""

from __future__ import annotations

import contextlib
import fcntl
import hmac
from collections.abc import Iterable
from pathlib import Path

import msgspec

from safehold.errors import UnknownKey
from safehold.keys import Key, Keyring
from safehold.observe.manifest import (
    NAME,
    NOTHING,
    STATE,
    STATE_NAME,
    Entry,
    Head,
    entry_mac,
    key_named,
    key_of,
    state_mac,
)
from safehold.observe.problems import Found, Kind, Problem, Verified, open_regular

_LONGEST = 1024


class Listed:
    """What a manifest says, as far as its chain holds, and what is wrong with it."""

    def __init__(self, directory: Path, keyring: Keyring) -> None:
        """Read it. Writers that are checked afterwards have at least what it says."""
        self._directory = directory
        self._check = check = _Check(directory, keyring)
        self.problems: list[Problem] = []
        try:
            check.read()
        except Found as found:
            self.problems.append(found.problem)
        except OSError as error:
            self.problems.append(Problem(directory / NAME, 0, "unreadable", f"{error.strerror}"))

    def entry(self, writer: str) -> Entry | None:
        """Return the newest line of a writer."""
        return self._check.writers.get(writer)

    def has(self, lines: int, mac: str) -> bool:
        """Whether the manifest has so many lines at least, the last of which has this mac."""
        heads = self._check.heads
        return not lines or (lines <= len(heads) and heads[lines - 1].mac.hex() == mac)

    def compare(self, results: Iterable[Verified]) -> list[Problem]:
        """Return all problems, given the results of the writers.

        A writer of one line that the manifest does not name is no problem: a kill may have come
        between the two.
        """
        writers = {result.writer: result for result in results}
        problems = list(self.problems)
        found = (
            _of_writer(self._directory, entry, writers.get(writer))
            for writer, entry in self._check.writers.items()
        )
        problems += [problem for problem in found if problem is not None]
        return problems + [
            Problem(self._directory / writer, 0, "manifest", "the manifest does not name it")
            for writer, result in writers.items()
            if writer not in self._check.writers and result.lines > 1 and not self.problems
        ]


def _of_writer(directory: Path, entry: Entry, found: Verified | None) -> Problem | None:
    path = directory / entry.w
    if entry.what == "removed" or (directory / f".{entry.w}.new").is_dir():
        return None
    if found is None:
        return Problem(path, 0, "vanished", "the manifest names this writer, and it is gone")
    if entry.what == "ended" and found.problem is None and found.lines != entry.lines:
        message = f"it ended with {entry.lines} lines, {found.lines} are there"
        kind: Kind = "truncated" if found.lines < entry.lines else "changed"
        return Problem(path, 0, kind, message)
    if entry.what == "ended" and found.problem is None and found.last != entry.last:
        # Whoever had the key of its last lines could write them anew, but not the manifest's.
        return Problem(path, 0, "changed", "its last line is another than the one it ended with")
    return None


class _Check:
    """Reading of one manifest. Its keys are attributes, which no traceback shows."""

    def __init__(self, directory: Path, keyring: Keyring) -> None:
        self.directory = directory
        self.keyring = keyring
        # The newest line of each writer, and where each line ends.
        self.writers: dict[str, Entry] = {}
        self.heads: list[Head] = []
        self._keys: dict[str, bytes] = {}
        self._roots: list[Key] = []
        self._has_revoked = False

    def read(self) -> None:
        """Follow the chain, and compare it with the state. Raises Found, OSError."""
        path = self.directory / NAME
        try:
            file = open_regular(path)
        except FileNotFoundError:
            return
        with file:
            with contextlib.suppress(OSError):  # not every file system has locks
                fcntl.flock(file.fileno(), fcntl.LOCK_SH)
            head = NOTHING
            while line := file.readline(_LONGEST):
                if not line.endswith(b"\n") and len(line) < _LONGEST:
                    break  # the writer was killed inside it
                entry = self._entry(path, head, line)
                head = Head(head.lines + 1, head.size + len(line), bytes.fromhex(entry.mac))
                self.heads.append(head)
                if entry.k in self._keys:
                    self.writers[entry.w] = entry
            self._compare_state()

    def _entry(self, path: Path, head: Head, line: bytes) -> Entry:
        number = head.lines + 1
        body, mark, _ = line.rpartition(b',"mac":"')
        try:
            entry = msgspec.json.decode(line, type=Entry)
            key = self._key(entry.k)
        except msgspec.DecodeError as error:
            raise Found(path, number, "format", "not a line of a manifest") from error
        except (UnknownKey, ValueError) as error:
            raise Found(path, number, "key", str(error)) from error
        if entry.n != head.lines:
            message = f"line {entry.n} stands where line {head.lines} is expected"
            raise Found(path, number, "order", message)
        if key is None:
            return entry
        expected = entry_mac(key, head.mac, body).hex()
        if not mark or not hmac.compare_digest(expected, entry.mac):
            message = "the line, the one before it or the key was changed"
            raise Found(path, number, "changed", message)
        return entry

    def _key(self, name: str) -> bytes | None:
        """Return the key of a line; None if it is revoked.

        Such a line says nothing, and the next one of a key that is not holds its place.
        """
        if name not in self._keys:
            key_id, _, number = name.partition(":")
            if self.keyring.is_revoked_id(key_id):
                self._has_revoked = True
                return None
            key = self.keyring.local_by_id(key_id)
            self._keys[name] = key_named(key, number) if number else key_of(key)[1]
            if key not in self._roots:
                self._roots.append(key)
        return self._keys[name]

    def _compare_state(self) -> None:
        """Compare what the state promises with the lines that are there."""
        path = self.directory / STATE_NAME
        try:
            with open_regular(path) as file:
                data = file.read(STATE.size + 1)
        except FileNotFoundError:
            data = b""
        if len(data) != STATE.size:
            if any(not name.count(":") for name in self._keys):
                raise Found(path, 0, "manifest", "the state of the manifest is missing")
            return
        *promised, mac = STATE.unpack(data)
        head = Head(*promised)
        if not any(
            hmac.compare_digest(state_mac(key_of(key)[1], head), mac) for key in self._roots
        ):
            if self.heads and not self._has_revoked:
                raise Found(path, 0, "manifest", "the state of the manifest was changed")
            return
        if head.lines > len(self.heads):
            message = f"{head.lines} writers were noted, {len(self.heads)} lines are there"
            raise Found(path, 0, "truncated", message)
        if head.lines and self.heads[head.lines - 1] != head:
            raise Found(path, 0, "manifest", "the state belongs to another manifest")
