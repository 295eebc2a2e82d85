"""What a statement is without its values: one line, in lower case, fit to be shown and compared.

A string becomes ``''``, a number ``0``, a comment a space; quoted names keep their quotes, so that
one is never taken for a word of the language. Lists of values become one value and ``...``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from safehold.inputs.lexers import Statement

# (The digit first: a place for one is found faster than a place behind something.)
_NUMBER: Final = re.compile(r"\d(?<![\w$:@?%\"`\]]\d)[\w.]*+")
_VALUE: Final = r"(?:''|[-+]?0|null|\?\d*|%s|%\(\w+\)s|[:$@]\w+(?:::\w+)?)"
_LIST: Final = re.compile(rf"\( ?({_VALUE})(?: ?, ?{_VALUE})++ ?\)")
_ROWS: Final = re.compile(r"(\([^()]*+\))(?: ?, ?\1)++")
_BAD: Final = re.compile(r"[^\w .$-]")
_MYSQL_LINE: Final = re.compile(r"--(?:\s|\Z)")
_ESCAPED: Final = re.compile(r"\\(?:([0-9a-f]{4})|\+([0-9a-f]{6}))")


def skeleton(statement: Statement, dialect: str) -> str:
    """Return a statement without its values."""
    plain = " ".join("".join(_pieces(statement, dialect)).split()).strip(" ;")
    plain = _NUMBER.sub("0", plain)
    if "(" in plain and "," in plain:
        plain = _LIST.sub(r"(\1, ...)", plain)
        if "),(" in plain or "), (" in plain:
            plain = _ROWS.sub(r"\1, ...", plain)
    return plain


def fingerprint(plain: str) -> str:
    """Return what statements that differ in their values alone have in common."""
    return blake2b(plain.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def ends_in_comment(statement: Statement) -> bool:
    """Say whether what a comment hides runs to the very end, which no program needs."""
    text = statement.text.rstrip(" \t;")
    ends = statement.ends
    last = statement.text[ends[-2] if len(ends) > 1 else 0 :]
    if last.startswith("/*"):
        return not text.endswith("*/")
    return last[:2] == "--" or last[:1] == "#"


def _pieces(statement: Statement, dialect: str) -> Iterator[str]:
    text, start = statement.text, 0
    is_mysql = dialect in ("mysql", "mariadb")
    for end in statement.ends:
        piece = text[start:end]
        start = end
        first, last = piece[0], piece[-1]
        if first == "/" and piece[1:2] == "*":
            yield " /*! " if is_mysql and piece[2:3] in ("!", "M") else " "
        elif is_mysql and (first == "#" or piece == "*/" or _MYSQL_LINE.match(piece)):
            yield " "  # what is hidden
        elif not is_mysql and piece.startswith("--"):
            yield " "
        elif last == "'" or (last == '"' and is_mysql) or (last == "$" and first == "$"):
            yield "''"
        elif last in '"`' or (first == "[" and last == "]"):
            yield _name(piece.lower())
        else:
            yield piece.lower()


def _name(piece: str) -> str:
    """Return a quoted name in double quotes, without what would look like something else."""
    if piece.startswith("u&"):
        piece = _ESCAPED.sub(_character, piece[2:])
    return f'"{_BAD.sub("_", piece[1:-1])}"'


def _character(found: re.Match[str]) -> str:
    number = int(found[1] or found[2], 16)
    return chr(number).lower() if number <= 0x10FFFF else "_"
