"""Text of artifacts, names and errors made harmless for terminals, pages and the logs of CI.

Control characters, line and paragraph separators, and what reorders a line (bidirectional marks)
become escapes. So do the words by which a runner takes a line of output for a command: GitHub's
``::name::`` at the start of a line, and ``##[name]``, ``##vso[name]`` and ``##teamcity[name]``
anywhere in one. Letters that only look like others stay as they are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

_COMMANDS: Final = re.compile(r"##(?=\[|vso\[|teamcity\[)", re.IGNORECASE)
_FIRST: Final = re.compile(r"^(\s*):(?=:)")


def escaped(text: object) -> str:
    """Return the text on one line, with every character that does not print as an escape."""
    value = str(text)
    if value.isprintable():
        return value
    return "".join(char if char.isprintable() else _escape(char) for char in value)


def log_line(text: object) -> str:
    """Return one line for a terminal or a log, which no runner takes for a command."""
    return _FIRST.sub(r"\1\\x3a", _COMMANDS.sub(r"#\\x23", escaped(text)))


def json_text(value: Any) -> str:
    """Return a value as JSON in printable ASCII, which confuses no terminal, log or runner."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=True, allow_nan=False)
    return text.replace("##", "#\\u0023") + "\n"  # can only stand inside a string


def plain(value: Any) -> Any:
    """Return what JSON can hold: NaN and infinities, say from an artifact's metadata, as text."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
