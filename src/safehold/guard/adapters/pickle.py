"""`pickle`: the module's functions and classes, and its unpickler in Python."""

from __future__ import annotations

from safehold.guard import unpicklers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from safehold.guard.gate import Gate


def apply(module: ModuleType, gate: Gate) -> None:  # noqa: ARG001
    """Replace the entry points."""
    unpicklers.adapt_pickle(module)
