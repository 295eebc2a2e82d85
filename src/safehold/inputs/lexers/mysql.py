"""Tokens of MySQL and MariaDB, as sql_lex.cc reads them.

A comment of the form ``/*! ... */`` is a comment to one server and SQL to another. Both readings
have to end at the same place; what is in it is read as SQL.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from safehold.inputs.lexers.scanner import (
    BLOCK,
    LINE,
    MARKER,
    NAME,
    NUMBER,
    OPERATOR,
    SPACE,
    STRING,
    WORD,
    Ends,
    Lexer,
    Row,
    Statement,
    quoted,
    refuse,
)

ANSI: Final = "ANSI_QUOTES"
PLAIN: Final = "NO_BACKSLASH_ESCAPES"
MODES: Final = (ANSI, PLAIN)

_ID: Final = "[A-Za-z0-9_$\\x80-\\U0010ffff]"
_RUN: Final = (
    f"[ac-mo-wyzAC-MO-WYZ0-9_$\\x80-\\U0010ffff]{_ID}*+[ .,=()]*+|[bBnNxX](?!'){_ID}*+"
    "|[ \\t\\n\\v\\f\\r.,()=<>;?+*%&|~!@^:{}]++|-(?!-[\\x01-\\x20\\x7f]|-\\Z)|/(?!\\*)"
)


def _rows(modes: frozenset[str]) -> tuple[Row, ...]:
    escapes = PLAIN not in modes
    double = (
        Row(NAME, quoted('"'), '"', quote='"')
        if ANSI in modes
        else Row(STRING, quoted('"', escapes=escapes), '"', quote='"', escapes=escapes)
    )
    return (
        Row(SPACE, "[ \\t\\n\\v\\f\\r]++"),
        Row(LINE, "(?:#|--(?=[\\x01-\\x20\\x7f]|\\Z))[^\\n]*+"),
        Row(BLOCK, "/\\*(?!M?!)(?:[^*]++|\\*(?!/))*+", "\\*/"),
        Row(STRING, "[nN]?" + quoted("'", escapes=escapes), "'", quote="'", escapes=escapes),
        double,
        Row(NAME, quoted("`"), "`", quote="`"),
        Row(STRING, "[xX]'(?:[0-9a-fA-F]{2})*+", "'", quote="'"),
        Row(STRING, "[bB]'[01]*+", "'", quote="'"),
        Row(
            NUMBER,
            f"(?:0x[0-9a-fA-F]++|0b[01]++|[0-9]++(?![.eE]))(?!{_ID})"
            f"|[0-9]++\\.[0-9]*+(?:[eE][+-]?[0-9]++)?+|[0-9]++[eE][0-9]++"
            f"|(?<!{_ID})\\.[0-9]++(?:[eE][+-]?[0-9]++)?+",
        ),
        Row(WORD, f"(?![bBnNxX]'){_ID}++"),
        Row(
            OPERATOR,
            "<=>|<<|>>|<=|>=|<>|!=|\\|\\||&&|:=|->>?|/(?!\\*)|[-+*%(),;.=<>!|&~^?@:{}]",
        ),
    )


_OPENED: Final = re.compile("/\\*M?![0-9]{0,6}")
_MARKER: Final = Row(MARKER, "/\\*M?![0-9]{0,6}|\\*/")


def _step(lexer: Lexer, text: str, at: int) -> Ends:
    """Read a comment that is executed by some servers."""
    opened = _OPENED.match(text, at)
    if opened is None:
        return []
    close = text.find("*/", opened.end())
    if close < 0:
        refuse(lexer.name)
    inner = text[opened.end() : close]
    if "/*" in inner:  # which of both ends here differs by version
        refuse(lexer.name)
    ends = lexer.plain(inner)
    if ends and Statement(inner, ends, lexer).at(len(inner) - 1).kind == LINE:
        refuse(lexer.name)  # to the server that executes it, the end is a part of that comment
    return [opened.end(), *(opened.end() + end for end in ends), close + 2]


@functools.cache
def lexer(modes: frozenset[str]) -> Lexer:
    """Return the lexer for a server's settings."""
    name = " ".join(["MySQL", *(f"with {mode}" for mode in MODES if mode in modes)])
    hard = re.compile("/\\*M?!")
    return Lexer(name, _rows(modes), _RUN, hard=hard, step=_step, extra=(_MARKER,))
