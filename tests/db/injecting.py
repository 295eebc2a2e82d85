"""Inputs written into statements, and whether the guard refuses each that changes its statement.

``python -m tests.db.injecting --payloads 15000`` writes each of so many inputs into seven
statements, asks a server what it makes of them, and the guard. An input changes a statement if the
server takes it and reads another structure than with plain values: other bytecode on SQLite,
another query identifier on PostgreSQL. There is no MySQL here: of its dialect the tokens are
compared, and what has no value behind an operator is taken for no statement.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safehold import db
from safehold.db.guarding.watch import Limits, Watch
from safehold.errors import QueryRefused
from safehold.inputs.lexers import lexer
from safehold.inputs.lexers.scanner import BLOCK, LINE, NAME, NUMBER, SPACE, STRING
from tests.db.guarding import make_hold
from tests.inputs.sql_checking import Postgres, Sqlite, _plain_shapes, attacks

TEMPLATES = (
    ("SELECT id FROM users WHERE name = '{}' AND owner = 7", "x"),
    ("SELECT id FROM users WHERE name LIKE '%{}%' AND owner = 7", "x"),
    ("SELECT id FROM users WHERE id = {} AND owner = 7", "5"),
    ("SELECT id FROM users WHERE id IN (1, {}) AND owner = 7", "5,6"),
    ('SELECT id FROM users WHERE owner = 7 ORDER BY "{}", id', "name"),
    ("UPDATE users SET name = '{}' WHERE id = 7", "x"),
    ("INSERT INTO users (name, role) VALUES ('{}', 'user')", "x"),
)
QUIET = frozenset((SPACE, LINE, BLOCK))
PLAIN = {STRING: "value", NUMBER: "value", NAME: "name"}
OPENS = frozenset("= < > <= >= <> , ( - + ~ ! * / % . | & ^ and or".split())
NO_VALUE = frozenset(
    "= < > <= >= <> , ) * / % . | & ^ ; && || and or : := { } ? @ $ -> ->> << >> != `` is".split()
)


class Mysql:
    """The lexer of MySQL, asked for the tokens of a statement but for its values."""

    dialect = "mysql"

    def shape(self, statement: str) -> object:
        """Return the tokens, None for what cannot be read."""
        try:
            tokens = lexer(self.dialect).read(statement).tokens()
        except QueryRefused:
            return None
        found = [
            text if text == "``" else PLAIN.get(token.kind, text)
            for token in tokens
            if token.kind not in QUIET
            for text in [statement[token.start : token.end].lower()]
        ]
        if any(text[0].isdigit() for text in found):
            return None  # a name, which no column of the table has
        pairs = itertools.pairwise([*found, ")"])
        return None if any(a in OPENS and b in NO_VALUE for a, b in pairs) else found


@dataclass
class Tried:
    """What one server said of one template: how many statements changed, which got through."""

    dialect: str
    template: str
    tried: int
    changed: int
    missed: list[tuple[str, str]]


def payloads(count: int, seed: int) -> list[str]:
    """Return so many different inputs."""
    found: dict[str, None] = {}
    for text in attacks(random.Random(seed)):
        found[text] = None
        if len(found) == count:
            break
    return list(found)


def tried(server: Any, texts: list[str], root: Path) -> Iterator[Tried]:
    """Write each text into each template, and yield what came of it."""
    hold, _ = make_hold(root)
    watch = Watch(hold, server.dialect, Limits(), mode="enforce", records=False, allow=(), modes=())
    for template, well in TEMPLATES:
        if server.dialect == "mysql":
            template = template.replace('"', "`")  # noqa: PLW2901
        plain = _plain_shapes(server, template, well)
        found = Tried(server.dialect, template, 0, 0, [])
        for text in texts:
            found.tried += 1
            statement = template.replace("{}", text)
            shape = server.shape(statement)
            if shape is None or shape in plain:
                continue
            found.changed += 1
            with db.request_inputs([text]):
                try:
                    watch.admit(statement)
                except QueryRefused:
                    continue
            found.missed.append((text, statement))
        yield found


def main() -> int:
    """Try many, and print what was counted."""
    from tests.postgres import serving

    parser = argparse.ArgumentParser()
    parser.add_argument("--payloads", type=int, default=15_000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    texts = payloads(wanted.payloads, wanted.seed)
    missed = 0
    with serving() as conninfo, tempfile.TemporaryDirectory() as folder:
        for server in (Sqlite(), Mysql(), Postgres(conninfo)):
            for found in tried(server, texts, Path(folder)):
                missed += len(found.missed)
                print(
                    f"{found.dialect}: {found.changed} of {found.tried} change "
                    f"{found.template!r}, {len(found.missed)} of them get through"
                )
                for text, statement in itertools.islice(found.missed, 10):
                    print("  missed:", repr(text), repr(statement))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
