"""Where documents are written: files, whole or not at all; devices, pipes and open descriptors."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from contextlib import ExitStack
from typing import Final, NamedTuple

STDOUT: Final = "-"
_OPEN: Final = re.compile(r"/(?:dev/fd|proc/self/fd)/([0-9]{1,9})")
_STREAMS: Final = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


class Target(NamedTuple):
    """Where one document goes, opened before there is one.

    With a name, ``handle`` is the directory of a file that is written whole or not at all; else
    it takes the bytes as they come.
    """

    format: str
    handle: int
    name: str

    @classmethod
    def of(cls, form: str, path: str, stack: ExitStack) -> Target:
        """Open it: hours of scanning are not to end with a directory that is not there.

        Raises:
            OSError: it cannot be written.
        """
        number = descriptor_of(path)
        if number is not None:
            handle, name = os.dup(number), ""
        elif _is_stream(path):
            handle, name = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY), ""
        else:
            handle, name = _directory(path), os.path.basename(path)
        stack.callback(os.close, handle)
        return cls(form, handle, name)

    def write(self, text: str) -> None:
        """Write the document. Raises OSError."""
        data = text.encode("utf-8", "backslashreplace")
        if self.name:
            from safehold.replacing import replace_file

            replace_file(self.handle, self.name, [data])
            return
        sys.stdout.flush()  # what was printed before comes before, if it goes to the same place
        view = memoryview(data)
        while view:
            view = view[os.write(self.handle, view) :]


def descriptor_of(path: str) -> int | None:
    """Return the number of the descriptor that a path names, as /dev/stdout does."""
    match = _OPEN.fullmatch(path)
    return int(match[1]) if match else _STREAMS.get(path)


def is_same_file(first: str, second: str) -> bool:
    """Say whether two documents would be written over each other."""
    if os.path.abspath(first) != os.path.abspath(second):
        return False
    return descriptor_of(first) is None and not _is_stream(first)


def _is_stream(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _directory(path: str) -> int:
    """Open the directory of a file that can be replaced there, or made."""
    if os.path.isdir(path) or not os.path.basename(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "not a file that can be written", path)
    directory = os.path.dirname(path) or "."
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if not os.access(directory, os.W_OK | os.X_OK):
        os.close(handle)
        raise PermissionError(errno.EACCES, "nothing can be written there", directory)
    return handle
