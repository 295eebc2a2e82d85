"""loky, by itself and within joblib: its workers read their task from a pipe."""

from __future__ import annotations

from types import ModuleType

from safehold.guard import channels
from safehold.guard.gate import Gate


def apply(module: ModuleType, gate: Gate) -> None:  # noqa: ARG001
    """Look for them from now on."""
    channels.expect_boot()
