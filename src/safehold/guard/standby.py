"""A process that takes refusals down for one that gives up the right to write files for good.

It is started before that, is nobody's child, and ends with the descriptors that it reads from.
"""

from __future__ import annotations

import os
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

APART = "apart"
"""Argument of `late`: go on as a process of its own, and answer each event."""


class Standby:
    """One such process."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Start it. Raises OSError."""
        opened: list[int] = []
        while len(opened) < 4 or opened[-4] <= 2:  # no number of a standard stream
            opened += posix.pipe()
        reading, self._writing, self._answers, answering = opened[-4:]
        actions = (
            (posix.POSIX_SPAWN_DUP2, reading, 0),
            (posix.POSIX_SPAWN_DUP2, answering, 1),
            (posix.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        )
        command = [sys.executable, "-P", "-m", "safehold.guard.late", APART]
        try:
            pid = posix.posix_spawn(sys.executable, command, environ, file_actions=actions)
            posix.waitpid(pid, 0)
        finally:
            for fd in opened:
                if fd not in (self._writing, self._answers):
                    posix.close(fd)

    # What it calls stands in the defaults: modules are emptied at the end.
    def record(self, data: bytes, _write: Any = posix.write, _read: Any = posix.read) -> bool:
        """Have one event taken down, given as `late` reads it; say whether it was."""
        data += b"\n"
        while data:
            data = data[_write(self._writing, data) :]
        return bool(_read(self._answers, 1))
