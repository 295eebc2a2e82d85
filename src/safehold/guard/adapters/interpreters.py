"""Sub-interpreters: what makes them tells of it only where a thread of this one is held meanwhile.

That is so for `_interpreters`, and for what CPython's own tests make them with.
"""

from __future__ import annotations

import sys

from safehold.guard.adapters import in_place_of
from safehold.guard.grants import UNTRUSTED
from safehold.guard.native import native

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
    """Refuse to go on beside interpreters from before the guard was on.

    Raises:
        Blocked: they are not guarded. With the extension in C nothing is loaded there; then this
            is recorded alone.
    """
    modules: list[Any] = [sys.modules[name] for name in _LISTING if name in sys.modules]
    if not any(len(module.list_all()) > 1 for module in modules):
        return
    try:
        refuse(gate, sys._getframe(1))  # noqa: SLF001
    except Exception as refusal:  # any where nothing holds them, or it is in no trail
        if native is None or hasattr(refusal, "__notes__"):
            raise


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


def refuse_within(gate: Gate, event: str) -> None:
    """Refuse what an interpreter does that was made past the guard. Raises Blocked."""
    gate.refuse(
        f"{event} in a sub-interpreter, which is not guarded; use a process",
        UNTRUSTED,
        None,
        event,
        rule="SH174",
        action="interpreter",
    )
