"""What one statement of a migration does to a database in use: locks, rewrites, losses.

Reads words, not the grammar: a statement that is found here does what the rule says, and what a
function or a trigger does that it calls is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from safehold.db import rules
from safehold.findings import Finding, Location, Rule

_LONGEST: Final = 200
"""Characters of a statement that a finding shows."""
# Comments and strings hold any words. Names in quotes stay: what a table is called is asked for.
_NO_WORDS: Final = re.compile(
    r"--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*(?:'|\Z)|\$(\w*)\$.*?(?:\$\1\$|\Z)", re.DOTALL
)
_NAME: Final = r"((?:\"[^\"]+\"|`[^`]+`|\[[^\]]+\]|[\w$]+)(?:\.(?:\"[^\"]+\"|`[^`]+`|[\w$]+))*)"
_CREATED: Final = re.compile(
    rf"CREATE\s+(?:\w+\s+){{0,2}}TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}", re.IGNORECASE
)
_ALTERED: Final = re.compile(
    rf"ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?{_NAME}\s+(.*)", re.IGNORECASE | re.DOTALL
)
_INDEX: Final = re.compile(
    rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(CONCURRENTLY\s+)?.*?\bON\s+(?:ONLY\s+)?{_NAME}",
    re.IGNORECASE | re.DOTALL,
)
_DROPPED: Final = re.compile(
    rf"DROP\s+(?:TABLE|SCHEMA|DATABASE)\s+(?:IF\s+EXISTS\s+)?{_NAME}"
    rf"|TRUNCATE\s+(?:TABLE\s+)?{_NAME}"
    rf"|DELETE\s+FROM\s+{_NAME}\s*;?\s*\Z",
    re.IGNORECASE,
)
# Words that follow ADD and DROP where it is no column that is added or dropped.
_OTHERS: Final = "CONSTRAINT FOREIGN CHECK UNIQUE PRIMARY INDEX KEY DEFAULT NOT EXPRESSION IDENTITY"
_NO_COLUMN: Final = rf"(?!(?:{_OTHERS.replace(' ', '|')})\b)"
_ADDED: Final = re.compile(rf"\bADD\s+{_NO_COLUMN}", re.IGNORECASE)
_WITHOUT: Final = re.compile(rf"\bDROP\s+{_NO_COLUMN}", re.IGNORECASE)
_FILLED: Final = re.compile(
    r"\b(?:DEFAULT|GENERATED|(?:BIG|SMALL)?SERIAL|IDENTITY|AUTO_INCREMENT)\b", re.IGNORECASE
)
_NULLED: Final = re.compile(r"\bNOT\s+NULL\b|\bPRIMARY\s+KEY\b", re.IGNORECASE)
_TYPED: Final = re.compile(
    r"\bALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET\s+DATA\s+)?TYPE\b|\b(?:MODIFY|CHANGE)\s+",
    re.IGNORECASE,
)
_CHECKED: Final = re.compile(
    r"\bADD\s+(?:CONSTRAINT\s+\S+\s+)?(?:FOREIGN\s+KEY|CHECK)\b", re.IGNORECASE
)
_LATER: Final = re.compile(r"\bNOT\s+VALID\b", re.IGNORECASE)
_COPIED: Final = "_alembic_tmp_"
"""How Alembic begins the name of the copy that replaces a table of SQLite."""


def check_statements(
    statements: Iterable[str], dialect: str, location: Location
) -> Iterator[Finding]:
    """Yield what the statements of one revision, in their order, do to a database in use.

    What is done to a table that the same revision makes is done to an empty one.
    """
    made: set[str] = set()
    for statement in statements:
        words = _NO_WORDS.sub(" ", statement).strip()
        created = _CREATED.match(words)
        if created is not None:
            made.add(_plain(created[1]))
            continue
        for rule, table, what in _judge(words, dialect):
            if _plain(table) in made or _COPIED in table:
                continue
            if f"{_COPIED}{_plain(table)}" in made:
                continue  # the table comes back under its name, with its rows
            shown = " ".join(statement.split())[:_LONGEST]
            message = f"{what} {_plain(table)}"
            yield Finding.of(rule, message, location, detail={"statement": shown})


def _judge(words: str, dialect: str) -> Iterator[tuple[Rule, str, str]]:
    """Yield rule, table and what is done to it."""
    dropped = _DROPPED.match(words)
    if dropped is not None:
        yield rules.LOSS, next(filter(None, dropped.groups())), "drops or empties"
    index = _INDEX.match(words)
    if index is not None and index[1] is None and dialect == "postgresql":
        yield rules.BLOCKING_INDEX, index[2], "builds an index without CONCURRENTLY on"
    altered = _ALTERED.match(words)
    if altered is not None:
        for rule, what in _judge_altered(altered[2], dialect):
            yield rule, altered[1], what


def _judge_altered(actions: str, dialect: str) -> Iterator[tuple[Rule, str]]:
    added = _ADDED.search(actions)
    if added is not None and _NULLED.search(actions) and not _FILLED.search(actions):
        yield rules.NOT_NULL, "adds a column that is NOT NULL and has no default to"
    if _TYPED.search(actions):
        yield rules.REWRITE, "changes the type of a column of"
    if _WITHOUT.search(actions):
        yield rules.LOSS, "drops a column of"
    if dialect == "postgresql" and _CHECKED.search(actions) and not _LATER.search(actions):
        yield rules.VALIDATED, "checks a new constraint on all rows of"


def _plain(name: str) -> str:
    """Return the name of a table without schema and quotes, in lower case."""
    return re.split(r"\.(?=[\"`\w])", name)[-1].strip('"`[]').lower()
