"""Which files a scan reads, and how they are opened without being fooled by what they are."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Final

from safehold.scan.values import Data

# Object stores of version control: nothing loads artifacts from there.
_SKIPPED: Final = frozenset({".git", ".hg", ".svn"})
# Smaller files are read, larger ones are mapped. (A mapped file that someone cuts during the
# scan ends the process; one that is read cannot.)
_READ_WHOLE: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Found:
    """A path to scan; ``named`` if the caller gave it, ``problem`` if it cannot be followed."""

    path: str
    named: bool
    problem: str = ""


class TooLarge(Exception):
    """The file is larger than the limit; carries its size."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


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
        try:
            with os.scandir(directory) as entries:
                rows = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield Found(directory, named=True, problem=_reason(error))
            continue
        below: list[str] = []
        for entry in rows:
            if entry.name in _SKIPPED or _excluded(entry.path, path, exclude):
                continue
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
            else:
                yield from _entry(entry, root)
        waiting.extend(reversed(below))


def _entry(entry: os.DirEntry[str], root: str) -> Iterator[Found]:
    if entry.is_symlink() and _is_dir(entry):
        target = os.path.realpath(entry.path)
        if target != root and not target.startswith(root.rstrip(os.sep) + os.sep):
            problem = "a link to a directory outside; scan its target by name"
            yield Found(entry.path, named=True, problem=problem)
        return
    yield Found(entry.path, named=False)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A loop of links.
        return False


def _excluded(path: str, root: str, patterns: Sequence[str]) -> bool:
    if not patterns:
        return False
    relative = os.path.relpath(path, root)
    name = os.path.basename(path)
    return any(fnmatch(relative, pattern) or fnmatch(name, pattern) for pattern in patterns)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def load_file(path: str, most: int) -> Data | None:
    """Return the content of a regular file; None for anything else, which is not opened for long.

    Raises:
        OSError: it cannot be opened or read.
        TooLarge: it holds more than ``most`` bytes.
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
    with open(handle, "rb", buffering=0) as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return None
        size = status.st_size
        if size > most:
            raise TooLarge(size)
        if size > _READ_WHOLE:
            return memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
        # Files of /proc have size zero and content.
        return file.read(size) if size else file.read(_READ_WHOLE)
