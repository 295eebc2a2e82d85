"""The list that GitLab shows on merge requests: its Code Quality report.

GitLab takes no SARIF there. A place is a file and a line, so what is in an artifact is on line 1;
the fingerprint is that of path and finding together, as GitLab compares nothing else. Known
findings are left out: the format has no way to say that they are.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final
from urllib.parse import unquote

from safehold.findings import Severity
from safehold.report.names import uri_of
from safehold.report.result import Entry, Item, Result
from safehold.report.shown import escaped, json_text

_SEVERITIES: Final = {
    Severity.CRITICAL: "blocker",
    Severity.HIGH: "critical",
    Severity.MEDIUM: "major",
    Severity.LOW: "minor",
    Severity.INFO: "info",
}


def render(result: Result) -> str:
    """Return the document."""
    return json_text(
        [
            _row(entry, item, result.root)
            for entry in result.entries
            for item in entry.items
            if item.known is None
        ]
    )


def _row(entry: Entry, item: Item, root: str) -> dict[str, Any]:
    finding, where = item.finding, item.finding.location
    uri = uri_of(entry.report.path, root)
    line = "" if where.line is None else f", line {where.line}"
    member = "" if where.member is None else f" (in {where.member}{line})"
    told = f"{finding.rule.id}: {finding.message}{member}. {finding.remedy}"
    return {
        "description": escaped(told),
        "check_name": finding.rule.name,
        "fingerprint": hashlib.sha256(f"{uri}\n{item.fingerprint}".encode()).hexdigest(),
        "severity": _SEVERITIES[finding.severity],
        "location": {
            "path": escaped(_path(uri)),
            "lines": {"begin": max(where.line or 1, 1) if where.member is None else 1},
        },
    }


def _path(uri: str) -> str:
    """Return the path below the root as it is called there, which GitLab wants instead of a URI."""
    return uri if "://" in uri else unquote(uri, errors="surrogateescape")
