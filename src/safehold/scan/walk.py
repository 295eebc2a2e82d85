"""Which files a scan reads, in which order."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Final

# Object stores of version control: nothing loads artifacts from there.
_SKIPPED: Final = frozenset({".git", ".hg", ".svn"})
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


def find_files(path: str, exclude: Sequence[str] = ()) -> Iterator[Found]:
    """Yield a file, or the files below a directory in the order of their names.

    Links to files are followed, links to directories only if the target lies outside the tree,
    which is then reported instead of read: what lies inside is found anyway.
    """
    if not os.path.isdir(path):
        yield Found(path, named=True)
        return
    root = os.path.realpath(path)
    waiting = [path]
    while waiting:
        directory = waiting.pop()
        below: list[str] = []
        for entry in _entries(directory):
            if isinstance(entry, OSError):
                yield Found(directory, named=True, problem=_reason(entry))
            elif entry.name in _SKIPPED or (
                exclude and is_excluded(os.path.relpath(entry.path, path), exclude)
            ):
                continue
            elif _is_dir(entry, follow=False):
                below.append(entry.path)
            else:
                yield from _entry(entry, root)
        waiting.extend(reversed(below))


def _entries(directory: str) -> Iterator[os.DirEntry[str] | OSError]:
    """Yield the entries by name; at last the error, if the directory cannot be listed."""
    after = ""
    while True:
        try:
            with os.scandir(directory) as entries:
                rest = (entry for entry in entries if entry.name > after)
                rows = heapq.nsmallest(_AT_ONCE, rest, key=lambda entry: entry.name)
        except OSError as error:
            yield error
            return
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1].name


def _entry(entry: os.DirEntry[str], root: str) -> Iterator[Found]:
    if entry.is_symlink() and _is_dir(entry):
        target = os.path.realpath(entry.path)
        if target != root and not target.startswith(root.rstrip(os.sep) + os.sep):
            problem = "a link to a directory outside; scan its target by name"
            yield Found(entry.path, named=True, problem=problem)
        return
    yield Found(entry.path, named=False)


def _is_dir(entry: os.DirEntry[str], *, follow: bool = True) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        # A loop of links.
        return False


def is_excluded(relative: str, patterns: Sequence[str]) -> bool:
    """Whether a path below the root, or its name, matches a pattern."""
    name = os.path.basename(relative)
    return any(fnmatch(relative, pattern) or fnmatch(name, pattern) for pattern in patterns)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
