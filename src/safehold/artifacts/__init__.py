"""Artifacts: files that are authentic, fresh, of allowed types, and verified before parsed."""

from __future__ import annotations

from safehold.artifacts.bundle import Signature
from safehold.artifacts.info import Info
from safehold.artifacts.store import Packing, Store

__all__ = ["Info", "Packing", "Signature", "Store"]
