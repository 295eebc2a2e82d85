"""The lines as they stand in the trail."""

from __future__ import annotations

from typing import IO

from safehold.observe.formats._text import Lines


def writer(file: IO[bytes], host: str) -> Lines:  # noqa: ARG001  of every format
    """Return what writes to the file."""
    return Lines(file, lambda line: line.raw.decode("ascii", "backslashreplace"))
