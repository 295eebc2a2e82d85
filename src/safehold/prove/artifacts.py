"""Artifacts of the copy: which there are, how they are changed, whether the service read them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from safehold.prove.result import NotTried, Said
from safehold.prove.target import Started
from safehold.prove.tree import files_of
from safehold.prove.world import World

_SUFFIXES: Final = frozenset(
    ".pkl .pickle .p .joblib .dill .cloudpickle .pt .pth .npy .sav .model".split()
)
_MOST: Final = 12
_DAY: Final = 86_400 * 10**9


def artifacts_of(world: World, most: int = _MOST) -> list[Path]:
    """Return the artifacts that the hints name, else those with a usual suffix. Raises NotTried."""
    root = world.files().root
    if world.hints.artifacts:
        found = {path for name in world.hints.artifacts for path in root.glob(name)}
        paths = sorted(path for path in found if path.is_file() and not path.is_symlink())
    else:
        paths = [path for path in files_of(root) if path.suffix.lower() in _SUFFIXES]
    if not paths:
        raise NotTried("the tree holds no artifact; name them in [prove] artifacts")
    return paths[:most]


@contextlib.contextmanager
def changed(started: Started, contents: dict[Path, bytes]) -> Iterator[None]:
    """Put other bytes into files of the stopped service, and the old ones back afterwards."""
    started.stop()
    old = {path: path.read_bytes() for path in contents}
    try:
        for path, content in contents.items():
            write(path, content)
        yield
    finally:
        started.stop()
        for path, content in old.items():
            write(path, content)


def write(path: Path, content: bytes) -> None:
    """Write a file as an attacker would, and make it look unread."""
    path.write_bytes(content)
    forget(path)


def forget(path: Path) -> None:
    """Set the time of the last read back: the next read sets it anew, also under `relatime`."""
    found = os.stat(path)
    os.utime(path, ns=(found.st_mtime_ns - _DAY, found.st_mtime_ns))


def is_read(path: Path) -> bool:
    """Whether the file was read since `forget`."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return found.st_atime_ns != found.st_mtime_ns - _DAY


def reads_are_seen(place: Path) -> bool:
    """Whether this file system tells of reads at all."""
    sample = place / "read"
    write(sample, b"read")
    sample.read_bytes()
    return is_read(sample)


def judged(world: World, paths: list[Path], started: Started) -> Said:
    """Start the service on what stands in the files: does it run on them as if nothing were?"""
    problem = started.start()
    if problem:
        return Said("held", f"the service does not start on it: {problem}")
    if not reads_are_seen(world.place):
        return Said("not-tried", "the file system does not tell whether the service read the file")
    if not all(is_read(path) for path in paths):
        return Said("not-tried", "the service started without reading the file")
    return Said("got-in", "the service read the file and runs on it")
