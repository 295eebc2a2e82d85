"""The project's own JSON, schema 1; with a baseline it also says what is known."""

from __future__ import annotations

from typing import Any

from safehold.report.result import Entry, Item, Result
from safehold.report.shown import json_text


def render(result: Result) -> str:
    """Return the document, in printable ASCII."""
    whole: dict[str, Any] = {
        "schema": 1,
        "files": [_file(entry, result) for entry in result.entries],
        "summary": result.summary,
    }
    if result.compared:
        whole["baseline"] = {"suppressed": result.suppressed, "stale": list(result.stale)}
    return json_text(whole)


def _file(entry: Entry, result: Result) -> dict[str, Any]:
    row = entry.report.as_json()
    if result.compared:
        row["findings"] = [
            {**item.finding.as_json(), "suppressed": _known(item)} for item in entry.items
        ]
    return row


def _known(item: Item) -> dict[str, Any] | None:
    if item.known is None:
        return None
    expires = item.known.expires
    return {"reason": item.known.reason, "expires": None if expires is None else str(expires)}
