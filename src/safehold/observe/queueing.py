"""A queue before an exporter that is slow, fails or hangs, so that no decision waits for it.

`Queued` hands events to a thread. The trail has each event before it gets here, so what the queue
cannot hold is lost to the exporter alone; how much that is goes to the trail as well.
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
import time
import weakref
from collections.abc import Iterator
from queue import Empty, SimpleQueue

from safehold.errors import ExportError
from safehold.events import Event, Exporter

_REPORT_SECONDS = 1.0
"""Least time between two reports of losses: each is a line of the trail."""


class Queued:
    """Hands events to `exporter` from a thread of its own, in order."""

    def __init__(self, exporter: Exporter, *, size: int = 10_000, patience: float = 5.0) -> None:
        """Hold at most `size` events; wait `patience` seconds for the rest at the end."""
        self.name = str(getattr(exporter, "name", type(exporter).__name__))
        self._exporter = exporter
        self._size = size
        self._patience = patience
        self._start()
        _ALL.add(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def _start(self) -> None:
        # Its `put` may interrupt itself, as a signal handler or finalizer that records does.
        self._waiting: SimpleQueue[Event | None] = SimpleQueue()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._losses = itertools.count(1)
        self._lost = 0
        self._told = 0
        self._told_at = 0.0
        self._why = ""
        self._pending = False

    def export(self, event: Event) -> None:
        """Put an event into the queue.

        Raises:
            ExportError: events were lost since it was raised for the last time.
        """
        if self._ended or self._waiting.qsize() >= self._size:
            self._lose("the queue is full" if not self._ended else "the queue is closed")
        else:
            self._waiting.put(event)
            if self._thread is None:
                self._begin()
        if self._lost > self._told and time.monotonic() - self._told_at >= _REPORT_SECONDS:
            self._tell()

    def _lose(self, why: str) -> None:
        self._lost = next(self._losses)
        self._why = why

    def _tell(self) -> None:
        lost, self._told = self._lost - self._told, self._lost
        self._told_at = time.monotonic()
        message = f"{lost} events did not reach {self.name}: {self._why}"
        raise ExportError(message)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(
                    target=self._deliver, name=f"safehold {self.name}", daemon=True
                )
                thread.start()
                self._thread = thread

    def _deliver(self) -> None:
        waiting, exporter = self._waiting, self._exporter
        while True:
            self._pending = False
            event = waiting.get()
            self._pending = True
            if event is None:
                self._pending = False
                return
            try:
                exporter.export(event)
            except Exception as error:  # noqa: BLE001  the next event tells the trail
                self._lose(type(error).__name__)

    def close(self) -> None:
        """Wait for what is in the queue, as long as patience lasts, and close the exporter.

        Raises:
            ExportError: events were lost.
        """
        with self._lock:
            if self._ended:
                return
            self._ended = True
            thread = self._thread
        if thread is not None:
            self._waiting.put(None)
            thread.join(self._patience)
            if thread.is_alive():
                for _ in range(sum(1 for _ in self._left()) + self._pending):
                    self._lose(f"still waiting after {self._patience:g} s")
                self._waiting.put(None)  # should it ever go on
        if thread is None or not thread.is_alive():
            close = getattr(self._exporter, "close", None)
            if close is not None:
                close()
        if self._lost > self._told:
            self._tell()

    def _left(self) -> Iterator[Event]:
        while True:
            try:
                event = self._waiting.get_nowait()
            except Empty:
                return
            if event is not None:
                yield event


def _close_at_exit(queue: weakref.ref[Queued]) -> None:
    found = queue()
    if found is not None:
        try:
            found.close()
        except Exception:  # noqa: BLE001  no recorder is left to tell; closing the context does
            return


_ALL: weakref.WeakSet[Queued] = weakref.WeakSet()


def _start_anew() -> None:
    # What waits is the parent's to deliver, and threads do not come along.
    for queued in list(_ALL):
        queued._start()  # noqa: SLF001  its own module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
