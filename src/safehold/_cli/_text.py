"""Text from files, names and errors made harmless for a terminal or a log."""

from __future__ import annotations

import sys

from safehold.report.shown import log_line


def printable(text: object) -> str:
    """Return one line: control characters, escape sequences and the like become escapes."""
    return encodable(log_line(text))


def encodable(text: str) -> str:
    """Return the text with escapes for what standard output cannot encode."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
