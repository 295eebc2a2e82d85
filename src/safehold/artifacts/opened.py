"""A sealed file that is read where it is touched: each chunk verified once, when it is needed."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from safehold.artifacts.chunks import private_memory
from safehold.artifacts.codecs import Reading
from safehold.artifacts.container import CHUNK, Opened
from safehold.artifacts.info import Info
from safehold.artifacts.mapped import private_stream
from safehold.errors import DecodeError, Tampered
from safehold.sfh1 import gap_at

_T = TypeVar("_T")


class OpenArtifact:
    """The verified metadata of a file, and its segments and arrays as far as they are touched.

    A chunk is read into private memory, verified there, and stays; the file may then change or
    go. A mapped file's chunks are verified in the map, which its views keep after `close`: whoever
    writes into the file writes into them. Threads may share it. Close it, or use it in a ``with``
    block: it holds a descriptor.
    """

    def __init__(
        self,
        fd: int,
        opened: Opened,
        info: Info,
        reading: Reading,
        refuse: Callable[[Tampered], object],
        mapped: memoryview | None = None,
    ) -> None:
        """Takes the descriptor over; `refuse` records a chunk that does not verify.

        `mapped` is the payload where it lies in a map of the file.
        """
        self.info = info
        self._fd: int | None = fd
        self._opened = opened
        self._reading = reading
        self._refuse = refuse
        self._lengths = opened.header().segments
        if mapped is None:
            self._chunks, self._memory = opened.chunks, private_memory(opened.shape.payload)
        else:
            self._chunks, self._memory = opened.chunks.in_place(), mapped
        self._verified: set[int] = set()
        # Without it a second thread would read a file that has changed over verified bytes.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of segments."""
        return len(self._lengths)

    def segment(self, index: int) -> LazySegment:
        """Return one segment; nothing is read. Raises IndexError."""
        number = range(len(self._lengths))[index]
        start = 0
        for length in self._lengths[:number]:
            start += gap_at(start) + length
        return LazySegment(self, start + gap_at(start), self._lengths[number])

    def arrays(self) -> Any:
        """Return the value with its arrays as `LazyArray`, whose rows are read when they are used.

        Only arrays in plain containers have this form, stored by the codecs pickle and joblib.

        Raises:
            DecodeError: a codec without arrays, or a value of other things.
            TypeNotAllowed: it names something else. Tampered: its stream was changed.
        """
        if self.info.codec not in ("pickle", "joblib") or self.info.raw or not self._lengths:
            message = "the artifact has no arrays of its own to read in part; load it instead"
            raise DecodeError(message)
        from safehold.artifacts.arrays import lazy_value  # needs an extra

        with self._lock:
            stream = self._checked(lambda: private_stream(self._opened, self._lengths[0]))
        return lazy_value(stream, [self.segment(at) for at in range(1, len(self))], self._reading)

    def verified(self, start: int, stop: int) -> memoryview:
        """Return a range of the payload, read-only, with every chunk of it verified.

        Raises:
            Tampered: a chunk does not verify. ValueError: closed, and not read before.
        """
        if start < stop:
            with self._lock:
                touched = range(start // CHUNK, -(-stop // CHUNK))
                missing = [index for index in touched if index not in self._verified]
                if missing:
                    self._checked(lambda: self._chunks.fill(missing, self._memory))
                    self._verified.update(missing)
        return self._memory[start:stop].toreadonly()

    def _checked(self, read: Callable[[], _T]) -> _T:
        if self._fd is None:
            message = "the artifact is closed"
            raise ValueError(message)
        try:
            return read()
        except Tampered as error:
            self._refuse(error)
            raise

    def close(self) -> None:
        """Close the file; what was read stays readable."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(
            AttributeError, OSError
        ):  # not begun, or a descriptor that is gone
            self.close()


class LazySegment:
    """The bytes of one segment; a slice verifies the chunks that it touches."""

    def __init__(self, artifact: OpenArtifact, start: int, length: int) -> None:
        self._artifact = artifact
        self._start = start
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, item: slice) -> memoryview:
        """Return bytes, read-only. Raises Tampered."""
        touched = range(self._length)[item]
        if not touched:
            return memoryview(b"")
        low, high = min(touched[0], touched[-1]), max(touched[0], touched[-1]) + 1
        whole = self._artifact.verified(self._start + low, self._start + high)
        return whole[:: touched.step]
