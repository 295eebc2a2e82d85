"""Tokens of PostgreSQL, as scan.l of its parser reads them."""

from __future__ import annotations

import re
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
    Ends,
    Lexer,
    Row,
    quoted,
    refuse,
)

_START: Final = "[A-Za-z_\\x80-\\U0010ffff]"
_ID: Final = "[A-Za-z0-9_$\\x80-\\U0010ffff]"
_RUN: Final = (
    f"[ac-df-mo-tv-wyzAC-DF-MO-TV-WYZ_\\x80-\\U0010ffff]{_ID}*+[ .,=()]*+|[bBeEnNxX](?!'){_ID}*+"
    f"|[uU](?!&['\"]){_ID}*+|[] \\t\\n\\r\\f\\v.,()[;:=<>+*%&|~!@#^`?]++"
    f"|[0-9](?:[eE][+-][0-9]|[A-Za-z0-9_\\x80-\\U0010ffff])*+|-(?!-)|/(?!\\*)"
)
_DIGITS: Final = "[0-9](?:_?[0-9])*+"
_TAG: Final = f"\\$(?:{_START}[A-Za-z0-9_\\x80-\\U0010ffff]*+)?\\$"
_LINE: Final = "--[^\\n\\r]*+"
# An operator has less than 64 characters, so a long run of them is not read again and again.
_PLAIN: Final = "(?:[+*<>=]|-(?!-)|/(?!\\*))"
_SPECIAL: Final = "[~!@#%^&|`?]"
_OPERATOR: Final = (
    f"{_PLAIN}{{0,62}}+{_SPECIAL}(?:{_PLAIN}|{_SPECIAL}){{0,62}}+"
    # Without one of those, + and - are no end of an operator: `=-1` is `=` and `-1`.
    f"|{_PLAIN}{{0,62}}(?:[*<>=]|/(?!\\*))|[+]|-(?!-)"
)


def _string(prefix: str, piece: str, *, escapes: bool = False) -> Row:
    """Return the row of strings: of several pieces, if a line ends between two of them."""
    between = f"'(?:[ \\t\\f\\v]|{_LINE})*+[\\n\\r](?:[ \\t\\n\\r\\f\\v]|{_LINE}[\\n\\r])*+"
    pattern = f"{prefix}{piece}(?:{between}{piece})*+"
    return Row(STRING, pattern, "'", quote="'", escapes=escapes)


def _rows(*, backslashes: bool) -> tuple[Row, ...]:
    escaped, plain = quoted("'", escapes=True), quoted("'")
    return (
        Row(SPACE, "[ \\t\\n\\r\\f\\v]++"),
        Row(LINE, _LINE),
        # One in another is read by `_step`.
        Row(BLOCK, "/\\*(?:[^*/]++|\\*(?!/)|/(?!\\*))*+", "\\*/"),
        _string("[eE]", escaped, escapes=True),
        _string("[bBxX]", "'[^']*+"),
        _string("[uU]&", plain),
        _string("[nN]?", escaped if backslashes else plain, escapes=backslashes),
        Row(NAME, "(?:[uU]&)?" + quoted('"'), '"', quote='"'),
        Row(WORD, f"(?![bBeEnNxX]'|[uU]&['\"]){_START}{_ID}*+"),
        Row(
            NUMBER,
            f"(?:0[xX](?:_?[0-9a-fA-F])++|0[oO](?:_?[0-7])++|0[bB](?:_?[01])++"
            f"|(?:{_DIGITS}(?:\\.(?!\\.)(?:{_DIGITS})?+)?+|\\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?+)"
            f"(?!{_START})",
        ),
        Row(PARAMETER, f"\\$[0-9]++(?!{_START})"),
        Row(OPERATOR, f"::|:=|\\.\\.|[],()[.;:]|{_OPERATOR}"),
    )


_DOLLARS: Final = Row(
    STRING,
    "(?P<tag>" + _TAG + ")(?:[^$]++|(?!(?P=tag))\\$)*+(?P=tag)",
)
_DEPTH: Final = re.compile("/\\*|\\*/")
_OPENED: Final = re.compile(_TAG)


def _step(lexer: Lexer, text: str, at: int) -> Ends:
    """Read what is quoted by a tag of its own, and a comment with comments in it."""
    if text.startswith("/*", at):
        depth = 0
        for mark in _DEPTH.finditer(text, at):
            depth += 1 if mark[0] == "/*" else -1
            if not depth:
                return [mark.end()]
        refuse(lexer.name)
    if text[at] == "$" and not text[at + 1 : at + 2].isdecimal():
        tag = _OPENED.match(text, at)
        end = text.find(tag[0], tag.end()) if tag else -1
        if tag is None or end < 0:
            refuse(lexer.name)
        return [end + len(tag[0])]
    return []


def _lexer(name: str, *, backslashes: bool) -> Lexer:
    return Lexer(
        name,
        _rows(backslashes=backslashes),
        _RUN,
        hard=re.compile("/\\*|\\$(?![0-9])"),
        step=_step,
        extra=(_DOLLARS,),
    )


OFF: Final = "standard_conforming_strings=off"
MODES: Final = (OFF,)
_STANDARD: Final = _lexer("PostgreSQL", backslashes=False)
_BACKSLASHES: Final = _lexer(f"PostgreSQL with {OFF}", backslashes=True)


def lexer(modes: frozenset[str]) -> Lexer:
    """Return the lexer for a server's settings."""
    return _BACKSLASHES if OFF in modes else _STANDARD
