"""Flips a bit inside an artifact: a service that runs on it serves what nobody stored."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from safehold.prove.artifacts import artifacts_of, changed, judged
from safehold.prove.probe import Probe
from safehold.prove.result import Attempt, Said
from safehold.prove.world import World

_FILES = 3


def _attempts(world: World) -> Iterator[Attempt]:
    root = world.files().root
    largest = sorted(artifacts_of(world), key=lambda path: -path.stat().st_size)[:_FILES]
    for path in largest:
        what = f"one bit in the middle of {path.relative_to(root)}"
        yield Attempt(what, functools.partial(_flip, world, path))


def _flip(world: World, path: Path) -> Said:
    content = bytearray(path.read_bytes())
    if not content:
        return Said("not-tried", "the file is empty")
    content[len(content) // 2] ^= 0x01
    started = world.files()
    with changed(started, {path: bytes(content)}):
        return judged(world, [path], started)


TAMPERED = Probe("tampered-artifact", "SH113", "An artifact with a bit flipped", _attempts)
