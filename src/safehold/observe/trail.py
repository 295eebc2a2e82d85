"""The trail: a tamper-evident log of events, one set of files per writer.

`writer` has the files of one process, `chain` what ties their lines together, `check` reads all
of it back.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final

from safehold.errors import TrailError
from safehold.events import Event
from safehold.keys import Keyring
from safehold.observe.chain import LentKey
from safehold.observe.syncing import Syncer
from safehold.observe.writer import Writer, encoded
from safehold.policy.recording import Recording

_PATIENCE: Final = 0.2
"""Seconds that a fork waits for a line that is being written."""


class Trail:
    """Appends events of this process; threads share it, a forked child gets its own writer."""

    def __init__(
        self, directory: Path, keyring: Keyring | LentKey, recording: Recording | None = None
    ) -> None:
        """Nothing is opened before the first event."""
        self.directory = directory
        self._keyring = keyring
        self._writer: Writer | None = None
        # A signal handler may record while its own thread appends: an error and no deadlock.
        self._lock = threading.RLock()
        self._busy = False
        self._segment = None if recording is None else recording.segment
        self._pause = None if recording is None else recording.sync
        self._syncer = Syncer(self, self._lock, self._pause)
        # Why lines could not be brought to disk; the next event is refused for it.
        self._lost: OSError | None = None
        _TRAILS.add(self)

    def export(self, event: Event) -> None:
        """Append one event; refusals are on disk when this returns, others a moment later.

        Raises:
            TrailError: the line could not be written in full, or lines before it could not be
                brought to disk.
        """
        is_critical = event.outcome == "refused"
        try:
            line = encoded(event)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            message = f"the event has no JSON form ({type(error).__name__})"
            raise TrailError(message) from error
        with self._lock:
            if self._busy:  # a signal handler or finalizer interrupted this very method
                message = "an event was recorded while another was being written"
                raise TrailError(message)
            self._busy = True
            try:
                if self._lost is not None:
                    self._raise_lost()
                writer = self._writer
                if writer is None or not (writer.is_usable() if is_critical else writer.is_ours()):
                    writer = self._begin(writer)
                writer.append(line)
                if is_critical or not self._syncer.ask():
                    writer.sync()
            except (OSError, ValueError) as error:  # a path may have what no file's name has
                reason = getattr(error, "strerror", None) or str(error)
                message = (
                    f"trail {str(self.directory)!r} cannot be written ({reason}); give "
                    f"the service a writable [trail] path with free space"
                )
                raise TrailError(message) from error
            finally:
                self._busy = False

    def _begin(self, former: Writer | None) -> Writer:
        if former is not None:
            former.leave()
        self._writer = None
        self._writer = writer = Writer(self.directory, self._keyring.local, self._segment)
        return writer

    def _raise_lost(self) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            raise lost

    @property
    def is_settled(self) -> bool:
        """Whether all lines are on disk."""
        writer = self._writer
        return writer is None or writer.is_synced or not writer.is_usable()

    def bring(self) -> bool:
        """Bring the lines to disk while others append; False if there were none."""
        with self._lock:
            if self.is_settled or self._writer is None:
                return False
            writer = self._writer
            try:
                mark = writer.mark()
            except OSError as error:
                self._lose(writer, error)
                return True
        try:
            mark.bring_lines()
            with self._lock:
                writer.reached(mark)
            mark.bring_state()
        except FileNotFoundError:
            self._abandon(writer)  # somebody deleted the state, not the lines
        except OSError as error:
            with self._lock:
                self._lose(writer, error)
        return True

    def _abandon(self, writer: Writer) -> None:
        with self._lock:
            if writer is self._writer:
                self._writer = None
                writer.leave()

    def _lose(self, writer: Writer, error: OSError) -> None:
        """After a failed sync, nobody knows what is on disk: the next event begins anew."""
        if writer is self._writer:
            self._lost = error
            self._abandon(writer)

    def before_fork(self) -> None:
        """Leave no thread behind, and nothing that it would have done.

        A fork does not wait for a disk that takes no line: the thread is told to end, and what is
        not on disk is brought there by the next line.
        """
        if not self._lock.acquire(timeout=_PATIENCE):
            return
        try:
            worker = self._syncer.stop()
            self.settle()
        finally:
            self._lock.release()
        if worker is not None:
            worker.join()

    def settle(self) -> None:
        """Bring all lines to disk now; if that fails, the next event is refused."""
        with self._lock:
            if self._writer is not None and not self.is_settled:
                try:
                    self._writer.sync()
                except OSError as error:
                    self._lose(self._writer, error)

    def close(self) -> None:
        """Sync and close this process's files; the next event starts a new writer."""
        with self._lock:
            self._syncer.stop()
            writer, self._writer = self._writer, None
            if writer is not None:
                try:
                    if writer.is_usable():
                        writer.finish()
                finally:
                    writer.leave()

    def forget(self) -> None:
        """Start anew in a forked child, where another thread may have held the lock."""
        self._lock = threading.RLock()
        self._busy = False
        self._syncer = Syncer(self, self._lock, self._pause)
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.leave()


_TRAILS: weakref.WeakSet[Trail] = weakref.WeakSet()


def _each(act: Callable[[Trail], None]) -> Callable[[], None]:
    def call() -> None:
        for trail in list(_TRAILS):
            act(trail)

    return call


atexit.register(_each(Trail.settle))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_each(Trail.before_fork), after_in_child=_each(Trail.forget))
