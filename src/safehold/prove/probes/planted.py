"""Puts a call in front of a pickle: the loader runs it and still gets its object."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from safehold.prove.artifacts import artifacts_of, changed, is_read, reads_are_seen
from safehold.prove.probe import Probe
from safehold.prove.result import Attempt, Said
from safehold.prove.world import World

# PROTO 2, GLOBAL; BINUNICODE, TUPLE1 REDUCE POP; EMPTY_DICT STOP.
_CALL: Final = b"\x80\x02cposix\nsystem\nX"
_APPLY: Final = b"\x85R0"
_EMPTY: Final = b"}."


def planted(victim: bytes, marker: Path) -> bytes:
    """Return bytes that touch the marker when they are unpickled, and do nothing else."""
    command = f"touch {shlex.quote(str(marker))}".encode()
    rest = victim if victim.startswith(b"\x80") else _EMPTY
    return _CALL + len(command).to_bytes(4, "little") + command + _APPLY + rest


def _attempts(world: World) -> Iterator[Attempt]:
    root = world.files().root
    for path in artifacts_of(world):
        yield Attempt(
            f"a command in {path.relative_to(root)}", functools.partial(_plant, world, path)
        )


def _plant(world: World, path: Path) -> Said:
    started = world.files()
    marker = world.place / "marker"
    marker.unlink(missing_ok=True)
    with changed(started, {path: planted(path.read_bytes(), marker)}):
        problem = started.start()
        read = is_read(path)
    if marker.exists():
        return Said("got-in", "the command ran when the service loaded the file")
    if problem:
        return Said("held", f"the command did not run; the service refuses to start: {problem}")
    if read and reads_are_seen(world.place):
        return Said("held", "the service read the file and the command did not run")
    return Said("not-tried", "nothing shows that the service read the file; see [prove] warm")


PLANTED = Probe("planted-pickle", "SH151", "A command planted in an artifact", _attempts)
