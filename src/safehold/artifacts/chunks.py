"""Chunks of a payload: read into their final private memory and verified there, by several threads.

SHA-256 and reading let other threads run; AES-GCM of `cryptography` does not, and is faster.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from safehold.artifacts.suites import Suite
from safehold.errors import Tampered
from safehold.sfh1 import CHUNK, Buffer, Shape

_B = TypeVar("_B", bytearray, memoryview)
_PER_THREAD = 4  # chunks; starting a thread costs as much as hashing 100 KB


def private_memory(size: int) -> memoryview:
    """Return page-aligned memory that goes back to the system when it is released.

    Private, or a forked child would write into its parent's arrays; in huge pages where the
    kernel has them, since faulting small ones in costs as much as half the hashing.
    """
    if size == 0:
        return memoryview(bytearray())
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


def read_at(fd: int, offset: int, into: _B) -> _B:
    """Fill a buffer from a file position. Raises Tampered when the file ends before."""
    view = memoryview(into)
    while view:
        count = os.preadv(fd, [view], offset)
        if count == 0:
            message = "the file was cut while it was read"
            raise Tampered(message)
        view, offset = view[count:], offset + count
    return into


class Chunks:
    """The chunks of one container whose root holds."""

    def __init__(
        self,
        suite: Suite,
        shape: Shape,
        leaves: Buffer,
        read: Callable[[int, memoryview], object] | None,
    ) -> None:
        """`leaves` may go on with the rest of the tail; `read` fills from a payload position.

        Without `read` the chunks lie where they are verified.
        """
        self._suite = suite
        self._shape = shape
        self._row = shape.suite
        self.leaves = leaves
        self._read = read
        self.count = -(-shape.payload // CHUNK)

    def in_place(self) -> Chunks:
        """Return the same chunks for a payload that already lies where it is verified."""
        return Chunks(self._suite, self._shape, self.leaves, None)

    def open_all(self, payload: memoryview) -> None:
        """Fill `payload` with every chunk. Raises Tampered."""
        self.open_each(range(self.count), payload)

    def open_each(self, indexes: Sequence[int], payload: memoryview) -> None:
        """Fill `payload` with some of its chunks. Raises Tampered."""
        workers = len(indexes) // _PER_THREAD
        if workers > 1:
            workers = min(_processors(), workers)
        waiting = deque(indexes)
        if workers < 2:
            self._open_waiting(waiting, payload)
        else:
            _in_threads(lambda: self._open_waiting(waiting, payload), workers)

    def fill(self, indexes: Sequence[int], payload: memoryview) -> None:
        """Open some chunks of a payload that stays in use. Raises as `open_each`.

        What is not genuine does not stay beside what is: zeros are left where it was read.
        """
        try:
            self.open_each(indexes, payload)
        except BaseException:  # also an interrupt: the payload stays in use
            if self._read is not None:
                for index in indexes:
                    part = payload[index * CHUNK : (index + 1) * CHUNK]
                    part[:] = bytes(len(part))
            raise

    def _open_waiting(self, waiting: deque[int], payload: memoryview) -> None:
        """Open what no other thread has taken, until nothing waits."""
        scratch = self._scratch(min(CHUNK, len(payload)))
        while waiting:
            try:
                index = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                self._open(index, payload[index * CHUNK : (index + 1) * CHUNK], scratch)
            except BaseException:  # whatever it was, the other threads need not go on
                waiting.clear()
                raise

    def leaf(self, index: int) -> Buffer:
        """Return the digest or tag of one chunk."""
        return self.leaves[index * self._row.leaf : (index + 1) * self._row.leaf]

    def fits(self, index: int, chunk: memoryview) -> bool:
        """Say whether bytes that are not encrypted are one of the chunks."""
        return self._suite.open(index, chunk, self.leaf(index), chunk)

    def _scratch(self, size: int) -> memoryview | None:
        return memoryview(bytearray(size + self._row.leaf)) if self._row.encrypts else None

    def _open(self, index: int, into: memoryview, scratch: memoryview | None) -> None:
        stored = into if scratch is None else scratch[: len(into) + self._row.leaf]
        if self._read is not None:
            self._read(index * CHUNK, stored[: len(into)])
        if not self._suite.open(index, stored, self.leaf(index), into):
            message = "the payload does not match its seal"
            raise Tampered(message)


def _in_threads(work: Callable[[], None], count: int) -> None:
    """Run `work` in this thread and others; raise the first error when all have ended."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised below, in the calling thread
            errors.append(error)

    threads = []
    try:
        for _ in range(count - 1):
            thread = threading.Thread(target=run, name="safehold-verify")
            try:
                thread.start()
            except RuntimeError:  # the system gives no more; this thread does the work
                break
            threads.append(thread)
        work()
    finally:
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
