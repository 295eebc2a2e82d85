"""Brings the lines of a trail to disk a short while after they were written, in the background.

A thread is there while lines are written, and a short while longer. It is stopped before a fork:
a child would inherit what it holds, and Python warns of forks beside threads.
"""

from __future__ import annotations

import threading
import weakref
from _thread import get_ident, start_new_thread
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

PAUSE: Final = 0.2
"""Seconds after which a line is on disk at the latest, but for the time that the disk takes."""
_IDLE_ROUNDS: Final = 5
_JOIN_SECONDS: Final = 0.5
_BEGIN_SECONDS: Final = 1.0
"""After which a thread that has not begun is taken for one that never will."""


class Synced(Protocol):
    """What has lines to bring to disk."""

    @property
    def is_settled(self) -> bool:
        """Whether all lines are on disk."""

    def bring(self) -> bool:
        """Bring lines to disk; False if there were none. Never raises."""


class Worker:
    """A thread that its starter does not wait for.

    `threading.Thread.start` waits until the new thread says that it runs, and for ever where that
    one has no memory to begin with (CPython 3.11 to 3.14).
    """

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run
        self._ended = threading.Event()
        self._started = monotonic()
        self._number: int | None = None

    def start(self) -> None:
        """Start it; RuntimeError or MemoryError if there can be no thread."""
        start_new_thread(self._main, ())

    @property
    def is_lost(self) -> bool:
        """Whether it should have begun long ago."""
        return self._number is None and monotonic() - self._started > _BEGIN_SECONDS

    def join(self) -> None:
        """Wait until it ends, but not for ever: it may wait for this thread, or be this one."""
        if self._number != get_ident():
            self._ended.wait(_JOIN_SECONDS)

    def _main(self) -> None:
        self._number = get_ident()
        try:
            self._run()
        finally:
            self._ended.set()


class Syncer:
    """The thread of one trail, whose lock it shares; `ask` and `stop` are called holding it."""

    def __init__(self, trail: Synced, lock: threading.RLock, pause: float | None = None) -> None:
        self._trail = weakref.ref(trail)
        self._lock = lock
        self._pause = pause
        self._stop: threading.Event | None = None
        self._worker: Worker | None = None

    def ask(self) -> bool:
        """Have the lines brought to disk soon; False if no thread can be started."""
        if self._worker is not None and not self._worker.is_lost:
            return True
        self.stop()
        stop = threading.Event()
        worker = Worker(lambda: self._run(stop))
        try:
            worker.start()
        except (RuntimeError, MemoryError):  # the interpreter ends, or there are too many threads
            return False
        self._stop, self._worker = stop, worker
        return True

    def stop(self) -> Worker | None:
        """Tell the thread to end; return it, to be joined without the lock."""
        stop, worker = self._stop, self._worker
        self._stop = self._worker = None
        if stop is not None:
            stop.set()
        return worker

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
                self._stop = self._worker = None
            return True
