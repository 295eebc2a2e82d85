"""Databases: statements and their guard, names, connections, migrations that cannot tear."""

from __future__ import annotations

import importlib

from safehold.db.connections import check_connection, check_url
from safehold.db.names import DIALECTS, ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from safehold.db.guarding import connection_class, guard
    from safehold.db.migrations import Migrator, Plan, Step
    from safehold.inputs.requests import request_inputs

__all__ = [
    "DIALECTS",
    "Migrator",
    "Plan",
    "Step",
    "check_connection",
    "check_url",
    "connection_class",
    "guard",
    "ident",
    "request_inputs",
]

_LAZY = {
    "Migrator": "safehold.db.migrations",
    "Plan": "safehold.db.migrations",
    "Step": "safehold.db.migrations",
    "connection_class": "safehold.db.guarding",
    "guard": "safehold.db.guarding",
    "request_inputs": "safehold.inputs.requests",
}
"""What needs more than the core, or is heavier, and where it is: loaded at first use."""


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'safehold.db' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
