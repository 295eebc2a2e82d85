"""Text from files, names and errors made harmless for a terminal or a log."""

from __future__ import annotations

import sys


def printable(text: object) -> str:
    """Return one line: control characters, escape sequences and the like become escapes."""
    shown = "".join(char if char.isprintable() else _escape(char) for char in str(text))
    encoding = sys.stdout.encoding or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
