"""Open Cybersecurity Schema Framework 1.3.0, https://schema.ocsf.io/1.3.0.

A violation is a Detection Finding (2004) with the profile Security Control, another event about an
artifact is a File System Activity (1001), any other a Base Event (0). What the schema has no name
for stands under ``unmapped``.
"""

from __future__ import annotations

import posixpath
from typing import IO, Any, Final

from safehold._version import __version__
from safehold.findings import Severity
from safehold.observe.formats._text import Lines, json_line, said
from safehold.observe.labels import is_violation, severity
from safehold.observe.lines import Line

VERSION: Final = "1.3.0"
_OTHER: Final = 99
_ACTIVITIES: Final = {
    "load": (2, "Read"), "read": (2, "Read"), "verify": (2, "Read"), "scan": (2, "Read"),
    "open": (14, "Open"), "dump": (3, "Update"), "append": (3, "Update"), "extend": (3, "Update"),
    "rename": (5, "Rename"), "quarantine": (5, "Rename"), "seal": (7, "Set Security"),
    "unseal": (7, "Set Security"), "rotate": (7, "Set Security"),
}  # fmt: skip
_SEVERITIES: Final = {
    Severity.INFO: (1, "Informational"),
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
_UNMAPPED: Final = ("zone", "codec", "key", "generation", "seconds", "request", "detail")


def writer(file: IO[bytes], host: str) -> Lines:
    """Return what writes to the file."""
    return Lines(file, lambda line: json_line(document(line, host)))


def document(line: Line, host: str) -> dict[str, Any]:
    """Return the event of a line."""
    event = line.event
    if is_violation(event):
        body = _finding(line)
    elif event.artifact:
        body = _activity(line, host)
    else:
        body = _of_class(0, 0, (_OTHER, event.action)) | _status(line)
    return {
        **body,
        "time": line.milliseconds,
        "message": said(line),
        "metadata": {
            "version": VERSION,
            "product": {"name": "safehold", "vendor_name": "safehold", "version": __version__},
            "profiles": ["security_control"] if is_violation(event) else [],
            "uid": line.id,
            "sequence": line.sequence,
            "event_code": event.rule or event.action,
            "log_name": "trail",
            "original_time": line.time,
        },
        "unmapped": {name: getattr(event, name) or None for name in _UNMAPPED},
    }


def _of_class(category: int, uid: int, activity: tuple[int, str]) -> dict[str, Any]:
    number, name = activity
    return {
        "category_uid": category,
        "class_uid": uid,
        "activity_id": number,
        "activity_name": name,
        "type_uid": uid * 100 + number,
        "severity_id": 1,
        "severity": "Informational",
    }


def _status(line: Line) -> dict[str, Any]:
    event = line.event
    is_success = event.outcome in ("allowed", "done")
    return {
        "status_id": 1 if is_success else 2,
        "status": "Success" if is_success else "Failure",
        "status_detail": event.reason,
    }


def _activity(line: Line, host: str) -> dict[str, Any]:
    event = line.event
    return {
        **_of_class(1, 1001, _ACTIVITIES.get(event.action, (_OTHER, event.action))),
        **_status(line),
        "actor": _actor(line),
        "device": {"type_id": 0, "type": "Unknown", "hostname": host},
        "file": _file(line),
    }


def _finding(line: Line) -> dict[str, Any]:
    event = line.event
    is_refused = event.outcome == "refused"
    number, name = _SEVERITIES[severity(event)]
    file = _file(line) if event.artifact else None
    return {
        **_of_class(2, 2004, (1, "Create")),
        "severity_id": number,
        "severity": name,
        "status_id": 1,
        "status": "New",
        "status_detail": event.reason,
        "action_id": 2 if is_refused else 1,
        "action": "Denied" if is_refused else "Allowed",
        "disposition_id": 2 if is_refused else 1,
        "disposition": "Blocked" if is_refused else "Allowed",
        "finding_info": {
            "uid": line.id,
            "title": said(line),
            "created_time": line.milliseconds,
            "analytic": {"type_id": 1, "type": "Rule", "uid": event.rule, "name": event.rule}
            if event.rule
            else None,
        },
        "evidences": [{"actor": _actor(line), "file": file}],
    }


def _actor(line: Line) -> dict[str, Any]:
    return {"app_name": line.event.caller or "safehold", "process": {"pid": line.pid}}


def _file(line: Line) -> dict[str, Any]:
    path = line.event.artifact
    name = posixpath.basename(path) or path
    return {"name": name, "path": path, "type_id": 1, "type": "Regular File",
            "size": line.event.size or None}  # fmt: skip
