"""SH202: identifiers and keywords written into a statement of SQL; no parameter can stand there."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.findings import Rule, Severity
from safehold.source.row import Example, Item, SourceRule
from safehold.source.sql.lexer import Place
from safehold.source.sql.sinks import HINTS
from safehold.source.sql.statements import Spot
from safehold.source.sql.told import told
from safehold.source.unit import Unit

RULE = Rule(
    id="SH202",
    name="sql-identifier",
    title="The name of a table or column is written into a statement of SQL",
    why="Whoever chooses the name can end it and go on in SQL, or name another table. Parameters "
    "cannot stand for names.",
    remedy="Take the name from a fixed set (a mapping from what is asked for to the names that "
    "exist), or quote it: safehold.db.ident(name, dialect), psycopg.sql.Identifier, SQLAlchemy's "
    "quoted_name, connection.ops.quote_name in Django.",
    severity=Severity.CRITICAL,
    cwe=89,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.2,
    fix="none",
    references=(
        "https://cheatsheetseries.owasp.org/cheatsheets/SQL_Injection_Prevention_Cheat_Sheet.html",
    ),
)


def _check(unit: Unit) -> Iterator[Item]:
    """Return the statements with names in them that somebody else may choose."""
    return told(unit, Place.NAME, "in the place of a name", _remedy)


def _remedy(spots: list[Spot], dialect: str) -> str:
    """Say how the names are quoted, where the driver shows the dialect."""
    if not dialect:
        return RULE.remedy
    quoted = ", ".join(
        f"safehold.db.ident({ast.unparse(spot.hole.value)}, {dialect!r})" for spot in spots
    )
    return (
        "Take the name from a fixed set (a mapping from what is asked for to the names that "
        f"exist), or write {quoted}, if it is one name without quotes around it."
    )


SQL_NAMES = SourceRule(
    rule=RULE,
    check=_check,
    hints=HINTS,
    bad=(
        Example(
            "import sqlite3\n\nconn = sqlite3.connect('shop.db')\n\n\ndef count(table):\n"
            "    return conn.execute(f'SELECT COUNT(*) FROM {table}')\n",
            (7,),
        ),
        Example(
            "def rows(cursor, column):\n"
            '    cursor.execute("SELECT id FROM users ORDER BY " + column)\n',
            (2,),
        ),
    ),
    good=(
        Example(
            "import sqlite3\n\nTABLES = ('users', 'orders')\nconn = sqlite3.connect('shop.db')\n"
            "for table in TABLES:\n    conn.execute(f'SELECT COUNT(*) FROM {table}')\n"
        ),
        Example(
            "from psycopg import sql\n\n\ndef count(cur, table):\n"
            "    cur.execute(sql.SQL('SELECT COUNT(*) FROM {}').format(sql.Identifier(table)))\n"
        ),
    ),
)
