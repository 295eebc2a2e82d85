"""Bytes that arrive in pieces: in memory while they are few, then in an unnamed temporary file."""

from __future__ import annotations

import tempfile
from typing import Any, Final

from safehold.scan.mapped import Mapped
from safehold.scan.values import Data

# More than this goes to a temporary file.
_IN_MEMORY: Final = 8 * 2**20


class Spool:
    """What is written is read back as one run of bytes that nobody else can change."""

    def __init__(self) -> None:
        self.size = 0
        self._memory = bytearray()
        self._file: Any = None

    def write(self, chunk: bytes | memoryview) -> None:
        """Add a piece. Raises OSError where the temporary file has no room."""
        self.size += len(chunk)
        if self._file is None and self.size > _IN_MEMORY:
            # Closed in data(), or with this object; the mapping keeps the content.
            self._file = tempfile.TemporaryFile(prefix="safehold-")  # noqa: SIM115
            self._file.write(self._memory)
            self._memory.clear()
        if self._file is None:
            self._memory += chunk
        else:
            self._file.write(chunk)

    def data(self) -> Data:
        """Return everything that was written; nothing can be added any more."""
        if self._file is None:
            return bytes(self._memory)
        with self._file:
            self._file.flush()
            return memoryview(Mapped(self._file.fileno(), self.size))

    def close(self) -> None:
        """Drop what was written, where it is not read after all."""
        if self._file is not None:
            self._file.close()
