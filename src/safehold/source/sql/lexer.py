"""Where in a statement a hole stands: quoted, bare, LIKE, IN list, identifier, or unknown.

Read are strings with doubled quotes, comments, dollar quotes, quoted identifiers and words; no
statement is parsed. What stands where the words around do not say is UNKNOWN, and left to the
reader. A statement that takes no parameters (DDL) says so.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.source.sql.built import HOLE


class Place(enum.Enum):
    """What a hole is part of."""

    QUOTED = "a quoted value"
    BARE = "a value"
    LISTED = "the values of IN"
    NAME = "an identifier"
    UNKNOWN = "a part of the statement"


@dataclass(frozen=True, slots=True)
class Position:
    """The place of one hole; `start` to `end` is what a parameter would take the place of.

    ``obstacle`` says why none can. ``is_strict``: only a value of known type is the same there.
    """

    at: int
    place: Place
    start: int
    end: int
    obstacle: str = ""
    is_strict: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A token of SQL; `kind` is one of the groups of `_TOKEN`."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The token in capitals, as keywords are compared."""
        return self.text.upper()

    @property
    def has_hole(self) -> bool:
        """Whether a hole is part of it."""
        return HOLE in self.text


_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<prefixed>(?:[EeBbXxNn]|[Uu]&)'(?:[^'\\]|''|\\.)*(?:'|\Z))
    |(?P<string>'(?:[^']|'')*(?:'|\Z))
    |(?P<double>"(?:[^"]|"")*(?:"|\Z))
    |(?P<tick>`[^`]*(?:`|\Z))
    |(?P<dollar>\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))
    |(?P<bracket>\[{HOLE}[^\]]*\]|\[\w[^\]]*{HOLE}[^\]]*\])
    |(?P<mark>\?\d*|%s|%\(\w+\)s|\$\d+|(?<![:\w]):\w+)
    |(?P<word>(?:@{{1,2}}|\#{{1,2}})?[\w{HOLE}$][\w{HOLE}$\#]*)
    |(?P<operator><>|!=|<=|>=|==|\|\||::|->>|->|[~!@\#&|*/+<>=%^-]+)
    |(?P<punctuation>.)""",
    re.VERBOSE | re.DOTALL,
)
_COMPARED = frozenset(
    "= <> != < > <= >= == LIKE ILIKE GLOB REGEXP RLIKE MATCH IS ~ ~* !~ BETWEEN".split()
)
_LIKE = frozenset(("LIKE", "ILIKE", "GLOB"))
_CALCULATED = frozenset("+ - * / || %".split())
_STRINGS = frozenset(("string", "double", "prefixed"))
_PLAIN = _COMPARED | _CALCULATED | {"->", "->>"}  # what has text on its right side
_VALUE_AFTER = frozenset(("THEN", "ELSE", "LIMIT", "OFFSET", "ESCAPE", "SIMILAR"))
_NAME_AFTER = frozenset(
    "FROM JOIN INTO UPDATE TABLE DATABASE SCHEMA INDEX VIEW TRIGGER SEQUENCE COLUMN CONSTRAINT "
    "REFERENCES BY AS DESCRIBE TRUNCATE RENAME TO ADD DROP ALTER PRAGMA COLLATE ONLY VACUUM "
    "ANALYZE USING RETURNING SAVEPOINT ROLE USER TYPE DISTINCT SELECT EXISTS FUNCTION EXTENSION "
    "PARTITION SHOW USE LANGUAGE OWNER DESC ASC NULLS FORMAT ENGINE COPY GRANT REVOKE "
    "CONCURRENTLY".split()
)
_CLAUSES = frozenset(
    "SELECT FROM WHERE SET VALUES INTO BY HAVING LIMIT OFFSET ON USING RETURNING JOIN UNION "
    "TABLE INDEX AS COLUMNS PRAGMA".split()
)
_AGGREGATES = frozenset(("COUNT", "SUM", "MIN", "MAX", "AVG", "TOTAL", "ARRAY_AGG"))
_TYPED = frozenset(("INTERVAL", "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ"))
_TAKES = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "VALUES", "MERGE"))
_REFUSES = frozenset(
    "CREATE DROP ALTER GRANT REVOKE COMMENT TRUNCATE PRAGMA VACUUM ATTACH DETACH SET USE ANALYZE "
    "LOCK COPY RENAME REINDEX CLUSTER BEGIN SAVEPOINT SHOW DESCRIBE".split()
)
_STATEMENT = re.compile(
    r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*\(?\s*(?:"
    r"SELECT\b.*\bFROM\b|SELECT\s+(?:\*|\S+\s*\()|INSERT\s+(?:OR\s+\w+\s+|IGNORE\s+)?INTO\s"
    r"|REPLACE\s+INTO\s|UPDATE\s+(?:OR\s+\w+\s+)?(?:ONLY\s+)?\S+(?:\s+\w+)?\s+SET\s+\S+\s*=|DELETE\s+FROM\s"
    r"|WITH\s+(?:RECURSIVE\s+)?\S+\s*(?:\([^)]*\)\s*)?AS\s*\(|MERGE\s+INTO\s"
    r"|(?:CREATE|DROP|ALTER|COMMENT\s+ON)\s+(?:\w+\s+){0,3}(?:TABLE|INDEX|VIEW|TRIGGER|SCHEMA"
    r"|DATABASE|SEQUENCE|TYPE|COLUMN|ROLE|USER|FUNCTION|EXTENSION|POLICY)\b"
    r"|TRUNCATE\s+\S|PRAGMA\s+\S|GRANT\s+\S+.*\bTO\b|VACUUM\s+\S|ATTACH\s+DATABASE\s"
    r"|LOCK\s+TABLE|COPY\s+\S+.*\b(?:FROM|TO)\b|EXPLAIN\s+\S|SET\s+(?:LOCAL|SESSION|search_path)\b"
    r")",
    re.IGNORECASE | re.DOTALL,
)


def is_statement(text: str) -> bool:
    """Whether a text is SQL for sure, whoever gets it."""
    return _STATEMENT.match(text[:4000]) is not None


def tokens(text: str) -> list[Token]:
    """Split a statement; holes are words or parts of tokens."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "tag":
            kind = "dollar"
        if kind != "space" and (kind != "comment" or HOLE in match[0]):
            found.append(Token(kind, match[0], match.start(), match.end()))
    return found


@dataclass(slots=True)
class _Level:
    """What is known within one pair of parentheses."""

    opened_by: str = ""  # IN, VALUES, INTO, a function's name, ...
    clause: str = ""
    is_between: bool = False
    upper: int = -1  # the AND of a BETWEEN


def positions(
    text: str, *, double_quotes_values: bool, backslashes: bool = False, is_fragment: bool = False
) -> list[Position]:
    """Return the position of every hole of a statement."""
    found = tokens(text)
    reader = _Reader(found, double_quotes_values=double_quotes_values)
    result = [item for index in range(len(found)) for item in reader.token(index)]
    obstacle = _no_parameters(found, is_fragment=is_fragment)
    if backslashes and any("\\" in item.text for item in found if item.kind in _STRINGS):
        obstacle = "what a backslash means depends on the database"
    if obstacle:
        result = [
            Position(item.at, item.place, item.start, item.end, obstacle, item.is_strict)
            for item in result
        ]
    return result


def _no_parameters(found: list[Token], *, is_fragment: bool) -> str:
    """Say why a statement takes no parameters at all."""
    words = [item.word for item in found if item.text not in "()"]
    if words and words[0] == "EXPLAIN":
        words = words[1:]
    if not words or not (words[0] in _TAKES or (is_fragment and _is_condition(found))):
        return "statements of this kind take no parameters"
    ends = [index for index, item in enumerate(found) if item.text == ";"]
    if ends and ends[0] != len(found) - 1:
        return "several statements at once take no parameters"
    return ""


def _is_condition(found: list[Token]) -> bool:
    """Whether a text is no statement but a condition, as a query takes one: `name = ...`."""
    if found[0].word in _REFUSES or len(found) < 2:
        return False
    second = found[1]
    return (
        found[0].text == "("
        or found[0].word in ("NOT", "EXISTS")
        or second.kind == "operator"
        or second.text in (".", "(")
        or second.word in _COMPARED
        or second.word in ("IN", "NOT")
    )


class _Reader:
    """Walks over the tokens, and keeps for each parenthesis what it belongs to."""

    def __init__(self, found: list[Token], *, double_quotes_values: bool) -> None:
        self._tokens = found
        self._double = double_quotes_values
        self._levels = [_Level()]

    def token(self, index: int) -> Iterator[Position]:
        """Yield the positions of the holes in one token, and go on past it."""
        token = self._tokens[index]
        level = self._levels[-1]
        if token.has_hole:
            yield from self._holes(token, index)
        if token.text == "(":
            self._levels.append(_Level(self._opener(index), clause=level.clause))
        elif token.text == ")" and len(self._levels) > 1:
            self._levels.pop()
        elif token.kind == "word" and not token.has_hole:
            if token.word in _CLAUSES:
                level.clause = token.word
            if token.word == "BETWEEN":
                level.is_between = True
            elif token.word in ("AND", "OR"):
                level.upper = index if level.is_between else -1
                level.is_between = False

    def _opener(self, index: int) -> str:
        before = self._before(index)
        if before in ("IN", "VALUES", "ANY", "ALL"):
            return before
        clause = self._levels[-1].clause
        if before == "," and clause == "VALUES":
            return "VALUES"
        if clause in ("INTO", "TABLE", "INDEX"):
            return "COLUMNS"
        if index and self._tokens[index - 1].kind == "word" and before not in _NO_FUNCTION:
            return "AGGREGATE" if before in _AGGREGATES else "FUNCTION"
        return self._levels[-1].opened_by if before in ("(", ",") else ""

    def _before(self, index: int) -> str:
        return self._tokens[index - 1].word if index else ""

    def _after(self, index: int) -> str:
        return self._tokens[index + 1].word if index + 1 < len(self._tokens) else ""

    def _holes(self, token: Token, index: int) -> Iterator[Position]:
        places = [token.start + at for at, char in enumerate(token.text) if char == HOLE]
        if token.kind == "string" or (token.kind == "double" and self._is_value(index)):
            yield from self._quoted(token, index, places)
        elif token.kind in ("double", "tick", "bracket"):
            yield from (_of(token, at, Place.NAME) for at in places)
        elif token.text == HOLE:
            yield self._bare(token, index)
        elif token.kind == "word":
            yield from (_of(token, at, Place.NAME) for at in places)
        else:
            yield from (_of(token, at, Place.UNKNOWN) for at in places)

    def _is_value(self, index: int) -> bool:
        """Whether double quotes hold a value, as sqlite and MySQL let them."""
        if not self._double or self._after(index) in (".", "("):
            return False
        before = self._before(index)
        inside = self._levels[-1].opened_by
        return (before in _COMPARED or before == "NOT") or (
            before in ("(", ",") and inside in ("IN", "VALUES")
        )

    def _quoted(self, token: Token, index: int, places: list[int]) -> Iterator[Position]:
        before, quote = self._before(index), token.text[0]
        obstacle = ""
        if len(token.text) < 2 or not token.text.endswith(quote):
            obstacle = "the quotes do not end"
        elif "\\" in token.text:
            obstacle = "what a backslash means depends on the database"
        elif before in _TYPED:
            obstacle = f"{before} takes no parameter"
        elif (
            before == "("
            and self._levels[-1].opened_by == "IN"
            and self._after(index) == ")"
            and token.text == f"{quote}{HOLE}{quote}"
        ):
            for at in places:
                yield Position(at, Place.LISTED, token.start, token.end)
            return
        if before == "AS":
            yield from (_of(token, at, Place.NAME) for at in places)
            return
        left = self._tokens[index - 1] if index else token
        is_strict = left.has_hole or (left.kind == "operator" and left.word not in _PLAIN)
        for at in places:
            yield Position(at, Place.QUOTED, token.start, token.end, obstacle, is_strict)

    def _bare(self, token: Token, index: int) -> Position:
        before, after = self._before(index), self._after(index)
        level = self._levels[-1]
        if before == "LIKE" and self._is_likeness(index):
            return _of(token, token.start, Place.NAME)
        if before in _COMPARED or (before == "NOT" and self._before(index - 1) == "IS"):
            return self._compared(token, index)
        if before in _CALCULATED and (level.clause != "SELECT" or level.opened_by == "FUNCTION"):
            return self._strict(token)
        if before in ("(", ",") and after != ".":
            return self._in_parentheses(token, index)
        if "." in (before, after) or before == "::" or after == "(":
            place = Place.NAME
        elif before == "IN":
            place = Place.LISTED
        elif before in _VALUE_AFTER or (before == "AND" and level.upper == index - 1):
            place = Place.BARE
        elif (
            before in _NAME_AFTER
            or after in _COMPARED
            or after in ("IN", "NOT")
            or (before == "ON" and level.clause in ("INDEX", "ON") and after == "(")
        ):
            place = Place.NAME
        else:
            place = Place.UNKNOWN
        return _of(token, token.start, place)

    def _is_likeness(self, index: int) -> bool:
        """Whether it is the table in `CREATE TABLE a LIKE b` and `CREATE TABLE a (LIKE b)`."""
        if self._tokens[0].word != "CREATE":
            return False
        return self._levels[-1].clause == "TABLE" or self._before(index - 1) in ("(", ",")

    def _compared(self, token: Token, index: int) -> Position:
        """A value that is compared with a column takes the column's type; others do not."""
        if self._levels[-1].clause == "ON" or self._after(index) in (".", "("):
            place = Place.NAME if self._after(index) == "." else Place.UNKNOWN
            return _of(token, token.start, place)
        left = self._tokens[index - 2] if index > 1 else None
        is_column = left is not None and left.kind in ("word", "double", "tick", "bracket")
        if self._after(index) in ("*", "+", "-", "/", "||", "::"):
            is_column = False
        return Position(token.start, Place.BARE, token.start, token.end, is_strict=not is_column)

    def _strict(self, token: Token) -> Position:
        return Position(token.start, Place.BARE, token.start, token.end, is_strict=True)

    def _in_parentheses(self, token: Token, index: int) -> Position:
        level = self._levels[-1]
        whole = self._before(index) == "(" and self._after(index) == ")"
        if level.opened_by == "IN":
            return _of(token, token.start, Place.LISTED if whole else Place.BARE)
        if level.opened_by == "VALUES":
            return self._strict(token) if whole else _of(token, token.start, Place.BARE)
        if level.clause == "PRAGMA" or level.opened_by == "AGGREGATE":
            return _of(token, token.start, Place.NAME)
        if level.opened_by == "FUNCTION":
            return self._strict(token)
        if level.clause in ("LIMIT", "OFFSET"):
            return _of(token, token.start, Place.BARE)
        if level.opened_by == "COLUMNS" or level.clause in ("SELECT", "BY", "FROM", "SET"):
            return _of(token, token.start, Place.NAME)
        if self._after(index) in _COMPARED:
            return _of(token, token.start, Place.NAME)
        return _of(token, token.start, Place.UNKNOWN)


_NO_FUNCTION = frozenset(
    "SELECT FROM WHERE AND OR NOT ON AS JOIN EXISTS SET BY HAVING UNION ALL EXCEPT INTERSECT "
    "USING WHEN THEN ELSE CASE LIKE IS BETWEEN OVER".split()
)


def _of(token: Token, at: int, place: Place) -> Position:
    return Position(at, place, token.start, token.end)
