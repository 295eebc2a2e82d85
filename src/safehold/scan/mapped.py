"""Files mapped into memory that remember their descriptor, to hand it to another process."""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from typing import Self


class Mapped(mmap.mmap):
    """A file mapped for reading, of any size but zero."""

    handle: int

    def __new__(cls, descriptor: int, size: int) -> Self:
        """Map so many bytes of an open file."""
        found = super().__new__(cls, descriptor, size, access=mmap.ACCESS_READ)
        found.handle = os.dup(descriptor)
        return found

    def forget(self) -> None:
        """Let go of the pages that were read; they are read again from the file where needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.madvise(mmap.MADV_DONTNEED)

    def __del__(self) -> None:
        """Close the descriptor."""
        with suppress(AttributeError, OSError):
            os.close(self.handle)
