"""Statements of SQL: names that no parameter can stand for."""

from __future__ import annotations

from safehold.db.names import DIALECTS, ident

__all__ = ["DIALECTS", "ident"]
