"""Puts an older version of an artifact back after the service's own program wrote a newer one."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from safehold.prove.artifacts import artifacts_of, changed, judged
from safehold.prove.probe import Probe
from safehold.prove.result import Attempt, NotTried, Said
from safehold.prove.world import World

_SECONDS = 120.0
_FILES = 3


def _attempts(world: World) -> Iterator[Attempt]:
    started = world.files()
    paths = artifacts_of(world)
    if not world.hints.renew:
        raise NotTried("no command that writes a newer version is known: name it in [prove] renew")
    old = {path: path.read_bytes() for path in paths}
    started.stop()
    if problem := started.run(world.hints.renew, _SECONDS):
        raise NotTried(f"the command of [prove] renew failed: {problem}")
    newer = [path for path in paths if path.read_bytes() != old[path]]
    if not newer:
        raise NotTried("the command of [prove] renew wrote none of the artifacts anew")
    for path in newer[:_FILES]:
        what = f"an older {path.relative_to(started.root)} put back"
        yield Attempt(what, functools.partial(_replay, world, path, old[path]))


def _replay(world: World, path: Path, content: bytes) -> Said:
    started = world.files()
    with changed(started, {path: content}):
        return judged(world, [path], started)


REPLAYED = Probe(
    "replayed-artifact", "SH113", "An older version of an artifact put back", _attempts
)
