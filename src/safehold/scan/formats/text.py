"""JSON, where an artifact is expected: read in full, and searched for jsonpickle's keys."""

from __future__ import annotations

import json
from typing import Any, Final

from safehold.scan import rules
from safehold.scan.visit import Source, Visit

_LARGEST: Final = 16 * 2**20
_BLANKS: Final = b" \t\r\n"


def read(source: Source, visit: Visit) -> str | None:
    """Read JSON if the bytes are wanted and parse as it; None otherwise."""
    if not source.wanted or not 0 < len(source.data) <= _LARGEST:
        return None
    if bytes(source.data[:64]).lstrip(_BLANKS)[:1] not in (b"{", b"["):
        return None
    rebuilt: list[str] = []

    def watch(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        rebuilt.extend(key for key, _ in pairs if key.startswith("py/"))
        return {}

    try:
        json.loads(bytes(source.data), object_pairs_hook=watch)
    except (ValueError, RecursionError):
        return None
    if rebuilt:
        message = "names Python objects, which jsonpickle makes when it reads the file"
        detail = {"keys": sorted(set(rebuilt))[:20]}
        visit.note(source, rules.UNKNOWN_GLOBAL, message, None, detail)
    return "json"
