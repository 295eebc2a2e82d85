"""`subprocess` and `os`: children get the guard along with an environment of their own.

And files that were sealed are sealed for the name that they are given.
"""

from __future__ import annotations

import os

from safehold.guard import moving
from safehold.guard.adapters import in_place_of
from safehold.guard.starting import carried, put_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from safehold.guard.gate import Gate


def apply(module: ModuleType, gate: Gate) -> None:
    """Give each child the variables that turn the guard on."""
    lend = gate.recording.lent
    if module is os:
        for name, position in (("execve", 2), ("posix_spawn", 2), ("posix_spawnp", 2)):
            if hasattr(os, name):
                setattr(os, name, _carrying(getattr(os, name), position, lend))
        for name in ("execv", "system"):
            setattr(os, name, _putting(getattr(os, name), lend))
        for name in ("rename", "replace"):
            setattr(os, name, moving.sealing(getattr(os, name), gate))
        return
    found: Any = module
    if module.__name__ == "_posixsubprocess":
        found.fork_exec = _forking(found.fork_exec, lend)
        return
    import _posixsubprocess

    found._fork_exec = _posixsubprocess.fork_exec  # noqa: SLF001  (it may have one from before)


_ENV = 5  # among those of fork_exec


def _forking(raw: Any, lend: Callable[[], str]) -> Any:
    """Return ``fork_exec``, by which `subprocess`, multiprocessing and loky start programs."""

    def fork_exec(*args: Any) -> Any:
        listed = args[_ENV]
        if listed is None:
            put_back(lend)
            return raw(*args)
        given = dict(os.fsencode(entry).split(b"=", 1) for entry in listed)
        changed = carried(given, lend)
        if changed is not given and changed is not None:
            listed = [os.fsencode(name) + b"=" + os.fsencode(changed[name]) for name in changed]
        return raw(*args[:_ENV], listed, *args[_ENV + 1 :])

    return in_place_of(raw, fork_exec)


def _putting(raw: Any, lend: Callable[[], str]) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        put_back(lend)
        return raw(*args, **options)

    call.__name__ = call.__qualname__ = raw.__name__
    call.__module__ = "os"  # where one finds this very function
    return call


def _carrying(raw: Any, position: int, lend: Callable[[], str]) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        if "env" in options:
            options["env"] = carried(options["env"], lend)
        elif len(args) > position:
            args = (*args[:position], carried(args[position], lend), *args[position + 1 :])
        return raw(*args, **options)

    call.__name__ = call.__qualname__ = raw.__name__
    call.__module__ = "os"  # where one finds this very function
    return call
