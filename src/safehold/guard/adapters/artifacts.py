"""safehold's own artifacts: who loads must be what it says, and what loads is contained."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from safehold.guard import entries
from safehold.guard.attest import is_genuine
from safehold.guard.gate import Gate
from safehold.guard.grants import VERIFIED


def apply(module: ModuleType, gate: Gate) -> None:  # noqa: ARG001
    """Set what the module asks for where a guard is on."""
    found: Any = module
    if module.__name__.endswith(".callers"):
        found.attest = is_genuine
    else:
        found.contain = _contain


def _contain(decode: Any, *args: Any) -> Any:
    return entries.under(VERIFIED, decode, *args)
