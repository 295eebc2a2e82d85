r"""ArcSight's Common Event Format, version 0 of the header ("Implementing CEF", revision 25).

In the header `\` and `|` get a backslash, in the extension `\` and `=`, where a line feed is `\n`
and a carriage return `\r`. Other characters that do not print become ``\uXXXX``, whose backslash
is escaped like any other.
"""

from __future__ import annotations

import json
import posixpath
from typing import IO, Final

from safehold._version import __version__
from safehold.findings import Severity
from safehold.observe.formats._text import Lines, said
from safehold.observe.labels import is_violation, severity
from safehold.observe.lines import Line

_SEVERITIES: Final = {
    Severity.INFO: 1, Severity.LOW: 3, Severity.MEDIUM: 5, Severity.HIGH: 8, Severity.CRITICAL: 10,
}  # fmt: skip
# Most characters of each key in the dictionary of CEF; of others, as the custom strings.
_LENGTHS: Final = {"act": 63, "outcome": 63, "reason": 1023, "msg": 1023, "fname": 1023,
                   "filePath": 1023, "sproc": 1023, "dvchost": 100, "cat": 1023,
                   "flexString1": 1023, "flexString2": 1023}  # fmt: skip
_LONGEST: Final = 4000
_LONGEST_NAME: Final = 512


def writer(file: IO[bytes], host: str) -> Lines:
    """Return what writes to the file."""
    return Lines(file, lambda line: text(line, host))


def text(line: Line, host: str) -> str:
    """Return the event of a line."""
    event = line.event
    level = _SEVERITIES[severity(event)] if is_violation(event) else 1
    head = ("safehold", "safehold", __version__, event.rule or event.action,
            f"{event.action} {event.outcome}"[:_LONGEST_NAME], str(level))  # fmt: skip
    fields = {
        "rt": str(line.milliseconds),
        "dvchost": host,
        "dvcpid": str(line.pid) if line.pid is not None else "",
        "cat": "violation" if is_violation(event) else "operation",
        "act": event.action,
        "outcome": event.outcome,
        "reason": event.reason,
        "filePath": event.artifact,
        "fname": posixpath.basename(event.artifact),
        "fsize": str(event.size) if event.size > 0 else "",
        "sproc": event.caller,
        "suser": event.request.get("user", ""),
        "msg": said(line),
        **_custom("cs", ("line", line.id), ("rule", event.rule), ("zone", event.zone),
                  ("codec", event.codec), ("key", event.key),
                  ("mac", line.mac)),
        **_custom("cn", ("generation", str(event.generation) if event.generation else "")),
        **_custom("flexString", ("request", json.dumps(event.request) if event.request else ""),
                  ("detail", json.dumps(event.detail) if event.detail else "")),
    }  # fmt: skip
    extension = " ".join(
        f"{name}={_value(value[: _LENGTHS.get(name, _LONGEST)])}"
        for name, value in fields.items()
        if value
    )
    return "|".join(("CEF:0", *map(_header, head), extension))


def _custom(prefix: str, *fields: tuple[str, str]) -> dict[str, str]:
    """Return custom fields, numbered, each with its label; none for what is empty."""
    found: dict[str, str] = {}
    for number, (label, value) in enumerate(fields, start=1):
        if value:
            found[f"{prefix}{number}Label"], found[f"{prefix}{number}"] = label, value
    return found


def _header(value: str) -> str:
    return _printable(value, "").replace("\\", "\\\\").replace("|", "\\|")


def _value(value: str) -> str:
    shown = _printable(value, "\r\n").replace("\\", "\\\\").replace("=", "\\=")
    return shown.replace("\n", "\\n").replace("\r", "\\r")


def _printable(value: str, kept: str) -> str:
    if value.isprintable():
        return value
    return "".join(
        char if char.isprintable() or char in kept else json.dumps(char)[1:-1] for char in value
    )
