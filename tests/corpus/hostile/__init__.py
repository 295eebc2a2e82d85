"""Hostile files: each really does something when its loader loads it."""

from __future__ import annotations

from tests.corpus.hostile import plain

CASES = [
    *plain.CASES,
]
