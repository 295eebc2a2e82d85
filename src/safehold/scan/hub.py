"""The cache of Hugging Face: each file once, by repository, revision and name.

    HUB/models--ORG--NAME/blobs/DIGEST                 content
                          snapshots/REVISION/FILE      a link to a blob, or a file
                          refs/NAME                    a revision

Reports call a file ``ORG/NAME@REVISION/FILE``, data sets ``datasets/ORG/NAME@...``. A blob is read
under the first name that makes it an artifact, or the first. Links that lead out of the cache, or
to nothing, are reported and not followed: the library makes none.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from safehold.scan.entries import Found, is_below, is_dir, is_excluded, list_directory
from safehold.scan.visit import is_artifact_name

_KINDS: Final = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}
_SNAPSHOTS: Final = "snapshots"
_BLOBS: Final = "blobs"
# A download that was broken off; nothing but the library that goes on with it reads it.
_INCOMPLETE: Final = ".incomplete"


def is_repository(path: str) -> bool:
    """Whether a directory is a repository of the cache, by its name and what is in it."""
    name = os.path.basename(os.path.abspath(path))
    kind, _, rest = name.partition("--")
    return kind in _KINDS and bool(rest) and os.path.isdir(os.path.join(path, _SNAPSHOTS))


@dataclass(frozen=True, slots=True)
class _Name:
    """A file's name in a snapshot, and where it leads."""

    label: str
    path: str


def find_in_repository(path: str, exclude: Sequence[str] = ()) -> Iterator[Found]:
    """Yield the files of one repository."""
    path = os.path.abspath(path)
    label = _label(os.path.basename(path))
    cache = os.path.dirname(os.path.realpath(path))
    names: dict[tuple[int, int], list[_Name]] = {}
    left_out: set[tuple[int, int]] = set()
    for name in _files(os.path.join(path, _SNAPSHOTS), f"{label}@"):
        if isinstance(name, Found):
            yield name
            continue
        if _is_excluded(name.label.removeprefix(f"{label}@"), exclude):
            left_out |= _identity(name.path)
            continue
        real = os.path.realpath(name.path)
        try:
            status = os.stat(real)
        except OSError as error:
            yield _problem(name, f"a link to nothing: {error.strerror}")
            continue
        if not is_below(real, cache):
            yield _problem(name, "a link that leaves the cache; scan its target by name")
        elif stat.S_ISDIR(status.st_mode):
            yield _problem(name, "a link to a directory, which the cache has none of")
        else:
            key = (status.st_dev, status.st_ino)
            names.setdefault(key, []).append(_Name(name.label, real))
    for group in names.values():
        first = next((name for name in group if is_artifact_name(name.label)), group[0])
        yield Found(first.path, named=False, label=first.label)
    yield from _rest(path, label, left_out | names.keys(), exclude)


def _problem(name: _Name, problem: str) -> Found:
    return Found(name.path, named=True, problem=problem, label=name.label)


def _rest(
    path: str, label: str, known: set[tuple[int, int]], exclude: Sequence[str]
) -> Iterator[Found]:
    """Yield what stands in the repository and no snapshot names."""
    for entry in list_directory(path):
        if isinstance(entry, OSError):
            yield Found(path, named=True, problem=str(entry.strerror), label=label)
        elif entry.name == _SNAPSHOTS or is_excluded(entry.name, exclude):
            continue
        elif not is_dir(entry, follow=False):
            yield Found(entry.path, named=False)
        else:
            for name in _files(entry.path, f"{label}@{entry.name}/"):
                if isinstance(name, Found):
                    yield name
                    continue
                in_blobs = os.path.dirname(name.path) == os.path.join(path, _BLOBS)
                if in_blobs and name.path.endswith(_INCOMPLETE):
                    continue
                relative = os.path.relpath(name.path, path)
                if not _is_excluded(relative, exclude) and not _identity(name.path) & known:
                    yield Found(name.path, named=False, label=name.label)


def _is_excluded(relative: str, exclude: Sequence[str]) -> bool:
    """Whether a pattern leaves out a path, or a directory that it is in."""
    parts = relative.split(os.sep)
    return any(is_excluded(os.sep.join(parts[: end + 1]), exclude) for end in range(len(parts)))


def _identity(path: str) -> set[tuple[int, int]]:
    """Return what tells a file from others; nothing for a link to nothing."""
    try:
        status = os.stat(path)
    except OSError:
        return set()
    return {(status.st_dev, status.st_ino)}


def _files(top: str, label: str) -> Iterator[_Name | Found]:
    """Yield every entry below a directory that is none itself, links too, by name."""
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        below: list[str] = []
        for entry in list_directory(directory):
            if isinstance(entry, OSError):
                shown = label + os.path.relpath(directory, top)
                yield Found(directory, named=True, problem=str(entry.strerror), label=shown)
            elif is_dir(entry, follow=False):
                below.append(entry.path)
            else:
                yield _Name(label + os.path.relpath(entry.path, top), entry.path)
        waiting.extend(reversed(below))


def _label(name: str) -> str:
    kind, _, rest = name.partition("--")
    return _KINDS[kind] + rest.replace("--", "/")
