"""Whether each input of the request stays inside one token of a statement of SQL.

What no text can show is not judged: one word that a program writes in the place of a name
(``ORDER BY {column}``) is a name, as it was meant to be, unless it stands where a value does.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator
from typing import Final

from safehold.errors import QueryRefused
from safehold.events import Event, Recorder
from safehold.findings import Finding, Location
from safehold.inputs.context import SQL
from safehold.inputs.forms import lowered, quoting
from safehold.inputs.lexers import Statement, Token, lexer
from safehold.inputs.lexers.scanner import BLOCK, LINE, MARKER, NAME, STRING, WORD
from safehold.inputs.requests import Inputs, current

__all__ = ["check_statement", "verify_statement"]

# Where a value is expected, and a word would be a column.
# (No look behind first, and what few statements have by itself: both are looked for faster.)
_COMPARED: Final = re.compile(r"[=<>]\s*+([^\W\d][\w$]*+)(?!\s*+[.('])")
_SPELLED: Final = re.compile("like|glob|regexp|match|between")
_LIKENED: Final = re.compile(r"(?:like|glob|regexp|match|between)\s*+([^\W\d][\w$]*+)(?!\s*+[.('])")
_LIST: Final = re.compile(r"in\s*+\(([^()]*+)\)")
_ITEM: Final = re.compile(r"(?:^|,)\s*+([^\W\d][\w$]*+)\s*+(?=,|$)")
_BEFORE: Final = re.compile(
    r"(?:[=<>]|(?<![\w$])(?:i?like|glob|rlike|regexp|match|between"
    r"|in\s*+\([^()]*+))\s*+\Z"
)
_FAR: Final = 200
# These are no columns: constants, and how an expression begins.
_NO_COLUMNS: Final = frozenset(
    "null true false default unknown case not interval date time timestamp array row select "
    "exists binary any all some current_date current_time current_timestamp localtime "
    "localtimestamp distinct cast values on off".split()
)
_SIGNED: Final = re.compile(r"[+-]\s*+(?:\d++(?:\.\d*+)?|\.\d++)(?:e[+-]?\d++)?")
_DOTTED: Final = re.compile(r"[^\W\d][\w$]*+(?:\.[^\W\d][\w$]*+)++")
_NUMBERS: Final = re.compile(r"-?\d++(?:\s*+,\s*+-?\d++)*+")
_IN: Final = re.compile(r"(?<![\w$])in\s*+\([\d\s,.+-]*+\Z")
# What a program has in a statement, and rarely in a comment or value.
_CODE: Final = re.compile(
    r"[()=<>,;]|(?<!\w)(?:and|or|where|limit|offset|order|group|having|union|from|set|values|desc"
    r"|asc|returning)(?!\w)",
    re.IGNORECASE,
)
_JOIN: Final = re.compile(r"(?<![\w$])on\s++\(?[\w$.\"`]++\s*+[=<>]++\s*+\Z")
_ASSIGNED: Final = re.compile(_CODE.pattern.replace(",", ""), re.IGNORECASE)
_GLUE: Final = re.compile(r"[\w%'\"`$]")


def check_statement(
    text: str,
    dialect: str,
    inputs: Inputs | Collection[object] | None = None,
    *,
    modes: Collection[str] = (),
    names: Collection[str] = (),
) -> list[Finding]:
    """Return a finding for each place where an input is more than one token of a statement.

    `inputs` are those of the request that is being served, unless they are given; `modes` are
    settings of the server by which it reads otherwise, as it spells them; `names` are columns
    that the program lets its caller choose. A statement that holds an input and cannot be read
    is a finding.

    Raises:
        ConfigError: there is no such dialect or mode.
    """
    reader = lexer(dialect, modes)
    if inputs is None:
        inputs = current()
        if inputs is None:
            return []
    elif not isinstance(inputs, Inputs):
        inputs = Inputs(inputs)
    needles = inputs.needles
    low = lowered(text)
    words = [needle for needle in needles.words if needle in low]
    others = [needle for needle in needles.others if needle in low]
    quotes = [needle for needle in needles.quotes if needle in low]
    if not (words or others or quotes):
        numbers = [needle for needle in needles.numbers if needle in low]
        if not numbers:
            return []
    found: list[Finding] = []
    try:
        check = _Check(reader.read(text), low, dialect)
        if words:
            found += check.words(set(words).difference(map(str.lower, names)))
        for needle in quotes:
            found += check.lone(needle)
        for needle in others:
            found += check.other(needle)
    except QueryRefused as error:
        found = [_finding(dialect, 0, "the statement holds an input and is " + str(error))]
    return found


def verify_statement(
    text: str,
    dialect: str,
    inputs: Inputs | Collection[object] | None = None,
    *,
    modes: Collection[str] = (),
    names: Collection[str] = (),
    recorder: Recorder | None = None,
) -> None:
    """Refuse a statement in which an input is more than one token; `check_statement` says more.

    Raises:
        QueryRefused: there is one; recorded first, where a recorder is given.
    """
    found = check_statement(text, dialect, inputs, modes=modes, names=names)
    if not found:
        return
    error = QueryRefused(f"{found[0].message}. {SQL.remedy}")
    if recorder is None:
        raise error
    detail = {**found[0].detail, "places": len(found)}
    recorder.refuse(
        Event(
            action="statement",
            outcome="refused",
            reason="QueryRefused",
            rule=SQL.id,
            detail=detail,
        ),
        error,
    )


def _finding(dialect: str, offset: int, why: str) -> Finding:
    """Say where and why, and nothing of the input."""
    detail = {"dialect": dialect, "offset": offset, "why": why}
    return Finding.of(SQL, f"At character {offset}: {why}", Location(offset=offset), detail=detail)


@functools.cache
def _marks(quote: str, escapes: bool) -> re.Pattern[str]:  # noqa: FBT001  part of a key
    """Return what finds doubled quotes and escapes."""
    return re.compile(rf"{quote}{quote}|{quote}" + (r"|\\." if escapes else ""), re.DOTALL)


class _Check:
    """One statement, and what was found out about its quoted tokens."""

    def __init__(self, statement: Statement, low: str, dialect: str) -> None:
        self._statement = statement
        self._text = statement.text
        self._low = low
        self._dialect = dialect
        self._halves: dict[int, frozenset[int] | None] = {}
        self._open: dict[int, int] = {}
        self._lines: dict[int, bool] = {}

    def other(self, needle: str) -> Iterator[Finding]:
        """Yield the first place where an input is more than it may be there."""
        at = self._low.find(needle)
        while at >= 0:
            why = self._why(needle, at, at + len(needle))
            if why:
                yield _finding(self._dialect, at, why)
                return
            at = self._low.find(needle, at + 1)

    def words(self, words: set[str]) -> Iterator[Finding]:
        """Yield where one word stands in the place of a value."""
        low = self._low
        spans = [match.span(1) for match in _COMPARED.finditer(low) if match[1] in words]
        if _SPELLED.search(low):
            spans += [match.span(1) for match in _LIKENED.finditer(low) if match[1] in words]
        if " in" in low or ")in" in low:
            for match in _LIST.finditer(low):
                first = match.start(1)
                spans += [
                    (first + item.start(1), first + item.end(1))
                    for item in _ITEM.finditer(match[1])
                    if item[1] in words
                ]
        for start, end in spans:
            if low[start:end] in _NO_COLUMNS:
                continue
            token = self._statement.at(start)
            if (token.start, token.end) == (start, end) and (why := self._as_name(start)):
                yield _finding(self._dialect, start, why)

    def lone(self, quote: str) -> Iterator[Finding]:
        """Look at strings that a quote by itself, written into two of them, would make one."""
        for token in self._statement.tokens():
            if token.row.quote != quote:
                continue
            start, end = self._body(token)
            body = self._text[start:end].strip()
            is_edged = body.startswith(quote * 2) or body.endswith(quote * 2)
            is_joined = len(body) > 4 and is_edged and _CODE.search(body, 1, len(body) - 1)
            if is_joined or self._is_glued(token):
                yield _finding(self._dialect, token.start, "an input ends or opens this string")
                return

    def _is_glued(self, token: Token) -> bool:
        """Whether a string has next to it what a program leaves a space before."""
        text = self._text
        around = text[max(token.start - 1, 0) : token.start] + text[token.end : token.end + 1]
        return _GLUE.search(around) is not None

    def _why(self, needle: str, start: int, end: int) -> str:
        """Say why an input that stands between two offsets is more than a value, if it is."""
        token = self._statement.at(start)
        if token.kind in (LINE, BLOCK):
            return self._in_comment(token, needle, start, end)
        if token.kind == MARKER:
            return "an input is a part of a comment that is executed"
        if token.kind in (STRING, NAME):
            return self._in_quotes(token, needle, start, end)
        is_name = token.kind == WORD and start == token.start
        if end <= token.end:
            return self._as_name(start) if is_name and end == token.end else ""
        if is_name and _DOTTED.fullmatch(needle):
            return self._as_name(start)
        if _SIGNED.fullmatch(needle):
            return ""
        if _NUMBERS.fullmatch(needle) and _IN.search(self._low, max(0, start - _FAR), start):
            return ""
        return "an input is more than one token"

    def _as_name(self, start: int) -> str:
        is_value = _BEFORE.search(self._low, max(0, start - _FAR), start)
        if is_value and _JOIN.search(self._low, max(0, start - _FAR), start):
            return ""  # columns of two tables, as in every join
        return "an input is a name where a value belongs" if is_value else ""

    def _in_comment(self, token: Token, needle: str, start: int, end: int) -> str:
        text = self._text
        is_short = len(needle) == 1
        opened = token.start + (1 if text[token.start] == "#" else 2)
        if start < opened:
            # A text may have comments of its own, and an input be no more than what begins one.
            is_apart = not token.start or text[token.start - 1].isspace()
            is_own = end <= opened and is_apart and not _CODE.search(text, opened, token.end)
            return "" if is_own else "an input begins a comment"
        if token.kind == LINE:
            return "an input ends a comment" if end > token.end else ""
        if "/*" in needle or "*/" in needle or (start == opened and needle[0] == "+"):
            return "an input is more than the text of a comment"
        is_closed = text.endswith("*/", opened, token.end)
        is_over = end > token.end - (2 if is_closed else 0)
        return "an input ends a comment" if is_over and not is_short else ""

    def _in_quotes(self, token: Token, needle: str, start: int, end: int) -> str:
        if (start, end) == (token.start, token.end):
            return self._as_name(start) if token.kind == NAME else ""
        first, last = self._body(token)
        if start < first or end > last:
            is_mark = len(needle) == 2 and (start == first - 1 or end == last + 1)
            if is_mark and not self._is_glued(token):
                # A word of a text, as in 's, and a string that begins with that letter; if it is
                # not, another input ends this string.
                self._open.setdefault(token.start, start)
                return ""
            return "an input ends or opens what is quoted"
        # Only a quote or a backslash at an edge of the input can be half of something, and only
        # a string of several lines can be of several pieces.
        text, marks = self._text, (token.row.quote, "\\")
        at_start = start > first and text[start - 1] in marks
        at_end = end < last and text[end - 1] in marks
        is_clear = not (at_start or at_end)
        if is_clear and self._is_one_line(first, last):
            return ""
        halves = self._halved(token, first, last)
        if halves is None:
            return "an input is in a string of several pieces"
        # A backslash alone can take the closing quote, and another input has to close it then.
        if halves.isdisjoint((start, end)) or needle == "\\":
            return ""
        for whole in quoting(needle):
            for at in (start - 1, start):
                to = at + len(whole)
                fits = first <= at and to <= last and self._low.startswith(whole, at)
                if fits and halves.isdisjoint((at, to)):
                    quote = token.row.quote
                    begins = start in halves and needle[0] == quote
                    ends = end in halves and needle[-1] == quote
                    return self._escaped(token, start if begins else 0, end if ends else 0)
        return "an input is a part of an escaped quote"

    def _is_one_line(self, first: int, last: int) -> bool:
        if first not in self._lines:
            text = self._text
            self._lines[first] = text.find("\n", first, last) < 0 > text.find("\r", first, last)
        return self._lines[first]

    def _escaped(self, token: Token, begins: int, ends: int) -> str:
        """Look at inputs that seem escaped because the quotes around them are next to their own.

        Two of them make one string: the first ends in half a quote, and one behind it begins so.
        """
        if begins and ends:
            return ""  # in quotes of its own
        ended = self._open.get(token.start, begins)
        if begins > ended and _ASSIGNED.search(self._text, ended, begins):
            return "an input ends or opens what is quoted"
        if ends:
            self._open.setdefault(token.start, ends)
        return ""

    def _body(self, token: Token) -> tuple[int, int]:
        """Return where what is quoted begins and ends."""
        text = self._text
        if text[token.start] == "$":
            tag = text.index("$", token.start + 1) + 1 - token.start
            return token.start + tag, token.end - tag
        quote = token.row.quote or "["
        return text.index(quote, token.start) + 1, token.end - 1

    def _halved(self, token: Token, first: int, last: int) -> frozenset[int] | None:
        """Return the middles of doubled quotes and escapes; None for a string in pieces."""
        if first not in self._halves:
            found: set[int] = set()
            pieces = False
            row = token.row
            if row.quote:
                for mark in _marks(row.quote, row.escapes).finditer(self._text, first, last):
                    pieces = pieces or len(mark[0]) == 1
                    if mark[0][-1] in (row.quote, "\\"):  # other escapes end nothing
                        found.add(mark.start() + 1)
            self._halves[first] = None if pieces else frozenset(found)
        return self._halves[first]
