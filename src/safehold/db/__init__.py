"""Databases: names that no parameter can stand for, connections, migrations that cannot tear."""

from __future__ import annotations

from safehold.db.connections import check_connection, check_url
from safehold.db.names import DIALECTS, ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from safehold.db.migrations import Migrator, Plan, Step

__all__ = ["DIALECTS", "Migrator", "Plan", "Step", "check_connection", "check_url", "ident"]

_LAZY = ("Migrator", "Plan", "Step")
"""What needs SQLAlchemy and Alembic, loaded at first use."""


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'safehold.db' has no attribute {name!r}")
    from safehold.db import migrations

    return getattr(migrations, name)
