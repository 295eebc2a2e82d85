"""Statements at run time: what kind of statement a text is, found out once for each text."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from safehold.db.statements import rules
from safehold.db.statements.rows import ROWS, Row
from safehold.db.statements.skeletons import ends_in_comment, fingerprint, skeleton
from safehold.errors import QueryRefused
from safehold.findings import Rule
from safehold.inputs.lexers import lexer

__all__ = ["ROWS", "Row", "Verdict", "judge"]

_READING: Final = frozenset(
    "select values table show explain describe desc pragma begin start commit end rollback "
    "savepoint release set fetch declare close use".split()
)
_WRITING: Final = frozenset(
    "insert update delete merge into replace create drop alter truncate call nextval setval".split()
)
_VERB: Final = re.compile(r"[( ]*+([a-z]{1,20})(?!\w)")
_WORD: Final = re.compile(r"\w+|;|\|\|")
_LOOKED_FOR: Final = frozenset().union(*(row.words for row in ROWS))
_LONGEST: Final = 100_000
"""Of longer texts the beginning makes the fingerprint, and the whole is judged."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a text.

    ``plain``: it without its values, and ``fingerprint`` a digest of that. ``writes``: it may
    change rows or tables. ``refused``: rules that count at once; ``with_input``: those that count
    if an input of the request is in it; ``limits``: those that count under a guard with limits.
    """

    plain: str
    fingerprint: str
    verb: str
    writes: bool
    is_readable: bool = True
    refused: tuple[Rule, ...] = ()
    with_input: tuple[Rule, ...] = ()
    limits: tuple[Rule, ...] = ()


def judge(text: str, dialect: str, modes: Collection[str] = ()) -> Verdict:
    """Return what kind of statement a text is.

    Raises:
        ConfigError: there is no such dialect or mode.
    """
    reader = lexer(dialect, modes)
    try:
        statement = reader.read(text)
    except QueryRefused:
        return Verdict("", fingerprint(text), "", writes=True, is_readable=False)
    plain = skeleton(statement, dialect)
    found: dict[str, list[Rule]] = {"always": [], "input": [], "limits": []}
    family = "mysql" if dialect == "mariadb" else dialect
    words = set(_WORD.findall(plain))
    if not words.isdisjoint(_LOOKED_FOR):
        for row in ROWS:
            is_near = family in row.dialects and not words.isdisjoint(row.words)
            if is_near and row.pattern.search(text if row.on_text else plain):
                found[row.when].append(row.rule)
    if statement.ends and ends_in_comment(statement):
        found["input"].append(rules.CUT_OFF)
    first = _VERB.match(plain)
    verb = first[1] if first else ""
    return Verdict(
        plain[:_LONGEST],
        fingerprint(plain),
        verb,
        _writes(verb, words),
        refused=tuple(found["always"]),
        with_input=tuple(found["input"]),
        limits=tuple(found["limits"]),
    )


def _writes(verb: str, words: set[str]) -> bool:
    if verb not in _READING and verb != "with":
        return True
    if ";" not in words and verb not in ("select", "with", "explain"):
        return False
    return not _WRITING.isdisjoint(words)
