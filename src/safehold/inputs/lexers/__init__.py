"""Lexers of SQL, one file for each dialect: what is one token to the server."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Final

from safehold.errors import ConfigError
from safehold.inputs.lexers import mysql, postgresql, sqlite
from safehold.inputs.lexers.scanner import Lexer, Row, Statement, Token

__all__ = ["LEXERS", "Lexer", "Row", "Statement", "Token", "lexer"]

LEXERS: Final = {"sqlite": sqlite, "postgresql": postgresql, "mysql": mysql}
_ALSO: Final = {"mariadb": "mysql"}


def lexer(dialect: str, modes: Collection[str] = ()) -> Lexer:
    """Return the lexer of a dialect, named as SQLAlchemy does, for settings of the server.

    Raises:
        ConfigError: there is no such dialect, or it has no such setting.
    """
    return _lexer(dialect, frozenset(modes))


@functools.cache
def _lexer(dialect: str, modes: frozenset[str]) -> Lexer:
    module = LEXERS.get(_ALSO.get(dialect, dialect))
    if module is None:
        names = ", ".join(sorted({*LEXERS, *_ALSO}))
        raise ConfigError(f"unknown dialect {dialect!r}; there are: {names}")
    if unknown := modes - set(module.MODES):
        known = ", ".join(module.MODES) or "none"
        raise ConfigError(f"unknown mode {min(unknown)!r} of {dialect}; there are: {known}")
    found: Lexer = module.lexer(modes)
    return found
