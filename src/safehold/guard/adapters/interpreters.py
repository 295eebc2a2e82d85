"""Sub-interpreters: what makes them tells of it only where a thread of this one is held meanwhile.

That is so for `_interpreters`, and for what CPython's own tests make them with.
"""

from __future__ import annotations

import sys

from safehold.guard.adapters import in_place_of
from safehold.guard.grants import UNTRUSTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, ModuleType
    from typing import Any

    from safehold.guard.gate import Gate

_FUNCTIONS = ("create", "exec", "call", "run_string", "run_func", "run_in_subinterp",
              "run_in_subinterp_with_config")  # fmt: skip
_LISTING = ("_interpreters", "_xxsubinterpreters")


def apply(module: ModuleType, gate: Gate) -> None:
    """Refuse to make interpreters, and to run anything in those of before."""
    for name in _FUNCTIONS:
        if hasattr(module, name):
            setattr(module, name, _refusing(getattr(module, name), gate))


def check_others(gate: Gate) -> None:
    """Refuse to go on beside interpreters from before the guard was on. Raises Blocked."""
    for name in _LISTING:
        module: Any = sys.modules.get(name)
        if module is not None and len(module.list_all()) > 1:
            refuse(gate, sys._getframe(1))  # noqa: SLF001
            return


def _refusing(raw: Any, gate: Gate) -> Any:
    def refused(*args: Any, **options: Any) -> Any:
        refuse(gate, sys._getframe(1))  # noqa: SLF001
        return raw(*args, **options)

    return in_place_of(raw, refused)


def refuse(gate: Gate, frame: FrameType | None) -> None:
    """Refuse a sub-interpreter. Raises Blocked."""
    gate.refuse(
        "a sub-interpreter has no audit hooks of this one, so nothing would be refused there",
        UNTRUSTED,
        frame,
        rule="SH174",
        action="interpreter",
    )
