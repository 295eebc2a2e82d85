"""Tokens of SQLite, as `sqlite3GetToken` of its tokenize.c reads them."""

from __future__ import annotations

from typing import Final

from safehold.inputs.lexers.scanner import (
    BLOCK,
    LINE,
    NAME,
    NUMBER,
    OPERATOR,
    PARAMETER,
    SPACE,
    STRING,
    WORD,
    Lexer,
    Row,
    quoted,
)

_ID: Final = "[A-Za-z0-9_$\\x80-\\U0010ffff]"
_RUN: Final = (
    f"[A-WYZa-wyz_\\x80-\\ufefe\\uff00-\\U0010ffff]{_ID}*+[ .,=()]*+|[xX](?!'){_ID}*+"
    f"|[ \\t\\n\\f\\r.,()=<>;?+*%&|~]++|[0-9](?:[eE][+-][0-9]|{_ID})*+|-(?!-)|/(?!\\*)"
)
_DIGITS: Final = "[0-9](?:_?[0-9])*+"

# A number that goes on as a word is no token.
ROWS: Final = (
    Row(SPACE, "[ \\t\\n\\f\\r\\ufeff][ \\t\\n\\v\\f\\r\\ufeff]*+"),
    Row(LINE, "--[^\\n]*+"),
    # At the very end `/*` is two operators; a comment need not be closed.
    Row(BLOCK, "/\\*(?!\\Z)(?:[^*]++|\\*(?!/))*+(?:\\*/|\\Z)"),
    Row(STRING, quoted("'"), "'", quote="'"),
    Row(NAME, quoted('"'), '"', quote='"'),
    Row(NAME, quoted("`"), "`", quote="`"),
    Row(NAME, "\\[[^\\]]*+", "\\]"),
    Row(STRING, "[xX]'(?:[0-9a-fA-F]{2})*+", "'", quote="'"),
    Row(WORD, f"(?![xX]')[A-Za-z_\\x80-\\U0010ffff]{_ID}*+"),
    Row(
        NUMBER,
        f"(?:0[xX][0-9a-fA-F](?:_?[0-9a-fA-F])*+"
        f"|(?:{_DIGITS}(?:\\.(?:{_DIGITS})?)?|\\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?)(?!{_ID})",
    ),
    # Tcl's names: `::` within, and an index in parentheses.
    Row(PARAMETER, f"\\?[0-9]*+|[$@:#](?:::)*+{_ID}(?:{_ID}|::)*+(?:\\([^)\\s]*+\\)|(?!\\())"),
    Row(OPERATOR, "->>?|\\|\\||<[=<>]?|>[=>]?|==?|!=|[-+*/%(),;&|~.]"),
)
MODES: Final = ()
_LEXER: Final = Lexer("SQLite", ROWS, _RUN)


def lexer(_modes: frozenset[str]) -> Lexer:
    """Return the lexer; SQLite has one way to read."""
    return _LEXER
