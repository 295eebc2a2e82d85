"""`_pickle`: the C module's functions and types."""

from __future__ import annotations

import sys

from safehold.guard import entries, unpicklers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from safehold.guard.gate import Gate


def apply(module: ModuleType, gate: Gate) -> None:
    """Replace the entry points."""
    entries.install(module, gate)
    entries.load_minted = unpicklers.load_minted
    unpicklers.install()
    if "loads" in vars(sys.modules.get("pickle", sys)):  # else nobody has taken anything yet
        from safehold.guard import captured

        captured.install()
