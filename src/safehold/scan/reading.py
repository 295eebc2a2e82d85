"""Opens files without being fooled by what they are, or by what becomes of them meanwhile.

Small files are read. Larger ones are mapped, and a mapping whose file is cut ends the process
that touches it: so they are read by a child, see `isolated`, or from a copy of their own.
"""

from __future__ import annotations

import errno
import os
import stat
from types import TracebackType
from typing import Final, Self

from safehold.scan.mapped import Mapped
from safehold.scan.spool import Spool
from safehold.scan.values import Data

READ_WHOLE: Final = 16 * 2**20
"""Files up to this size are read, larger ones are mapped."""
_STEP: Final = 2**20


class TooLarge(Exception):
    """The file is larger than the limit; carries its size, or what of it was read."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class Opened:
    """A regular file, open for reading; a context that closes it."""

    def __init__(self, handle: int, status: os.stat_result) -> None:
        self._handle = handle
        self._status = status

    @property
    def size(self) -> int:
        """Bytes at the time it was opened."""
        return self._status.st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._handle)

    def read(self, most: int) -> Data:
        """Return the content, read to its end.

        Files of /proc say that they are empty, and those of /sys that they are a page long.

        Raises:
            OSError: it cannot be read, or ends early.
            TooLarge: it holds more than ``most`` bytes.
        """
        wanted = self.size or most + 1
        chunk = os.read(self._handle, min(wanted, READ_WHOLE))
        if len(chunk) == self.size:
            return chunk
        spool = Spool()
        while chunk:
            spool.write(chunk)
            if spool.size >= wanted:
                break
            chunk = os.read(self._handle, min(wanted - spool.size, READ_WHOLE))
        if self.size and spool.size < self.size:
            raise OSError(errno.EIO, f"it ends after {spool.size} of {self.size} bytes")
        if spool.size > most:
            raise TooLarge(spool.size)
        return spool.data()

    def mapped(self) -> Data:
        """Return the content as it is in the file, from now on."""
        return memoryview(Mapped(self._handle, self.size))

    def copied(self) -> Data:
        """Return the content from a temporary file that only this process has."""
        spool = Spool()
        while spool.size < self.size:
            chunk = os.pread(self._handle, min(_STEP, self.size - spool.size), spool.size)
            if not chunk:
                spool.close()
                raise OSError(errno.EIO, f"it ends after {spool.size} of {self.size} bytes")
            spool.write(chunk)
        return spool.data()

    def has_changed(self) -> bool:
        """Whether somebody wrote to the file since it was opened."""
        now = os.fstat(self._handle)
        before = self._status
        return bool(self.size) and (
            (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns)
        )


def open_regular(path: str) -> Opened | None:
    """Open a regular file; None for anything else, which is not opened for long.

    Raises:
        OSError: it cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        handle = os.open(path, flags)
    except OSError as error:
        # A socket, or a device without a driver.
        if error.errno in (errno.ENXIO, errno.ENODEV):
            return None
        raise
    try:
        status = os.fstat(handle)
    except BaseException:
        os.close(handle)
        raise
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        return None
    return Opened(handle, status)
