"""Formats of one text line for each event."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import IO, Any

from safehold.observe.lines import Line


class Lines:
    """Writes what a function makes of each line."""

    def __init__(self, file: IO[bytes], form: Callable[[Line], str]) -> None:
        self._file = file
        self._form = form

    def write(self, line: Line) -> None:
        """Write one line."""
        self._file.write(self._form(line).encode("utf-8", "backslashreplace") + b"\n")

    def close(self) -> None:
        """Write what is left to write: nothing."""


def json_line(document: dict[str, Any]) -> str:
    """Return a document in printable ASCII on one line, without what is empty in it."""
    text = json.dumps(_filled(document), ensure_ascii=True, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f")


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        filled = ((name, _filled(item)) for name, item in value.items())
        return {name: item for name, item in filled if item not in (None, "", {}, [])}
    return [_filled(item) for item in value] if isinstance(value, list) else value


def said(line: Line) -> str:
    """Return an event as a sentence."""
    event = line.event
    about = f" {event.artifact}" if event.artifact else ""
    why = f": {event.reason}" if event.reason else ""
    return f"{event.action}{about} {event.outcome}{why}"
