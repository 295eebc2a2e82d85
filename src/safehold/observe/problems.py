"""What a check of a trail says."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

Kind = Literal[
    "changed",
    "order",
    "truncated",
    "unsynced",
    "torn",
    "format",
    "key",
    "state",
    "writer",
    "vanished",
    "manifest",
    "witness",
    "unreadable",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """The first thing that is wrong with a writer's files, or a remark on them."""

    path: Path
    line: int
    kind: Kind
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.message}"


@dataclass(frozen=True, slots=True)
class Verified:
    """Result for one writer: lines that hold, the first problem, and what a kill left behind.

    A ``torn`` last line is a remark and no problem: nobody was told that it was recorded.
    """

    writer: str
    lines: int
    problem: Problem | None
    torn: Problem | None = None
    last: str = ""
    """The mac of the last line that holds."""


class Found(Exception):
    """Ends the reading of one writer."""

    def __init__(self, path: Path, line: int, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(path, line, kind, message)


def open_regular(path: Path) -> IO[bytes]:
    """Open a file that is no link and no FIFO, which could lead elsewhere or not end."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            reason = f"{path.name} is not a regular file"
            raise OSError(0, reason)
        return os.fdopen(fd, "rb")
    except BaseException:  # only a file that was returned owns the descriptor
        os.close(fd)
        raise
