"""Gives checkpoints to the witnesses of the policy while something is recorded, in the background.

An exporter. One process of those that share a trail does so, whichever has the lock; what a witness
did not take goes to the trail with the next event, and the next checkpoint says more than that one.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from safehold.errors import ConfigError, ExportError
from safehold.events import Event
from safehold.keys import Keyring
from safehold.observe.witness import checkpoint, send
from safehold.policy.recording import Recording

LOCK: Final = ".witness.lock"
_REPORT_SECONDS: Final = 60.0


class Witnesses:
    """Tells the witnesses; threads share it, a forked child has a thread of its own."""

    name = "witness"

    def __init__(
        self,
        directory: Path,
        keyring: Keyring,
        recording: Recording,
        environ: Mapping[str, str],
        root: Path,
    ) -> None:
        """Nothing is started before the first event."""
        self._directory = directory
        self._keyring = keyring
        self._recording = recording
        self._environ = environ
        self._root = root
        self.start_anew()
        _ALL.add(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def start_anew(self) -> None:
        """Have no thread yet, as in a forked child."""
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._is_new = False
        self._failures: list[str] = []
        self._told_at = 0.0

    def export(self, event: Event) -> None:  # noqa: ARG002  that there was one is enough
        """Have a checkpoint made soon.

        Raises:
            ExportError: a witness did not take one.
        """
        self._is_new = True
        if self._thread is None:
            self._begin()
        if self._failures and time.monotonic() - self._told_at >= _REPORT_SECONDS:
            self._tell()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._ending.is_set():
                thread = threading.Thread(target=self._run, name="safehold witness", daemon=True)
                thread.start()
                self._thread = thread

    def _tell(self) -> None:
        failures, self._failures = self._failures, []
        self._told_at = time.monotonic()
        raise ExportError(f"checkpoints did not reach: {'; '.join(sorted(set(failures)))}")

    def _run(self) -> None:
        while not self._ending.wait(self._recording.witness_every):
            if self._is_new:
                with self._alone() as alone:
                    if alone:
                        self._is_new = False
                        self._send()

    def _send(self) -> None:
        try:
            line = checkpoint(self._directory, self._keyring)
        except OSError as error:
            self._failures.append(f"{error.strerror or error}")
            return
        for witness in self._recording.witness:
            kind, _, rest = witness.partition(":")
            where = f"file:{self._root / rest}" if kind == "file" else witness
            try:
                send(line, where, self._environ)
            except (OSError, ConfigError) as error:
                self._failures.append(str(error))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Be the one process that tells, if no other does just now."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(self._directory / LOCK, flags, 0o640)
        except OSError as error:
            self._failures.append(f"{error.strerror}")
            yield False
            return
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)

    def close(self) -> None:
        """Give a last checkpoint, if something was recorded since.

        Raises:
            ExportError: a witness did not take one.
        """
        with self._lock:
            if self._ending.is_set():
                return
            self._ending.set()
            thread = self._thread
        if thread is not None:
            thread.join()
        if self._is_new:
            with self._alone() as alone:
                if alone:
                    self._is_new = False
                    self._send()
        if self._failures:
            self._tell()


def _close_at_exit(witnesses: weakref.ref[Witnesses]) -> None:
    found = witnesses()
    if found is not None:
        with contextlib.suppress(ExportError):  # no recorder is left to tell
            found.close()


_ALL: weakref.WeakSet[Witnesses] = weakref.WeakSet()


def _start_all_anew() -> None:
    for witnesses in list(_ALL):
        witnesses.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_anew)
