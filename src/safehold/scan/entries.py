"""What a scan may be given to read, and the entries of directories."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from operator import attrgetter
from typing import Final

# Entries of one directory that are held at a time; a larger one is listed more than once.
_AT_ONCE: Final = 2**17


@dataclass(frozen=True, slots=True)
class Found:
    """A path to scan; ``named`` if the caller gave it, ``problem`` if it cannot be followed.

    ``label`` is what reports call it, where that is not the path. ``root`` is the URL whose file
    system holds it, and ``size`` what that says.
    """

    path: str
    named: bool
    problem: str = ""
    label: str = ""
    root: str = ""
    size: int | None = None

    @property
    def shown(self) -> str:
        """Its name in reports, which also tells whether it should be an artifact."""
        return self.label or self.path


def list_directory(directory: str) -> Iterator[os.DirEntry[str] | OSError]:
    """Yield the entries by name; at last the error, if the directory cannot be listed."""
    after = ""
    while True:
        try:
            with os.scandir(directory) as entries:
                rest = (entry for entry in entries if entry.name > after) if after else entries
                rows = heapq.nsmallest(_AT_ONCE, rest, key=attrgetter("name"))
        except OSError as error:
            yield error
            return
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1].name


def is_dir(entry: os.DirEntry[str], *, follow: bool = True) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        # A loop of links.
        return False


def is_excluded(relative: str, patterns: Sequence[str]) -> bool:
    """Whether a path below the root, or its name, matches a pattern."""
    name = os.path.basename(relative)
    return any(
        fnmatch(relative, pattern.rstrip("/")) or fnmatch(name, pattern.rstrip("/"))
        for pattern in patterns
    )


def is_below(path: str, root: str) -> bool:
    """Whether a real path is another real path, or stands below it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
