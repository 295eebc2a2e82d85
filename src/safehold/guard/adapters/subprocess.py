"""`subprocess` and `os`: children get the guard along with an environment of their own.

And files that were sealed are sealed for the name that they are given.
"""

from __future__ import annotations

import os

from safehold.guard import moving
from safehold.guard.starting import carried

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
        for name in ("rename", "replace"):
            setattr(os, name, moving.sealing(getattr(os, name), gate))
        return
    popen: Any = module.Popen
    raw = popen.__init__

    def start(self: Any, *args: Any, **options: Any) -> None:
        if len(args) > _ENV:
            args = (*args[:_ENV], carried(args[_ENV], lend), *args[_ENV + 1 :])
        else:
            options["env"] = carried(options.get("env"), lend)
        raw(self, *args, **options)

    start.__wrapped__ = raw  # type: ignore[attr-defined]  # its signature
    popen.__init__ = start


_ENV = 10  # among the positional parameters of Popen


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
