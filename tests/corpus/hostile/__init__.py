"""Hostile files: each really does something when its loader loads it."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.corpus.hostile import (
    arrays,
    bombs,
    crossed,
    documents,
    forms,
    frames,
    models,
    packed,
    plain,
    sevenzip,
    streams,
    walks,
)

_ALL = [
    *plain.CASES,
    *forms.CASES,
    *walks.CASES,
    *streams.CASES,
    *packed.CASES,
    *frames.CASES,
    *sevenzip.CASES,
    *arrays.CASES,
    *models.CASES,
    *documents.CASES,
    *crossed.CASES,
    *bombs.CASES,
]


def _plain(name: str) -> str:
    """Ids stand in paths that payloads name without quotes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


CASES = [replace(case, id=_plain(case.id)) for case in _ALL]
