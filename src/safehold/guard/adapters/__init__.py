"""One module per library, with ``apply(module, gate)``; see `safehold.guard.importing`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def in_place_of(original: Any, function: Any) -> Any:
    """Give a function the name of the one that it replaces: programs pickle them by it."""
    function.__module__, function.__name__ = original.__module__, original.__name__
    function.__qualname__, function.__doc__ = original.__qualname__, original.__doc__
    return function
