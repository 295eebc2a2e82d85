"""SH201: values written into a statement of SQL; they become parameters of its driver."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.findings import Confidence, Rule, Severity
from safehold.source.rewrite import NotProvenError
from safehold.source.row import Example, Item, SourceRule
from safehold.source.sql.plan import plan
from safehold.source.sql.sinks import HINTS
from safehold.source.sql.statements import VALUES, Statement, statements
from safehold.source.unit import Unit

RULE = Rule(
    id="SH201",
    name="sql-value",
    title="A value is written into a statement of SQL",
    why="Whoever chooses the value can end it and go on in SQL: read other rows, change them, or "
    "pass a login. Quotes around it and escaping by hand do not hold.",
    remedy="Write a parameter in its place and give the value beside the statement, in the "
    "driver's own style (? for sqlite3, %s for psycopg and MySQL, $1 for asyncpg, :name for "
    "sqlalchemy.text); `safehold migrate PATH --write` does so where the driver is known.",
    severity=Severity.CRITICAL,
    cwe=89,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.3,
    fix="safe",
    references=(
        "https://cheatsheetseries.owasp.org/cheatsheets/Query_Parameterization_Cheat_Sheet.html",
        "https://peps.python.org/pep-0249/#paramstyle",
    ),
)


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the statements with values in them, and how each is mended."""
    found = unit.once(statements)
    for statement in found.found:
        spots = statement.harmful(*VALUES)
        if not spots:
            continue
        names = ", ".join(f"`{ast.unparse(spot.hole.value)}`" for spot in spots)
        change, remedy = None, ""
        are_numbers = all(spot.is_number for spot in spots)
        try:
            change = plan(statement, found, unit, RULE.id)
        except NotProvenError as error:
            if are_numbers:
                continue  # no string, if the annotations hold
            remedy = f"Not rewritten: {error}. {RULE.remedy}"
        yield Item(
            statement.sink.called.node,
            f"{names} {'is' if len(spots) == 1 else 'are'} written into the statement that "
            f"{_what(statement)} gets",
            remedy,
            confidence=Confidence.LOW if are_numbers else statement.sink.confidence,
            detail={"driver": statement.sink.driver.name or None},
            change=change,
        )


def _what(statement: Statement) -> str:
    called = statement.sink.called
    return called.name if "." in called.name else ast.unparse(called.node.func)


_SQLITE = "import sqlite3\n\nconn = sqlite3.connect('shop.db')\n\n\n"

SQL_VALUES = SourceRule(
    rule=RULE,
    check=_check,
    hints=HINTS,
    bad=(
        Example(
            _SQLITE + "def find(name):\n"
            "    return conn.execute(f\"SELECT id FROM users WHERE name = '{name}'\").fetchall()\n",
            (7,),
            _SQLITE + "def find(name):\n"
            '    return conn.execute(f"SELECT id FROM users WHERE name = ?", (str(name),))'
            ".fetchall()\n".replace('f"', '"'),
        ),
        Example(
            "import psycopg\n\n\ndef find(dsn, part: str):\n"
            "    with psycopg.connect(dsn) as conn, conn.cursor() as cur:\n"
            "        cur.execute(\"SELECT id FROM users WHERE name LIKE '%%%s%%'\" % part)\n",
            (6,),
            "import psycopg\n\n\ndef find(dsn, part: str):\n"
            "    with psycopg.connect(dsn) as conn, conn.cursor() as cur:\n"
            "        cur.execute(\"SELECT id FROM users WHERE name LIKE %s\", (f'%{part}%',))\n",
        ),
    ),
    good=(
        Example(
            _SQLITE + "def find(name):\n"
            "    return conn.execute('SELECT id FROM users WHERE name = ?', (name,))\n"
        ),
        Example(
            "import logging\n\n\ndef drop(name, executor):\n"
            "    logging.info(f'delete from {name} where it is old')\n"
            "    executor.execute(f'update {name} and set the table')\n"
        ),
    ),
)  # fmt: skip
