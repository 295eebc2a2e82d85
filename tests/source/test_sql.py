"""SQL that is put together: found, rewritten in the driver's own style, or explained."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import textwrap
from types import ModuleType

import pytest

from safehold.source.sql.render import Renderer
from tests.source.sql_cases import CASES, ROWS
from tests.work import is_linear

SQL = {"SH201", "SH202", "SH203"}


def found(audit):
    return [item for item in audit.findings if item.rule.id in SQL]


def after(audit):
    return None if audit.after is None else audit.after.decode()


def database() -> sqlite3.Connection:
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE users (id INTEGER, name TEXT, note TEXT, score REAL)")
    conn.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", ROWS)
    return conn


def module(body: str) -> str:
    head = "import sqlite3\n\n\ndef run(conn: sqlite3.Connection, a, b=None):\n"
    return head + textwrap.indent(body, "    ") + "\n"


def run(source: str, values) -> object:
    """Run it in a database of its own; an error of the database is a result too."""
    namespace = {"rows": lambda cursor: cursor.fetchall()}
    exec(compile(source, "case", "exec"), namespace)
    with contextlib.closing(database()) as conn:
        try:
            return namespace["run"](conn, *values)
        except sqlite3.Error as error:
            return type(error)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_harmless_values_give_the_same_rows_and_hostile_ones_no_more(case, look):
    source = module(case.body)
    audit = look(source)
    assert {item.rule.id for item in found(audit)} == {"SH201"}
    changed = after(audit)
    assert changed is not None, [item.remedy for item in audit.diagnostics]
    for values in case.harmless:
        before = run(source, values)
        assert run(changed, values) == before, values
    assert run(source, case.attack) != run(changed, case.attack)
    literal = run(changed, case.attack)
    assert not isinstance(literal, list) or len(literal) <= len(ROWS) + 1
    again = look(changed)
    assert found(again) == []
    assert again.after is None
    assert changed.count("\n") == source.count("\n")


def test_there_are_enough_cases():
    assert len(CASES) >= 50


class Recorder:
    """A driver that connects to nothing and keeps what it is given."""

    def __init__(self):
        self.calls = []

    def connect(self, *_args, **_options):
        return self

    cursor = connect

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def execute(self, *args):
        self.calls.append(args)


class AsyncRecorder(Recorder):
    async def execute(self, *args):
        self.calls.append(args)

    fetch = fetchrow = fetchval = execute


ONE = [
    (
        "f\"SELECT 1 FROM u WHERE n = '{a}' AND i = {b}\"",
        "SELECT 1 FROM u WHERE n = {} AND i = {}",
        ("x", 5),
    ),
    (
        "\"SELECT 1 FROM u WHERE n = '%s' AND i = %s\" % (a, b)",
        "SELECT 1 FROM u WHERE n = {} AND i = {}",
        ("x", 5),
    ),
    (
        '"SELECT 1 FROM u WHERE n LIKE \'%%" + a + "%%\'"',
        "SELECT 1 FROM u WHERE n LIKE {}",
        ("%%x%%",),
    ),
    (
        "f\"SELECT 1 FROM u WHERE n LIKE '5%' AND m LIKE '%{a}'\"",
        "SELECT 1 FROM u WHERE n LIKE '5%' AND m LIKE {}",
        ("%x",),
    ),
    (
        "\"SELECT 1 FROM u WHERE n LIKE '5%%' AND m = '%s'\" % a",
        "SELECT 1 FROM u WHERE n LIKE '5%' AND m = {}",
        ("x",),
    ),
    (
        "\"SELECT '{{}}' FROM u WHERE n = '{}'\".format(a)",
        "SELECT '{{}}' FROM u WHERE n = {}",
        ("x",),
    ),
]


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "pymysql", "MySQLdb", "mysql.connector"])
@pytest.mark.parametrize(("statement", "expected", "values"), ONE)
def test_drivers_with_format_style_get_values_and_doubled_percent_signs(
    driver, statement, expected, values, look, monkeypatch
):
    source = (
        f"import {driver}\n\n\ndef run(a, b):\n    conn = {driver}.connect('dsn')\n"
        f"    with conn.cursor() as cur:\n        cur.execute({statement})\n"
    )
    recorder = imitate(driver, monkeypatch)
    audit = look(source)
    assert [item.rule.id for item in found(audit)] == ["SH201"]
    call(source)
    call(after(audit))
    (plain,), (text, given) = recorder.calls
    assert given == values
    escaped = text.replace("%s", "{}").replace("%%", "%")
    assert escaped == expected.replace("{{}}", "{}") or escaped == expected
    assert text % tuple(f"'{v}'" if isinstance(v, str) else v for v in given) == plain


def imitate(driver, monkeypatch):
    recorder = Recorder() if driver not in ("asyncpg", "aiosqlite") else AsyncRecorder()
    name = ""
    parent = None
    for part in driver.split("."):
        name = f"{name}.{part}" if name else part
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        if parent is not None:
            setattr(parent, part, module)
        parent = module
    parent.connect = recorder.connect
    parent.Connection = Recorder
    return recorder


def call(source, *values):
    namespace = {}
    exec(compile(source, "case", "exec"), namespace)
    return namespace["run"](*(values or ("x", 5)))


@pytest.mark.parametrize(
    ("call_before", "expected"),
    [
        ("fetch(f\"SELECT 1 FROM u WHERE n = '{a}'\")", ("SELECT 1 FROM u WHERE n = $1", "x")),
        (
            "fetchrow(f\"SELECT 1 FROM u WHERE n = '{a}' AND i = {b}\")",
            ("SELECT 1 FROM u WHERE n = $1 AND i = $2", "x", 5),
        ),
        (
            "execute(f\"DELETE FROM u WHERE n = '{a}' AND i = $1\", b)",
            ("DELETE FROM u WHERE n = $2 AND i = $1", 5, "x"),
        ),
        (
            "fetchval('SELECT 1 FROM u WHERE n LIKE \\'%{}\\''.format(a))",
            ("SELECT 1 FROM u WHERE n LIKE $1", "%x"),
        ),
    ],
)
def test_asyncpg_gets_numbered_values_as_arguments(call_before, expected, look, monkeypatch):
    source = (
        "import asyncpg\n\n\nasync def run(a, b, conn: asyncpg.Connection = None):\n"
        f"    await conn.{call_before}\n"
    )
    imitate("asyncpg", monkeypatch)
    recorder = AsyncRecorder()
    asyncio.run(call(after(look(source)), "x", 5, recorder))
    assert recorder.calls == [expected]


HEADS = {
    "sqlite3": "import sqlite3\nconn = sqlite3.connect('a')\n",
    "aiosqlite": "import aiosqlite\n",
    "text": "from sqlalchemy import text\n",
    "sa": "import sqlalchemy as sa\n",
    "django": "from django.db import connection\n",
    "pandas": "import sqlite3\nimport pandas as pd\ncon = sqlite3.connect('a')\n",
    "op": "import sqlalchemy as sa\nfrom alembic import op\n",
    "psycopg": "import psycopg\nconn = psycopg.connect('a')\n",
    "my": "import pymysql\nconn = pymysql.connect()\n",
    "": "",
}


@pytest.mark.parametrize(
    ("head", "before", "expected"),
    [
        (
            "text",
            "def f(session, a):\n    session.execute(text(f\"SELECT 1 FROM u WHERE n = '{a}'\"))\n",
            'def f(session, a):\n    session.execute(text("SELECT 1 FROM u WHERE n = :a"), {"a": str(a)})\n',
        ),
        (
            "text",
            "def f(session, a):\n    session.execute(text(f\"SELECT 1 FROM u WHERE n = '{a}' AND i = :a\"), {'a': 1})\n",
            'def f(session, a):\n    session.execute(text("SELECT 1 FROM u WHERE n = :a_2 AND i = :a"), {\'a\': 1, "a_2": str(a)})\n',
        ),
        (
            "sa",
            "def f(query, row):\n    return query.filter(sa.text(\"n = '%s'\" % row['name']))\n",
            "def f(query, row):\n    return query.filter(sa.text(\"n = :name\").bindparams(name=str(row['name'])))\n",
        ),
        (
            "op",
            "def f(a: str):\n    op.execute(sa.text(f\"UPDATE u SET n = '{a}'\"))\n",
            'def f(a: str):\n    op.execute(sa.text("UPDATE u SET n = :a").bindparams(a=a))\n',
        ),
        (
            "django",
            "def f(a):\n    with connection.cursor() as cursor:\n        cursor.execute(f\"SELECT 1 FROM u WHERE n = '{a}' AND m LIKE '5%'\")\n",
            "def f(a):\n    with connection.cursor() as cursor:\n        cursor.execute(\"SELECT 1 FROM u WHERE n = %s AND m LIKE '5%%'\", [str(a)])\n",
        ),
        (
            "pandas",
            "def f(a):\n    return pd.read_sql(f\"SELECT * FROM u WHERE n = '{a}'\", con, index_col='n')\n",
            "def f(a):\n    return pd.read_sql(\"SELECT * FROM u WHERE n = ?\", con, index_col='n', params=(str(a),))\n",
        ),
        (
            "aiosqlite",
            "async def f(a):\n    async with aiosqlite.connect('d') as db:\n        async with db.execute(f'SELECT 1 FROM u WHERE i = {a}') as cur:\n            return await cur.fetchall()\n",
            "async def f(a):\n    async with aiosqlite.connect('d') as db:\n        async with db.execute('SELECT 1 FROM u WHERE i = ?', (a,)) as cur:\n            return await cur.fetchall()\n",
        ),
        (
            "psycopg",
            "def f(ids):\n    conn.execute(f\"SELECT 1 FROM u WHERE i IN ({','.join(map(str, ids))})\")\n",
            "def f(ids):\n    conn.execute(f\"SELECT 1 FROM u WHERE i IN ({','.join(['%s'] * len(ids))})\", (*ids,))\n",
        ),
        (
            "sqlite3",
            "class R:\n    def __init__(self):\n        self.conn = sqlite3.connect('a')\n\n    def f(self, a):\n        self.conn.cursor().execute(f\"SELECT 1 FROM u WHERE n = '{a}'\")\n",
            "class R:\n    def __init__(self):\n        self.conn = sqlite3.connect('a')\n\n    def f(self, a):\n        self.conn.cursor().execute(\"SELECT 1 FROM u WHERE n = ?\", (str(a),))\n",
        ),
        (
            "sqlite3",
            "def get():\n    return sqlite3.connect('b')\n\ndef f(a):\n    with get() as db:\n        db.execute(f\"SELECT 1 FROM u WHERE n = '{a}'\")\n",
            "def get():\n    return sqlite3.connect('b')\n\ndef f(a):\n    with get() as db:\n        db.execute(\"SELECT 1 FROM u WHERE n = ?\", (str(a),))\n",
        ),
    ],
)
def test_becomes_parameters_of_its_library(head, before, expected, look):
    audit = look(HEADS[head] + before)
    assert after(audit) == HEADS[head] + expected, audit.diagnostics
    assert found(look(after(audit))) == []


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("sqlite3", "logging.info(f\"delete from {a} where it is '{b}'\")"),
        ("sqlite3", 'raise ValueError(f"select one of {a} from the list")'),
        ("", "executor.execute(f'update {a} set of rules')"),
        ("", "self.execute(f'select {a} from')".replace("from", "menu")),
        ("sqlite3", "conn.execute('SELECT 1 FROM u WHERE n = ?', (a,))"),
        ("sqlite3", "conn.execute(f'SELECT 1 FROM {quote_name(a)}')"),
        (
            "sqlite3",
            "class R:\n    def __init__(self, size: int):\n        self.size = size\n    def f(self):\n        conn.execute(f'CREATE TABLE u (v VECTOR({self.size}))')",
        ),
        (
            "sqlite3",
            "def size() -> int: ...\nconn.execute(f'CREATE TABLE u (v VECTOR({size() + 1}))')",
        ),
        (
            "sqlite3",
            "def op(t):\n    if t:\n        return '='\n    return '<'\nconn.execute(f'SELECT 1 FROM u WHERE n {op(a)} 1')",
        ),
        ("sqlite3", "n = a.replace('\"', '\"\"')\nconn.execute(f'SELECT 1 FROM \"{n}\"')"),
        ("sqlite3", "n = 'u' + uuid.uuid4().hex\nconn.execute(f'CREATE TABLE {n} (i INT)')"),
        ("sqlite3", "def _q(t):\n    return f'SELECT 1 FROM {t}'\nconn.execute(_q('u'))"),
        (
            "sqlite3",
            "from x import Lite\nfor k, v in {Lite: 'u'}.items():\n    conn.execute(f'SELECT 1 FROM {v}')",
        ),
        ("sqlite3", "Q = 'SELECT 1 FROM {}'\nconn.execute(Q.format('u'))"),
        ("sqlite3", "conn.execute(a)"),
        ("sqlite3", "conn.execute(f'{a}')"),
        ("sqlite3", "conn.execute(build(a), b)"),
        ("sqlite3", "conn.execute(f'SELECT 1 FROM u LIMIT {int(a)}')"),
        ("sqlite3", "conn.execute(f'SELECT 1 FROM u LIMIT {a:d}')"),
        ("sqlite3", "conn.execute('SELECT 1 FROM u LIMIT %d' % a)"),
        ("sqlite3", "conn.execute(f'SELECT 1 FROM u LIMIT {len(a)}')"),
        ("sqlite3", "for x in ('u', 'v'):\n    conn.execute(f'DELETE FROM {x}')"),
        (
            "sqlite3",
            "for x, c in [('u', 'n'), ('v', 'm')]:\n    conn.execute(f'UPDATE {x} SET {c} = 1')",
        ),
        (
            "sqlite3",
            "marks = ','.join('?' * len(a))\nconn.execute(f'SELECT 1 FROM u WHERE i IN ({marks})', a)",
        ),
        (
            "sqlite3",
            "marks = ','.join('?' for _ in a)\nconn.execute('SELECT 1 FROM u WHERE i IN (%s)' % marks, a)",
        ),
        (
            "sqlite3",
            "where = 'n = ?' if a else 'm = ?'\nconn.execute(f'SELECT 1 FROM u WHERE {where}', (a,))",
        ),
        ("sqlite3", "T = {'u': 'users'}\nconn.execute(f'SELECT 1 FROM {T[a]}')"),
        ("sqlite3", "class T(enum.Enum):\n    U = 'u'\nconn.execute(f'SELECT 1 FROM {T.U.value}')"),
        (
            "sa",
            "stmt = sa.select(t.c.a).where(t.c.b == a)\nstmt = stmt.where(t.c.d == b)\nconn.execute(stmt)",
        ),
        ("sa", "stmt = t.select()\nstmt += a\nconn.execute(stmt + b)"),
        ("sa", "conn.execute(sa.text('SELECT 1 FROM u WHERE n = :n'), {'n': a})"),
        (
            "psycopg",
            "from psycopg import sql\nconn.execute(sql.SQL('SELECT 1 FROM {}').format(sql.Identifier(a)))",
        ),
        ("django", "connection.cursor().execute(f'SELECT 1 FROM {Model._meta.db_table}')"),
        ("op", "op.execute(f'UPDATE u SET b = {sa.false().compile(op.get_bind())}')"),
        (
            "op",
            "revision = down_revision = ''\ndef drop(table):\n    op.execute(f'DROP TABLE {table}')\ndrop('u')\ndrop('v')",
        ),
        ("op", "from .names import TABLE\nop.execute(f'DROP TABLE {TABLE}')"),
        ("pandas", "pd.read_sql('SELECT * FROM u WHERE n = ?', con, params=(a,))"),
    ],
)
def test_does_nothing_to(head, body, look):
    source = (
        f"{HEADS[head]}import enum, logging\n\n\ndef f(a, b, t, self, executor):\n"
        + textwrap.indent(body, "    ")
    )
    audit = look(source + "\n")
    assert found(audit) == []
    assert audit.diagnostics == ()
    assert audit.after is None


@pytest.mark.parametrize(
    ("head", "body", "rules", "reason"),
    [
        (
            "",
            "cur.execute(f\"SELECT 1 FROM u WHERE n = '{a}'\")",
            ["SH201"],
            "does not show which driver",
        ),
        (
            "sqlite3",
            "cur.execute(f\"SELECT 1 FROM u WHERE n = '{a}'\")",
            ["SH201"],
            "sqlite3 is imported",
        ),
        (
            "sqlite3",
            "conn.execute(f\"SELECT 1 FROM u WHERE n IN ('{a}')\")",
            ["SH201"],
            "all values of IN",
        ),
        (
            "sqlite3",
            "conn.execute(f'SELECT 1 FROM u WHERE i IN ({a})')",
            ["SH201"],
            "all values of IN",
        ),
        (
            "sqlite3",
            "conn.execute(f'SELECT 1 FROM u WHERE length(n) > {a}')",
            ["SH201"],
            "type of `a`",
        ),
        (
            "sqlite3",
            "conn.execute(f'SELECT 1 FROM u WHERE n = {other_column}')",
            ["SH201"],
            "piece of SQL",
        ),
        (
            "sqlite3",
            "conn.execute(f'SELECT 1 FROM u WHERE n = {quote(a)}')",
            ["SH201"],
            "piece of SQL",
        ),
        (
            "sqlite3",
            "conn.executescript(f\"DELETE FROM u WHERE n = '{a}'\")",
            ["SH201"],
            "takes no parameters",
        ),
        (
            "sqlite3",
            "conn.executemany(f\"UPDATE u SET n = '{a}' WHERE i = ?\", b)",
            ["SH201"],
            "by row",
        ),
        (
            "sqlite3",
            "params = (1,)\nconn.execute(f\"SELECT 1 FROM u WHERE n = '{a}' AND i = ? AND m = '{b}'\", params)",
            ["SH201"],
            "order",
        ),
        ("sqlite3", "conn.execute(f\"SELECT 1 FROM u WHERE n = '{a}'\", *b)", ["SH201"], "spreads"),
        (
            "sqlite3",
            "conn.execute(f\"SELECT 1 FROM u WHERE n = '{a}' AND i = :i\", b)",
            ["SH201"],
            "add the values",
        ),
        (
            "sqlite3",
            "conn.execute(f\"DELETE FROM u WHERE n = '{a}'; DELETE FROM u\")",
            ["SH201"],
            "several",
        ),
        (
            "sqlite3",
            "conn.execute(f\"CREATE TABLE u (n TEXT DEFAULT '{a}')\")",
            ["SH201"],
            "take no parameters",
        ),
        (
            "sqlite3",
            "sql = f\"SELECT 1 FROM u WHERE n = '{a}'\"\nprint(sql)\nconn.execute(sql)",
            ["SH201"],
            "used elsewhere",
        ),
        (
            "sqlite3",
            "sql = f\"SELECT 1 FROM u WHERE n = '{a}'\"\na = 1\nconn.execute(sql)",
            ["SH201"],
            "changes before",
        ),
        (
            "sqlite3",
            "sql = f\"SELECT 1 FROM u WHERE n = '{next(a)}'\"\nb()\nconn.execute(sql)",
            ["SH201"],
            "is computed before",
        ),
        (
            "sqlite3",
            "sql = 'SELECT 1 FROM u'\nif a:\n    sql += f\" WHERE n = '{a}'\"\nconn.execute(sql)",
            ["SH201"],
            "more than one value",
        ),
        (
            "sqlite3",
            "if b:\n    sql = f\"SELECT 1 FROM u WHERE n = '{a}'\"\nelse:\n    sql = 'SELECT 1'\nconn.execute(sql)",
            ["SH201"],
            "more than one value",
        ),
        (
            "sqlite3",
            "where = f\"n = '{a}'\"\nconn.execute(f'SELECT 1 FROM u WHERE {where}')",
            ["SH201"],
            "put together elsewhere",
        ),
        (
            "sqlite3",
            "conn.execute(\"SELECT 1 FROM u WHERE n = '%s'\" % a, b)",
            ["SH201"],
            "add the values",
        ),
        (
            "sqlite3",
            "a = (b,)\nconn.execute(\"SELECT 1 FROM u WHERE n = '%s'\" % a)",
            ["SH201"],
            "is a tuple",
        ),
        (
            "sqlite3",
            'conn.execute("SELECT 1 FROM u WHERE n = \'" +  # why\n    a + "\'")',
            ["SH201"],
            "comments",
        ),
        (
            "psycopg",
            "conn.execute(f\"SELECT now() - INTERVAL '{a} days' FROM u\")",
            ["SH201"],
            "INTERVAL",
        ),
        ("psycopg", "conn.execute(rf\"SELECT 1 FROM u WHERE n = E'\\n{a}'\")", ["SH203"], ""),
        ("psycopg", "conn.execute(f\"DO $x$ BEGIN PERFORM '{a}'; END $x$\")", ["SH203"], ""),
        (
            "sa",
            "conn.exec_driver_sql(f\"SELECT 1 FROM u WHERE n = '{a}'\")",
            ["SH201"],
            "parameter style",
        ),
        ("text", "text(f\"SELECT 1 FROM u WHERE d > '{a}'::date\")", ["SH201"], "cast"),
        ("django", "User.objects.raw(f\"SELECT 1 FROM u WHERE n = '{a}'\")", ["SH201"], "params="),
        ("django", "User.objects.extra(where=[f\"n = '{a}'\"])", ["SH201"], "params="),
        ("op", "op.execute(f\"UPDATE u SET n = '{a}'\")", ["SH201"], "bindparams"),
        (
            "pandas",
            "pd.read_sql(f\"SELECT * FROM u WHERE n = '{a}'\", engine)",
            ["SH201"],
            "parameter style",
        ),
        ("sqlite3", "conn.execute(f'SELECT {a} FROM u')", ["SH202"], ""),
        ("sqlite3", "conn.execute(f\"SELECT 1 FROM {a.GET['t']}\")", ["SH202"], ""),
        (
            "sqlite3",
            "from bottle import web\nconn.execute(f\"SELECT 1 FROM {web.GET['t']}\")",
            ["SH202"],
            "",
        ),
        (
            "sqlite3",
            "Q = \"SELECT 1 FROM u WHERE n = '%s'\"\nconn.execute(Q % a)",
            ["SH201"],
            "kept apart",
        ),
        (
            "sqlite3",
            "class R:\n    Q = \"SELECT 1 FROM u WHERE n = '{}'\"\n    def f(self, a):\n        conn.execute(self.Q.format(a))",
            ["SH201"],
            "kept apart",
        ),
        (
            "sqlite3",
            "conn.execute(\"SELECT 1 FROM u WHERE n = 'X'\".replace('X', a))",
            ["SH201"],
            "kept apart",
        ),
        (
            "sqlite3",
            "def q(a):\n    return f\"SELECT 1 FROM u WHERE n = '{a}'\"\nconn.execute(q(b))",
            ["SH201"],
            "in another function",
        ),
        (
            "sqlite3",
            "conn.execute(sql := f\"SELECT 1 FROM u WHERE n = '{a}'\")",
            ["SH201"],
            "used elsewhere",
        ),
        (
            "my",
            "conn.cursor().execute(\"SELECT 1 FROM u WHERE m = 'it\\\\'s' AND n = '%s'\" % a)",
            ["SH203"],
            "",
        ),
        (
            "my",
            "conn.cursor().execute(f\"SELECT 1 FROM u WHERE m = '\\\\n' AND n = '{a}'\")",
            ["SH201"],
            "backslash",
        ),
        (
            "psycopg",
            "conn.execute(f\"SELECT 1 FROM u WHERE n = '{a}'\", ())",
            ["SH201"],
            "percent signs",
        ),
        (
            "",
            "db.session.execute(f\"SELECT 1 FROM u WHERE n = '{a}'\")",
            ["SH201"],
            "does not show which driver",
        ),
        (
            "sqlite3",
            "conn.execute(\"SELECT 1 FROM u WHERE n = '%s'\" % (a, b))",
            ["SH201"],
            "do not match",
        ),
        ("sa", "sa.text(f\"NOTIFY changes, '{a}'\")", ["SH201"], "take no parameters"),
        ("sa", "sa.text(f\"SELECT 1 FROM u WHERE j @> '[{a}]'\")", ["SH201"], "no text"),
        ("sa", "sa.literal_column(f\"'{a}'\")", ["SH201"], "literal()"),
        ("sqlite3", "conn.execute(f'SELECT 1 FROM u ORDER BY {a}')", ["SH202"], ""),
        ("sqlite3", "conn.execute(f'INSERT INTO u ({a}) VALUES (?)', (b,))", ["SH202"], ""),
        ("sqlite3", "conn.execute(f'SELECT MAX({a}) FROM u')", ["SH202"], ""),
        ("sqlite3", "conn.execute(f'PRAGMA table_info({a})')", ["SH202"], ""),
        ("sqlite3", "conn.execute(f'UPDATE {a} SET n = 1')", ["SH202"], ""),
        ("sqlite3", "conn.execute(f'SELECT 1 FROM u WHERE {a} = 1')", ["SH202"], ""),
        ("sqlite3", "conn.execute(f'SELECT 1 FROM tab_{a}')", ["SH202"], ""),
        ("sqlite3", "conn.execute(f'SELECT 1 FROM u WHERE {a}')", ["SH203"], ""),
        ("sqlite3", "conn.execute('SELECT 1 FROM u WHERE ' + ' AND '.join(a))", ["SH203"], ""),
    ],
)
def test_is_explained_and_left(head, body, rules, reason, look):
    source = f"{HEADS[head]}\n\ndef f(a, b, cur, other_column, quote):\n" + textwrap.indent(
        body, "    "
    )
    audit = look(source + "\n")
    assert [item.rule.id for item in found(audit)] == rules
    assert audit.after is None
    assert audit.outcome == "diagnosed"
    assert reason in " ".join(item.remedy for item in audit.diagnostics)


@pytest.mark.parametrize(
    "source",
    [
        lambda size: (
            "def f(a):\n"
            + "    sql = f\"SELECT 1 FROM u WHERE n = '{a}'\"\n    conn.execute(sql)\n" * size
        ),
        lambda size: (
            "def f(a):\n    sql = 'SELECT 1 FROM u WHERE 1'\n"
            + "    sql += f\" OR n = '{a}'\"\n" * size
            + "    conn.execute(sql)\n"
        ),
        lambda size: (
            "def f(a):\n    conn.execute('SELECT 1 FROM u WHERE n = ' + a"
            + " + ' OR n = ' + a" * size
            + ")\n"
        ),
    ],
    ids=["one name", "additions", "operands"],
)
def test_the_work_grows_with_the_source(source, look):
    def make(size):
        text = HEADS["sqlite3"] + source(size)
        return lambda: look(text)

    assert is_linear(make, 100)


@pytest.mark.parametrize(
    ("old", "new"), [("WHERE", "WHEN"), ("= ?", "= ? "), ("{table}", "{other}")]
)
def test_an_edit_that_changes_more_than_the_value_is_not_made(old, new, look, monkeypatch):
    source = module("conn.execute(f\"SELECT * FROM {table} WHERE name = '{a}'\")")
    source = source.replace("b=None", "table, other")
    assert after(look(source)) is not None

    honest = Renderer.expression
    monkeypatch.setattr(
        Renderer, "expression", lambda self, node: honest(self, node).replace(old, new)
    )
    audit = look(source)
    assert after(audit) is None
    assert any("its literals cannot be edited" in item.remedy for item in audit.diagnostics)


@pytest.mark.parametrize(
    ("imported", "connection", "dialect"),
    [
        ("sqlite3", "sqlite3.connect('shop.db')", "sqlite"),
        ("psycopg2", "psycopg2.connect('')", "postgresql"),
        ("pymysql", "pymysql.connect()", "mysql"),
    ],
)
def test_the_remedy_of_a_name_is_written_in_the_dialect_of_the_driver(
    imported, connection, dialect, look
):
    source = (
        f"import {imported}\nconn = {connection}\ncursor = conn.cursor()\n"
        "def f(table):\n    cursor.execute(f'SELECT 1 FROM {table}')\n"
    )
    (finding,) = found(look(source))
    assert f"safehold.db.ident(table, '{dialect}')" in finding.remedy
    quoted = source.replace("{table}", "{db.ident(table, dialect)}").replace(
        "import ", "import db, "
    )
    assert found(look(quoted)) == []


def test_the_remedy_of_a_name_guesses_no_dialect(look):
    (finding,) = found(
        look("def f(cursor, table):\n    cursor.execute('SELECT 1 FROM ' + table)\n")
    )
    assert "safehold.db.ident(name, dialect)" in finding.remedy


HARMLESS = {
    "a name that is drawn": "t = f't{secrets.token_hex(4)}'\nconn.execute(f'DROP TABLE {t}')\n",
    "quotes that are doubled": "q = '\"'\ndef quoted(s):\n    return q + s.replace(q, q + q) + q\n"
    "def f(t):\n    conn.execute('DELETE FROM ' + quoted(t))\n",
    "a name that is quoted first": "from x import _quote\ndef f(t, s=None):\n    t = _quote(t)\n"
    "    if s:\n        t = _quote(s) + '.' + t\n    conn.execute('DELETE FROM ' + t)\n",
    "a statement that is explained": "def f(s):\n    conn.execute(f'EXPLAIN QUERY PLAN {s}')\n",
    "a condition and its values": "def where(a=None):\n    s, p = '', {}\n    if a:\n"
    "        s += ' WHERE a = :a'\n        p['a'] = a\n    return s, p\ndef f(a):\n"
    "    s, p = where(a)\n    conn.execute('SELECT a FROM t' + s, p)\n",
    "others are turned away": "def f(t):\n    if t not in ('a', 'b'):\n        raise ValueError\n"
    "    conn.execute(f'SELECT * FROM {t}')\n",
    "one of a few": "def f(t):\n    if t in ('a', 'b'):\n        conn.execute(f'SELECT * FROM {t}')\n",
    "a key beside a value": "from x import FUNCTIONS\nfound = {}\nfor name in FUNCTIONS:\n"
    "    found[name] = conn.execute(f'SELECT {name}()')\n",
    "what is computed of numbers": "def f(n: int):\n    size = n * 1000\n"
    "    conn.execute(f'SELECT a / {size} FROM t')\n",
    "an entry of a mapping": "def f(t):\n    p = {'t': quote_name(t), 'u': t}\n"
    "    conn.execute('DROP TABLE %(t)s' % p)\n",
}
HARMFUL = {
    "quoted perhaps": "from x import _quote\ndef f(t, s=None):\n    if s:\n        t = _quote(t)\n"
    "    conn.execute('DELETE FROM ' + t)\n",
    "quoted too late": "from x import _quote\ndef f(t):\n    conn.execute('DELETE FROM ' + t)\n"
    "    t = _quote(t)\n",
    "quoted, then another": "from x import _quote\ndef f(t, s):\n    t = _quote(t)\n    t = s\n"
    "    conn.execute('DELETE FROM ' + t)\n",
    "quoted in a block that failed": "from x import _quote\ndef f(t):\n    try:\n"
    "        t = _quote(t)\n    except ValueError:\n        conn.execute('DELETE FROM ' + t)\n",
    "a value that is quoted by hand": "from x import _quote\ndef f(t):\n"
    "    conn.execute('DELETE FROM a WHERE b = ' + _quote(t))\n",
    "a part of what is explained": "def f(t):\n    conn.execute(f'EXPLAIN SELECT * FROM {t}')\n",
    "a value in a condition": "def where(a):\n    s = ' WHERE a = ' + a\n    return s, {}\n"
    "def f(a):\n    s, p = where(a)\n    conn.execute('SELECT a FROM t' + s, p)\n",
    "checked, then another": "def f(t, s):\n    if t not in ('a', 'b'):\n        raise ValueError\n"
    "    t = s\n    conn.execute(f'SELECT * FROM {t}')\n",
    "checked with what may be anything": "def f(t, s):\n    if t not in s:\n"
    "        raise ValueError\n    conn.execute(f'SELECT * FROM {t}')\n",
    "checked in another block": "def f(t, s):\n    if s:\n        if t not in ('a', 'b'):\n"
    "            raise ValueError\n    conn.execute(f'SELECT * FROM {t}')\n",
    "checked, and of an inner function": "def f(t):\n    if t in ('a', 'b'):\n"
    "        def g(t):\n            conn.execute(f'SELECT * FROM {t}')\n        return g\n",
    "computed of what may be anything": "def f(n):\n    size = n * 1000\n"
    "    conn.execute(f'SELECT a / {size} FROM t')\n",
    "computed of numbers, then another": "def f(n: int, s):\n    size = n * 1000\n    size = s\n"
    "    conn.execute(f'SELECT a / {size} FROM t')\n",
    "computed of numbers, then longer": "def f(n: int, s):\n    size = n * 1000\n    size += s\n"
    "    conn.execute(f'SELECT a / {size} FROM t')\n",
    "a default that is a number": "def f(size=60 * 1000):\n"
    "    conn.execute(f'SELECT a / {size} FROM t')\n",
    "computed of itself": "def f(n: int):\n    size = n * 1000\n    size = size + 1\n"
    "    conn.execute(f'SELECT a / {size} FROM t')\n",
    "a text that is made of numbers": "def f(n: int, s):\n    size = s % n\n"
    "    conn.execute(f'SELECT a / {size} FROM t')\n",
    "a table that is made alike": "def f(t):\n    conn.execute(f'CREATE TABLE x LIKE {t}')\n",
}


@pytest.mark.parametrize("name", [*HARMLESS, *HARMFUL])
def test_what_is_known_of_a_piece_decides(name, look):
    head = "import secrets, sqlite3\nconn = sqlite3.connect('shop.db')\n"
    rules = {item.rule.id for item in found(look(head + {**HARMLESS, **HARMFUL}[name]))}
    assert bool(rules) == (name in HARMFUL), rules
    assert name != "a table that is made alike" or rules == {"SH202"}
