"""Artifacts: files that are authentic, fresh, of allowed types, and verified before parsed."""

from __future__ import annotations

from safehold.artifacts.store import Info, Store

__all__ = ["Info", "Store"]
