"""Splits statements of SQL into tokens, by the table of a dialect; says so where it cannot.

The pieces of a statement are the matches of one expression without groups, so that the loop over
them runs in C: a list of where each ends is all that is kept. A second expression, with a group
for each row, tells what a token is that somebody asks about. What a row opens and does not close
runs to the end of the text, so that nothing is read twice, and is refused there.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NoReturn

from safehold.errors import QueryRefused

SPACE: Final = "space"
LINE: Final = "line comment"
BLOCK: Final = "block comment"
MARKER: Final = "executed comment"
STRING: Final = "string"
NAME: Final = "quoted name"
WORD: Final = "word"
NUMBER: Final = "number"
PARAMETER: Final = "parameter"
OPERATOR: Final = "operator"

Ends = list[int]
# What no run begins with.
_MARKS: Final = "'\""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of token: how it begins and goes on, and what closes it.

    ``quote`` is what a quoted token doubles; ``escapes``: a backslash takes the next character.
    """

    kind: str
    pattern: str
    close: str = ""
    quote: str = ""
    escapes: bool = False


@dataclass(slots=True)  # frozen ones take three times as long to make
class Token:
    """One token of a statement, and the row that it is of."""

    row: Row
    start: int
    end: int

    @property
    def kind(self) -> str:
        """What kind it is of."""
        return self.row.kind


@dataclass(slots=True)
class Statement:
    """The pieces of a text, and the tokens of those that somebody asked about, by offset."""

    text: str
    ends: Ends
    lexer: Lexer
    # By where a piece begins: a long one may be asked about for each of its characters.
    _runs: dict[int, Ends | None] = field(default_factory=dict, repr=False)
    _tokens: dict[int, Token] = field(default_factory=dict, repr=False)

    def at(self, offset: int) -> Token:
        """Return the token that the character at an offset is a part of.

        Raises:
            QueryRefused: what is around it are no tokens.
        """
        start, end = _around(self.ends, offset, 0)
        if self.text[start] not in _MARKS:
            if start not in self._runs:
                is_run = self.lexer.is_run(self.text, start, end)
                self._runs[start] = self.lexer.fine(self.text, start, end) if is_run else None
            if (ends := self._runs[start]) is not None:
                start, end = _around(ends, offset, start)
        token = self._tokens.get(start)
        if token is None:
            token = self._tokens[start] = self.lexer.token(self.text, start, end)
        return token

    def tokens(self) -> list[Token]:
        """Return every token, spaces and comments too."""
        found: list[Token] = []
        while (at := found[-1].end if found else 0) < len(self.text):
            found.append(self.at(at))
        return found


def _around(ends: Ends, offset: int, first: int) -> tuple[int, int]:
    index = bisect.bisect_right(ends, offset)
    return ends[index - 1] if index else first, ends[index]


@dataclass(frozen=True, slots=True)
class Lexer:
    """One dialect in one mode of the server.

    ``run`` matches words, numbers and operators that open nothing, many in a row: which they are
    is found out where it is asked for. ``hard`` finds what no expression without groups reads,
    in a text that has `/*` or `$`; there ``step`` is asked first: it returns the ends of what it
    has read, or nothing.
    """

    name: str
    rows: Sequence[Row]
    run: str
    hard: re.Pattern[str] | None = None
    step: Callable[[Lexer, str, int], Ends] | None = None
    extra: Sequence[Row] = ()
    _loose: re.Pattern[str] = field(init=False, repr=False)
    _strict: re.Pattern[str] = field(init=False, repr=False)
    _run: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compile the table."""
        run = f"(?:{self.run})++"
        rest = [
            f"{row.pattern}(?:{row.close}|\\Z)" if row.close else row.pattern for row in self.rows
        ]
        # What is no token takes the rest of the text with it: nothing is tried a second time.
        loose = "|".join((run, *rest, ".++"))
        rows = (*self.extra, *self.rows)
        strict = "|".join(f"(?P<r{at}>(?:{row.pattern}){row.close})" for at, row in enumerate(rows))
        object.__setattr__(self, "_run", re.compile(run, re.DOTALL))
        object.__setattr__(self, "_loose", re.compile(loose, re.DOTALL))
        object.__setattr__(self, "_strict", re.compile(strict, re.DOTALL))

    def read(self, text: str) -> Statement:
        """Split a statement.

        Raises:
            QueryRefused: it has what is no token of the dialect, or one that does not end.
        """
        if "\0" in text:  # some servers stop reading there
            refuse(self.name)
        is_near = "/*" in text or "$" in text
        if is_near and self.hard is not None and self.hard.search(text):
            return Statement(text, self._stepwise(text), self)
        return Statement(text, self.plain(text), self)

    def plain(self, text: str) -> Ends:
        """Return where the pieces of a text end that has nothing hard in it."""
        ends = list(accumulate(map(len, self._loose.findall(text))))
        if ends:
            self._verify_last(text, ends[-2] if len(ends) > 1 else 0)
        return ends

    def is_run(self, text: str, start: int, end: int) -> bool:
        """Whether a piece is a run of tokens that open nothing."""
        match = self._run.match(text, start)
        return match is not None and match.end() >= end

    def fine(self, text: str, start: int, end: int) -> Ends:
        """Return where the tokens of a run end."""
        ends = []
        while start < end:
            match = self._strict.match(text, start)
            if match is None:
                refuse(self.name)
            start = match.end()
            ends.append(start)
        return ends

    def token(self, text: str, start: int, end: int) -> Token:
        """Return what the token between two offsets is.

        Raises:
            QueryRefused: it is none, or not closed.
        """
        match = self._strict.match(text, start)
        if match is not None and match.end() == end and match.lastgroup is not None:
            at = int(match.lastgroup[1:])
            row = self.extra[at] if at < len(self.extra) else self.rows[at - len(self.extra)]
            return Token(row, start, end)
        # A comment with one in it is the one token that only `step` reads.
        is_nested = text.startswith("/*", start) and text.endswith("*/", 0, end)
        if self.step is None or not is_nested:
            refuse(self.name)
        return Token(next(row for row in self.rows if row.kind == BLOCK), start, end)

    def _verify_last(self, text: str, start: int) -> None:
        if not self.is_run(text, start, len(text)):
            self.token(text, start, len(text))

    def _stepwise(self, text: str) -> Ends:
        ends: Ends = []
        at, match = 0, self._loose.match
        while at < len(text):
            stepped = self.step(self, text, at) if self.step is not None else []
            if stepped:
                ends += stepped
            else:
                found = match(text, at)
                if found is None:
                    refuse(self.name)
                ends.append(found.end())
                if found.end() == len(text):
                    self._verify_last(text, at)
            at = ends[-1]
        return ends


def refuse(name: str) -> NoReturn:
    """Say that a text is no statement of the dialect."""
    raise QueryRefused(
        f"not to be read as {name}: a quote or comment that does not end, or a character that is "
        "no part of the language; check the statement and its dialect"
    )


def quoted(quote: str, *, escapes: bool = False) -> str:
    """Return the pattern of what stands behind an opening quote, but for the closing one."""
    if escapes:
        return rf"{quote}(?:[^{quote}\\]++|{quote}{quote}|\\.)*+"
    return f"{quote}(?:[^{quote}]++|{quote}{quote})*+"
