"""Names of tables and columns, quoted so that they are names and nothing else.

Every name is quoted, so that none has to be known as a reserved word: which words are differs by
version. What is refused would be another name than the one that was asked for, or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from safehold.errors import QueryRefused

_NAMED: Final = 40
"""Characters of a name that an error repeats."""
# Drivers look for parameters in the whole text, also between quotes.
_PLACEHOLDERS: Final = "%:?"


@dataclass(frozen=True, slots=True)
class _Dialect:
    """``most``: of bytes, or of characters; a longer name is cut by the server or refused."""

    quote: str
    most: int | None = None
    counts_bytes: bool = False
    widest: int = 0x10FFFF
    may_end_in_space: bool = True


# SQLite takes "x" for a string where no column has the name, and says nothing: not so `x`.
_SQLITE: Final = _Dialect("`")
# NAMEDATALEN - 1 bytes; longer names are cut with a notice, so that two can become one.
_POSTGRESQL: Final = _Dialect('"', most=63, counts_bytes=True)
# Backquotes hold whatever ANSI_QUOTES says. No character beyond U+FFFF, no space at the end.
_MYSQL: Final = _Dialect("`", most=64, widest=0xFFFF, may_end_in_space=False)
_DIALECTS: Final = {
    "sqlite": _SQLITE,
    "postgresql": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
DIALECTS: Final = tuple(_DIALECTS)
"""The names of dialects, as SQLAlchemy has them."""


def ident(name: str, dialect: str) -> str:
    """Return the name of one table, column or other object, quoted for a dialect.

    A dot is a part of the name: quote schema and table each by itself. Upper and lower case are
    kept, which on PostgreSQL names another table than the same word without quotes. Whether the
    caller may see the table that it names is not judged.

    Raises:
        QueryRefused: no name of the dialect, or one that its drivers would read parameters in.
    """
    rules = _DIALECTS.get(dialect)
    if rules is None:
        raise QueryRefused(f"unknown dialect {dialect!r}; there are: {', '.join(DIALECTS)}")
    if not isinstance(name, str):
        raise QueryRefused(f"a name is a str, not {type(name).__name__}")
    if (reason := _refused(name, rules)) is not None:
        raise QueryRefused(f"no name for {dialect}: {name[:_NAMED]!r} {reason}")
    return f"{rules.quote}{name.replace(rules.quote, rules.quote * 2)}{rules.quote}"


def _refused(name: str, rules: _Dialect) -> str | None:
    """Say why a text cannot be a name."""
    if not name:
        return "is empty"
    if "\0" in name:
        return "has a NUL"
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "has half a character"
    if any(mark in name for mark in _PLACEHOLDERS):
        return f"has one of {' '.join(_PLACEHOLDERS)}, where drivers look for parameters"
    if any(ord(character) > rules.widest for character in name):
        return f"has a character beyond U+{rules.widest:04X}"
    if not rules.may_end_in_space and name.endswith(" "):
        return "ends in a space"
    length = len(name.encode()) if rules.counts_bytes else len(name)
    if rules.most is not None and length > rules.most:
        unit = "bytes" if rules.counts_bytes else "characters"
        return f"is longer than {rules.most} {unit}"
    return None
