"""All families of hostile files, by name."""

from __future__ import annotations

from typing import Final

from tests.fuzz import hostile_bytes, hostile_models
from tests.fuzz.hostile_bytes import Family

FAMILIES: Final[dict[str, Family]] = {**hostile_bytes.FAMILIES, **hostile_models.FAMILIES}
