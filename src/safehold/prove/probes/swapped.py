"""Exchanges two artifacts of one directory: each is genuine, and in the wrong place."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from safehold.prove.artifacts import artifacts_of, changed, judged
from safehold.prove.probe import Probe
from safehold.prove.result import Attempt, NotTried, Said
from safehold.prove.world import World

_PAIRS = 2


def _attempts(world: World) -> Iterator[Attempt]:
    root = world.files().root
    paths = sorted(artifacts_of(world), key=lambda path: (path.parent, path.suffix, path.name))
    pairs = [
        pair for pair in pairwise(paths)
        if (pair[0].parent, pair[0].suffix) == (pair[1].parent, pair[1].suffix)
    ]  # fmt: skip
    if not pairs:
        raise NotTried("no two artifacts of one kind lie in the same directory")
    for first, second in pairs[:_PAIRS]:
        what = f"{first.relative_to(root)} and {second.name} exchanged"
        yield Attempt(what, functools.partial(_swap, world, first, second))


def _swap(world: World, first: Path, second: Path) -> Said:
    started = world.files()
    contents = {first: second.read_bytes(), second: first.read_bytes()}
    with changed(started, contents):
        return judged(world, [first, second], started)


SWAPPED = Probe("swapped-artifacts", "SH113", "Two artifacts exchanged", _attempts)
