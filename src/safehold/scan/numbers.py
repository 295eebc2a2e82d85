"""Number and string texts of protocol 0, read exactly as CPython's C loader reads them.

The C loader parses INT with ``strtol`` (base 0: hexadecimal, octal, a NUL ends the number) and
falls back to Python's own parser; LONG, GET and PUT go to Python's parser at once. `pickletools`
is stricter, which is how a pickle can run under CPython and yet look broken to a reader of it.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from safehold.scan.values import FLOAT, INTEGER

# Longer texts than CPython converts from decimal by default are not converted here either.
_LONGEST: Final = 4400
_STRTOL: Final = re.compile(
    rb"[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))(?=[\n\0])"
)
_FLOAT: Final = re.compile(
    rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)(?=[\n\0])",
    re.IGNORECASE,
)
_LONG_MAX: Final = 2**63 - 1


def parse_int(line: bytes) -> Any:
    """Return the value of an INT line (with its newline).

    Raises:
        ValueError: the C loader refuses it.
    """
    if len(line) > _LONGEST:
        return INTEGER
    if line[:1] == b"\0":
        # No digits at all, and strtol says zero.
        return False if len(line) == 3 else 0
    match = _STRTOL.match(line)
    if match is not None:
        sign, hexadecimal, octal, decimal = match.groups()
        value = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
        value = -value if sign == b"-" else value
        if -_LONG_MAX - 1 <= value <= _LONG_MAX:
            return bool(value) if len(line) == 3 and value in (0, 1) else value
    return _python_int(line, 0)


def parse_long(line: bytes) -> Any:
    """Return the value of a LONG line (with its newline).

    Raises:
        ValueError: the C loader refuses it.
    """
    if len(line) > _LONGEST:
        return INTEGER
    text = line[:-1]
    return _python_int(text[:-1] if text.endswith(b"L") else text, 0)


def parse_index(line: bytes) -> int:
    """Return the memo index of a GET or PUT line (with its newline).

    Raises:
        ValueError: the C loader refuses it.
    """
    if len(line) > _LONGEST:
        raise ValueError("memo index too long")
    return _python_int(line, 10)


def parse_float(line: bytes) -> Any:
    """Return a stand-in for the value of a FLOAT line (with its newline).

    Raises:
        ValueError: the C loader refuses it.
    """
    if len(line) > _LONGEST:
        return FLOAT
    match = _FLOAT.match(line)
    if match is None:
        raise ValueError("not a float")
    text = match.group()
    # "inf" is fine, but a number that becomes infinite is not.
    if math.isinf(float(text)) and b"n" not in text.lower():
        raise ValueError("too large for a float")
    return FLOAT


def parse_quoted(line: bytes) -> str:
    """Return the text of a STRING line (with its newline), decoded with whatever ASCII says.

    Raises:
        ValueError: no quotes around it, or a broken escape.
    """
    text = line[:-1]
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
        raise ValueError("the STRING opcode argument must be quoted")
    return unescape(text[1:-1]).decode("ascii", "surrogateescape")


_ESCAPE: Final = re.compile(
    rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|(\n)|([\\'\"abfnrtv])|(x)|(.)|$)", re.DOTALL
)
_LETTERS: Final = {
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}


def unescape(text: bytes) -> bytes:
    r"""Undo backslash escapes as ``PyBytes_DecodeEscape`` does, without its warnings.

    Raises:
        ValueError: a lone backslash at the end, or ``\x`` without two digits.
    """
    return _ESCAPE.sub(_unescaped, text) if b"\\" in text else text


def _unescaped(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, newline, letter, bad, other = match.groups()
    if octal:
        return bytes([int(octal, 8) & 255])
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    if newline:
        return b""
    if letter:
        return _LETTERS[letter]
    if bad or not other:
        raise ValueError("broken escape")
    return match.group()


def _python_int(text: bytes, base: int) -> int:
    return int(text.split(b"\0", 1)[0], base)
