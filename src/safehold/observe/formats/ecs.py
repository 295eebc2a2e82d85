"""Elastic Common Schema 8.11, https://www.elastic.co/guide/en/ecs/8.11.

What the schema has no name for stands under ``safehold``, as the schema asks of custom fields.
"""

from __future__ import annotations

import json
import posixpath
from typing import IO, Any, Final

from safehold._version import __version__
from safehold.observe.formats._text import Lines, json_line, said
from safehold.observe.labels import is_violation, severity
from safehold.observe.lines import Line

VERSION: Final = "8.11.0"
_TYPES: Final = {
    "load": "access", "read": "access", "open": "access", "verify": "access", "scan": "access",
    "dump": "change", "append": "change", "extend": "change", "rename": "change",
    "seal": "change", "unseal": "change", "rotate": "change", "quarantine": "change",
}  # fmt: skip
_OUTCOMES: Final = {"allowed": "success", "done": "success", "refused": "failure",
                    "failed": "failure"}  # fmt: skip
_NANOSECONDS: Final = 10**9
_NOT_ECS: Final = ("zone", "codec", "key", "generation", "caller")


def writer(file: IO[bytes], host: str) -> Lines:
    """Return what writes to the file."""
    return Lines(file, lambda line: json_line(document(line, host)))


def document(line: Line, host: str) -> dict[str, Any]:
    """Return the event of a line."""
    event = line.event
    path = event.artifact
    is_bad = is_violation(event)
    kinds = [_TYPES.get(event.action, "info")]
    if event.outcome in ("allowed", "refused"):
        kinds.append("allowed" if event.outcome == "allowed" else "denied")
    return {
        "@timestamp": line.time,
        "ecs": {"version": VERSION},
        "message": said(line),
        "event": {
            "kind": "alert" if is_bad else "event",
            # `allowed` and `denied` are types of this category, `access` and `change` of both.
            "category": ["api", "file"] if path else ["api"],
            "type": kinds,
            "action": event.action,
            "outcome": _OUTCOMES.get(event.outcome, "unknown"),
            "reason": event.reason,
            "code": event.rule,
            "id": line.id,
            "sequence": line.sequence,
            "severity": int(severity(event)) if is_bad else None,
            "duration": int(event.seconds * _NANOSECONDS) or None,
            "module": "safehold",
            "dataset": "safehold.trail",
        },
        "rule": {"id": event.rule},
        "file": {"path": path, "name": posixpath.basename(path), "size": event.size or None},
        "host": {"name": host},
        "process": {"pid": line.pid},
        "observer": {"vendor": "safehold", "product": "safehold", "version": __version__},
        "user": {"name": event.request.get("user")},
        "trace": {"id": event.request.get("trace")},
        "http": {"request": {"id": event.request.get("request")}},
        "safehold": {
            **{name: getattr(event, name) or None for name in _NOT_ECS},
            "outcome": event.outcome,
            # As text: else each name in it would become a field of the index.
            "request": json.dumps(event.request) if event.request else None,
            "detail": json.dumps(event.detail) if event.detail else None,
        },
    }
