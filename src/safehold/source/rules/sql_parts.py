"""SH203: pieces of SQL that a statement is put together from, which the source does not show."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.findings import Rule, Severity
from safehold.source.row import Example, Item, SourceRule
from safehold.source.sql.lexer import Place
from safehold.source.sql.sinks import HINTS
from safehold.source.sql.told import told
from safehold.source.unit import Unit

RULE = Rule(
    id="SH203",
    name="sql-fragment",
    title="A statement of SQL is put together from pieces that are not constant",
    why="A condition, list or clause that comes from elsewhere is SQL that runs; whether values "
    "are written into it is not shown where it is used.",
    remedy="Build the piece from constants and parameters (conditions.append('name = ?') beside "
    "values.append(name)), or from a fixed set of pieces.",
    severity=Severity.HIGH,
    cwe=89,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:L/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
    score=7.6,
    fix="none",
    references=(
        "https://cheatsheetseries.owasp.org/cheatsheets/SQL_Injection_Prevention_Cheat_Sheet.html",
    ),
)


def _check(unit: Unit) -> Iterator[Item]:
    """Return the statements with pieces that are not known."""
    return told(unit, Place.UNKNOWN, "as a piece of SQL")


SQL_PARTS = SourceRule(
    rule=RULE,
    check=_check,
    hints=HINTS,
    bad=(
        Example(
            "import sqlite3\n\nconn = sqlite3.connect('shop.db')\n\n\ndef find(condition):\n"
            "    return conn.execute(f'SELECT id FROM users WHERE {condition}')\n",
            (7,),
        ),
        Example(
            "def find(cursor, names):\n    conditions = []\n    for name in names:\n"
            "        conditions.append(f\"name = '{name}'\")\n"
            '    cursor.execute("SELECT id FROM users WHERE " + " OR ".join(conditions))\n',
            (5,),
        ),
    ),
    good=(
        Example(
            "def find(cursor, name=None, age=None):\n    conditions, values = [], []\n"
            "    if name:\n        conditions.append('name = %s')\n        values.append(name)\n"
            "    if age:\n        conditions.append('age > %s')\n        values.append(age)\n"
            '    cursor.execute("SELECT id FROM users WHERE " + " AND ".join(conditions), values)\n'
        ),
        Example(
            "def find(cursor, newest):\n    order = 'DESC' if newest else 'ASC'\n"
            "    cursor.execute(f'SELECT id FROM users ORDER BY id {order}')\n"
        ),
    ),
)
