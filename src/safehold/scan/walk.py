"""Which files a scan reads, in which order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from safehold.scan.entries import Found, is_below, is_dir, is_excluded, list_directory
from safehold.scan.hub import find_in_repository, is_repository

# Object stores of version control: nothing loads artifacts from there.
_SKIPPED: Final = frozenset({".git", ".hg", ".svn"})


def find_files(
    path: str, exclude: Sequence[str] = (), *, hub_names: bool = True
) -> Iterator[Found]:
    """Yield a file, or the files below a directory in the order of their names.

    Links to files are followed, links to directories only if the target lies outside the tree,
    which is then reported instead of read: what lies inside is found anyway. A repository in the
    cache of Hugging Face is read by the names of its snapshots, unless `hub_names` is off.
    """
    if not os.path.isdir(path):
        yield Found(path, named=True)
        return
    root = os.path.realpath(path)
    waiting = [path]
    while waiting:
        directory = waiting.pop()
        if hub_names and is_repository(directory):
            yield from find_in_repository(directory, exclude)
            continue
        below: list[str] = []
        for entry in list_directory(directory):
            if isinstance(entry, OSError):
                yield Found(directory, named=True, problem=_reason(entry))
            elif entry.name in _SKIPPED or (
                exclude and is_excluded(os.path.relpath(entry.path, path), exclude)
            ):
                continue
            elif is_dir(entry, follow=False):
                below.append(entry.path)
            else:
                yield from _entry(entry, root)
        waiting.extend(reversed(below))


def _entry(entry: os.DirEntry[str], root: str) -> Iterator[Found]:
    if entry.is_symlink() and is_dir(entry):
        target = os.path.realpath(entry.path)
        if not is_below(target, root):
            problem = "a link to a directory outside; scan its target by name"
            yield Found(entry.path, named=True, problem=problem)
        return
    yield Found(entry.path, named=False)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
