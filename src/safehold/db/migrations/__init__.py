"""Database migrations: an Alembic project under a lock, with a ledger and a trail."""

from __future__ import annotations

from safehold.db.migrations.migrator import Migrator, Plan, Step

__all__ = ["Migrator", "Plan", "Step"]
