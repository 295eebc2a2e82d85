"""Brings the lines of a trail to disk a short while after they were written, in the background.

A thread is there while lines are written, and a short while longer. It is stopped before a fork:
a child would inherit what it holds, and Python warns of forks beside threads.
"""

from __future__ import annotations

import threading
import weakref
from typing import Final, Protocol

PAUSE: Final = 0.2
"""Seconds after which a line is on disk at the latest, but for the time that the disk takes."""
_IDLE_ROUNDS: Final = 5
_JOIN_SECONDS: Final = 0.5


class Synced(Protocol):
    """What has lines to bring to disk."""

    @property
    def is_settled(self) -> bool:
        """Whether all lines are on disk."""

    def bring(self) -> bool:
        """Bring lines to disk; False if there were none. Never raises."""


class Syncer:
    """The thread of one trail, whose lock it shares; `ask` and `stop` are called holding it."""

    def __init__(self, trail: Synced, lock: threading.RLock, pause: float | None = None) -> None:
        self._trail = weakref.ref(trail)
        self._lock = lock
        self._pause = pause
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def ask(self) -> bool:
        """Have the lines brought to disk soon; False if no thread can be started."""
        if self._stop is not None:
            return True
        stop = threading.Event()
        thread = threading.Thread(
            target=self._run, args=(stop,), name="safehold-trail", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends, or there are too many threads
            return False
        self._stop, self._thread = stop, thread
        return True

    def stop(self) -> threading.Thread | None:
        """Tell the thread to end; return it, to be joined without the lock."""
        stop, thread = self._stop, self._thread
        self._stop = self._thread = None
        if stop is not None:
            stop.set()
        return thread

    def _run(self, stop: threading.Event) -> None:
        idle = 0
        while not stop.wait(PAUSE if self._pause is None else self._pause):
            trail = self._trail()
            if trail is None:
                return
            idle = 0 if trail.bring() else idle + 1
            if idle >= _IDLE_ROUNDS and self._is_over(trail, stop):
                return
            del trail  # nobody else may hold on to it while this waits

    def _is_over(self, trail: Synced, stop: threading.Event) -> bool:
        with self._lock:
            if not trail.is_settled:
                return False
            if self._stop is stop:
                self._stop = self._thread = None
            return True


def join(thread: threading.Thread | None) -> None:
    """Wait for a thread that was told to end, but not for ever: it may wait for this one."""
    if thread is not None and thread is not threading.current_thread():
        thread.join(_JOIN_SECONDS)
