"""Functions that build SQL for sqlite3, with values that are harmless and one that is not.

Each is the body of `def run(conn: sqlite3.Connection, a, b=None)` and is run against a table
`users(id INTEGER, name TEXT, note TEXT, score REAL)`, before and after migration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ROWS = [
    (1, "ann", "first", 1.5),
    (2, "bob", "second 100% sure", 2.5),
    (3, "O'Neil", "it's third", 3.5),
    (4, "5", "a_b", 4.5),
    (5, "cy", None, 5.5),
]
OR = "x' OR '1'='1"
BARE = "1 OR 1=1"


@dataclass(frozen=True)
class Case:
    name: str
    body: str
    harmless: tuple[tuple[Any, ...], ...]
    attack: tuple[Any, ...]


class Hostile:
    """Is written as SQL."""

    def __repr__(self) -> str:
        return "1) OR (1=1"


TEXTS = (("ann",), ("bob",), ("nobody",), ("5",), (5,), (None,))
NUMBERS = ((1,), (2,), (99,), ("3",))
PAIRS = (("ann", 1), ("bob", 2), ("bob", 1), ("ann", "1"))
LISTS = ((["ann", "bob"],), (["nobody"],), ([],), (["5", "cy", "ann"],))
IDS = (([1, 2],), ([99],), ([3, 4, 5],))


def _case(name: str, body: str, harmless: Any, attack: Any) -> Case:
    return Case(name, body, tuple(harmless), attack)


CASES = (
    _case(
        "f-string",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE name = '{a}'\"))",
        TEXTS,
        (OR,),
    ),
    _case(
        "f-string in single quotes",
        "return rows(conn.execute(f'SELECT * FROM users WHERE name = \\'{a}\\''))",
        TEXTS,
        (OR,),
    ),
    _case(
        "double-quoted value",
        "return rows(conn.execute(f'SELECT * FROM users WHERE name = \"{a}\"'))",
        (("ann",), ("x y",)),
        ('x" OR "1"="1',),
    ),
    _case(
        "raw f-string",
        "return rows(conn.execute(rf\"SELECT * FROM users WHERE name = '{a}'\"))",
        TEXTS,
        (OR,),
    ),
    _case(
        "percent with a value",
        "return rows(conn.execute(\"SELECT * FROM users WHERE name = '%s'\" % a))",
        TEXTS,
        (OR,),
    ),
    _case(
        "percent with a tuple",
        "return rows(conn.execute(\"SELECT * FROM users WHERE name = '%s' AND id = %s\" % (a, b)))",
        PAIRS,
        (OR, BARE),
    ),
    _case(
        "percent with a mapping",
        "return rows(conn.execute(\"SELECT * FROM users WHERE name = '%(n)s'\" % {'n': a}))",
        TEXTS,
        (OR,),
    ),
    _case(
        "percent with a variable mapping",
        "d = {'n': a}\nreturn rows(conn.execute(\"SELECT * FROM users WHERE name = '%(n)s'\" % d))",
        TEXTS,
        (OR,),
    ),
    _case(
        "percent with locals",
        "return rows(conn.execute(\"SELECT * FROM users WHERE name = '%(a)s'\" % locals()))",
        TEXTS,
        (OR,),
    ),
    _case(
        "percent with a doubled sign",
        "return rows(conn.execute(\"SELECT * FROM users WHERE note LIKE '%%first%%' AND name = '%s'\" % a))",
        TEXTS,
        (OR,),
    ),
    _case(
        "format",
        "return rows(conn.execute(\"SELECT * FROM users WHERE name = '{}'\".format(a)))",
        TEXTS,
        (OR,),
    ),
    _case(
        "format by number",
        "return rows(conn.execute(\"SELECT * FROM users WHERE id = {1} AND name = '{0}'\".format(a, b)))",
        PAIRS,
        (OR, BARE),
    ),
    _case(
        "format by name",
        "return rows(conn.execute(\"SELECT * FROM users WHERE name = '{n}'\".format(n=a)))",
        TEXTS,
        (OR,),
    ),
    _case(
        "format with a mapping",
        "d = {'n': a}\nreturn rows(conn.execute(\"SELECT * FROM users WHERE name = '{n}'\".format(**d)))",
        TEXTS,
        (OR,),
    ),
    _case(
        "format with an item",
        "d = [a]\nreturn rows(conn.execute(\"SELECT * FROM users WHERE name = '{0[0]}'\".format(d)))",
        TEXTS,
        (OR,),
    ),
    _case(
        "format with braces",
        "return rows(conn.execute(\"SELECT *, '{{}}' FROM users WHERE name = '{}'\".format(a)))",
        TEXTS,
        (OR,),
    ),
    _case(
        "plus",
        'return rows(conn.execute("SELECT * FROM users WHERE name = \'" + a + "\'"))',
        (("ann",), ("5",)),
        (OR,),
    ),
    _case(
        "plus of three values",
        'return rows(conn.execute("SELECT * FROM users WHERE name = \'" + a + "\' OR note = \'" + a + "\' OR name=\'" + b + "\' ORDER BY id"))',
        (("ann", "bob"), ("first", "x")),
        (OR, ""),
    ),
    _case(
        "plus with str",
        'return rows(conn.execute("SELECT * FROM users WHERE id = " + str(a) + " ORDER BY id"))',
        NUMBERS,
        (BARE,),
    ),
    _case(
        "plus over lines",
        'return rows(conn.execute("SELECT * FROM users WHERE name = \'"\n    + a\n    + "\' ORDER BY id"))',
        (("ann",), ("5",)),
        (OR,),
    ),
    _case(
        "bare value",
        "return rows(conn.execute(f'SELECT * FROM users WHERE id = {a}'))",
        NUMBERS,
        (BARE,),
    ),
    _case(
        "bare values of a range",
        "return rows(conn.execute(f'SELECT * FROM users WHERE id BETWEEN {a} AND {b} ORDER BY id'))",
        ((1, 3), (2, 2), (4, 1)),
        ("9 AND 9 OR 1=1 --", 1),
    ),
    _case(
        "bare value with repr",
        "return rows(conn.execute(f'SELECT * FROM users WHERE name = {a!r}'))",
        (("ann",), ("x",)),
        ("'\" OR 1=1 --",),
    ),
    _case(
        "comparison",
        "return rows(conn.execute(f'SELECT * FROM users WHERE score >= {a} AND id <> {b} ORDER BY id'))",
        ((1.5, 2), (9, 9)),
        ("9 OR 1=1", "1"),
    ),
    _case(
        "two values in one literal",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE name = '{a}-{b}' OR name = '{a}'\"))",
        PAIRS,
        (OR, ""),
    ),
    _case(
        "LIKE contains",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE note LIKE '%{a}%' ORDER BY id\"))",
        (("sec",), ("ir",), ("zzz",), ("100%",)),
        ("' OR '1'='1' --",),
    ),
    _case(
        "LIKE starts",
        "return rows(conn.execute(\"SELECT * FROM users WHERE note LIKE '%s%%'\" % a))",
        (("sec",), ("zzz",)),
        ("zzz' OR '1'='1' --",),
    ),
    _case(
        "LIKE with ESCAPE",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE note LIKE '%{a}%' ESCAPE '!'\"))",
        (("!_",), ("ir",)),
        ("zzz' OR '1'='1' --",),
    ),
    _case(
        "NOT LIKE",
        'return rows(conn.execute("SELECT * FROM users WHERE note NOT LIKE \'%" + a + "%\'"))',
        (("sec",), ("i",)),
        ("' OR '1'='1' --",),
    ),
    _case(
        "doubled quotes stay",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE name = 'O''{a}'\"))",
        (("Neil",), ("x",)),
        (OR,),
    ),
    _case(
        "comment with a quote",
        "return rows(conn.execute(f\"SELECT * FROM users -- it's all\\nWHERE name = '{a}'\"))",
        TEXTS,
        (OR,),
    ),
    _case(
        "IN of quoted values",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE name IN ('{a}', '{b}') ORDER BY id\"))",
        (("ann", "bob"), ("x", "cy")),
        ("x') OR ('1'='1", ""),
    ),
    _case(
        "IN of a join of quoted values",
        'return rows(conn.execute(f"""SELECT * FROM users WHERE name IN ({\',\'.join(f"\'{x}\'" for x in a)}) ORDER BY id"""))',
        LISTS,
        (["x') OR 1=1 --"],),
    ),
    _case(
        "IN of a join with quotes between",
        "return rows(conn.execute(\"SELECT * FROM users WHERE name IN ('%s') ORDER BY id\" % \"','\".join(a)))",
        LISTS[:2],
        (["x') OR 1=1 --"],),
    ),
    _case(
        "IN of a join of numbers",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE id IN ({','.join(map(str, a))}) ORDER BY id\"))",
        IDS,
        (["1) OR (1=1"],),
    ),
    _case(
        "IN of a join of str",
        'return rows(conn.execute("SELECT * FROM users WHERE id IN (" + ", ".join(str(i) for i in a) + ") ORDER BY id"))',
        IDS,
        (["1) OR (1=1"],),
    ),
    _case(
        "IN of a variable",
        "ids = ','.join(str(i) for i in a)\nreturn rows(conn.execute(f'SELECT * FROM users WHERE id IN ({ids}) ORDER BY id'))",
        IDS,
        (["1) OR (1=1"],),
    ),
    _case(
        "IN of a tuple",
        "return rows(conn.execute(f'SELECT * FROM users WHERE id IN {tuple(a)} ORDER BY id'))",
        (([1, 2],), ([3, 99],)),
        ([Hostile(), 1],),
    ),
    _case(
        "variable",
        "sql = f\"SELECT * FROM users WHERE name = '{a}'\"\nreturn rows(conn.execute(sql))",
        TEXTS,
        (OR,),
    ),
    _case(
        "variable that is added to",
        "sql = 'SELECT * FROM users'\nsql += f\" WHERE name = '{a}'\"\nsql += ' ORDER BY id'\nreturn rows(conn.execute(sql))",
        TEXTS,
        (OR,),
    ),
    _case(
        "variable and cursor",
        "sql = \"SELECT * FROM users WHERE name = '%s'\" % a\ncur = conn.cursor()\ncur.execute(sql)\nreturn rows(cur)",
        TEXTS,
        (OR,),
    ),
    _case(
        "implicit concatenation",
        "return rows(conn.execute(\n    'SELECT * FROM users '  # all of it\n    f\"WHERE name = '{a}' \"\n    'ORDER BY id'  # sorted\n))",
        TEXTS,
        (OR,),
    ),
    _case(
        "triple quotes",
        "return rows(conn.execute(f'''\n    SELECT * FROM users\n    WHERE name = '{a}'\n      AND id > 0\n'''))",
        TEXTS,
        ("x' OR 1=1 --",),
    ),
    _case(
        "triple quotes and percent",
        "return rows(conn.execute('''\n    SELECT * FROM users\n    WHERE name = '%s'\n''' % (\n    a,\n)))",
        TEXTS,
        (OR,),
    ),
    _case(
        "a call over lines",
        "return rows(\n    conn.execute(\n        \"SELECT * FROM users WHERE name = '%s'\"\n        % a\n    )\n)",
        TEXTS,
        (OR,),
    ),
    _case(
        "trailing comma",
        "return rows(conn.execute(\n    f\"SELECT * FROM users WHERE name = '{a}'\",\n))",
        TEXTS,
        (OR,),
    ),
    _case(
        "extends parameters behind",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE id = ? AND name = '{a}'\", (b,)))",
        PAIRS,
        (OR, 1),
    ),
    _case(
        "extends parameters before",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE name = '{a}' AND id = ?\", [b]))",
        PAIRS,
        (OR, 1),
    ),
    _case(
        "extends parameters between",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE id = ? AND name = '{a}' AND score < ?\", (b, 100)))",
        PAIRS,
        (OR, 1),
    ),
    _case(
        "spreads parameters",
        "params = (b,)\nreturn rows(conn.execute(f\"SELECT * FROM users WHERE id = ? AND name = '{a}'\", params))",
        PAIRS,
        (OR, 1),
    ),
    _case(
        "constant identifier stays",
        "table = 'users'\nreturn rows(conn.execute(f\"SELECT * FROM {table} WHERE name = '{a}'\"))",
        TEXTS,
        (OR,),
    ),
    _case(
        "constant in a percent template",
        "columns = 'id, name'\nreturn rows(conn.execute(\"SELECT %s FROM users WHERE name = '%s'\" % (columns, a)))",
        TEXTS,
        (OR,),
    ),
    _case(
        "a number that is made one stays",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE name = '{a}' LIMIT {int(b)}\"))",
        PAIRS,
        (OR, 9),
    ),
    _case(
        "LIMIT and OFFSET",
        "return rows(conn.execute(f'SELECT * FROM users ORDER BY id LIMIT {a} OFFSET {b}'))",
        ((2, 1), (5, 0)),
        ("(SELECT 5)", 0),
    ),
    _case(
        "attribute and item",
        "class Box: pass\nbox = Box()\nbox.name = a\nd = {'id': b}\nreturn rows(conn.execute(f\"SELECT * FROM users WHERE name = '{box.name}' AND id = {d['id']}\"))",
        PAIRS,
        (OR, BARE),
    ),
    _case(
        "insert",
        "conn.execute(f\"INSERT INTO users (id, name) VALUES ({b}, '{a}')\")\nreturn rows(conn.execute('SELECT * FROM users'))",
        (("new", 7), ("x", "8")),
        ("y'), (66, 'planted", 7),
    ),
    _case(
        "update",
        "conn.execute(f\"UPDATE users SET note = '{a}' WHERE id = {b}\")\nreturn rows(conn.execute('SELECT * FROM users'))",
        (("new", 1), (5, 2)),
        ("x', score = '0", 1),
    ),
    _case(
        "update that counts",
        "conn.execute('UPDATE users SET note = \\'%s\\', score = score WHERE name = \\'%s\\'' % (a, b))\nreturn rows(conn.execute('SELECT * FROM users'))",
        (("new", "ann"),),
        ("x", OR),
    ),
    _case(
        "delete",
        "conn.execute(\"DELETE FROM users WHERE name = '\" + a + \"'\")\nreturn rows(conn.execute('SELECT * FROM users'))",
        (("ann",), ("zz",)),
        (OR,),
    ),
    _case(
        "subquery",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE id IN (SELECT id FROM users WHERE name = '{a}')\"))",
        TEXTS,
        (OR,),
    ),
    _case(
        "UNION",
        "return rows(conn.execute(f\"SELECT id FROM users WHERE name = '{a}' UNION SELECT id FROM users WHERE name = '{b}'\"))",
        PAIRS,
        (OR, ""),
    ),
    _case(
        "WITH",
        "return rows(conn.execute(f\"WITH u AS (SELECT * FROM users WHERE name = '{a}') SELECT * FROM u\"))",
        TEXTS,
        ("x' OR 1=1 --') --",),
    ),
    _case(
        "function of a quoted value",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE name = lower('{a}')\"))",
        (("ANN",), ("x",)),
        ("x') OR ('1'='1",),
    ),
    _case(
        "CASE",
        "return rows(conn.execute(f\"SELECT CASE WHEN name = '{a}' THEN 1 ELSE 0 END FROM users ORDER BY id\"))",
        TEXTS,
        (OR,),
    ),
    _case(
        "walrus cursor",
        "if (cur := conn.cursor()):\n    cur.execute(f\"SELECT * FROM users WHERE name = '{a}'\")\n    return rows(cur)",
        TEXTS,
        (OR,),
    ),
    _case(
        "chained",
        "return conn.cursor().execute(f\"SELECT * FROM users WHERE name = '{a}'\").fetchall()",
        TEXTS,
        (OR,),
    ),
    _case(
        "loop",
        "found = []\nfor name in [a]:\n    found += rows(conn.execute(f\"SELECT * FROM users WHERE name = '{name}'\"))\nreturn found",
        TEXTS,
        (OR,),
    ),
    _case(
        "a format within the value",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE name = '{a:>1}' OR name = '{a!s}'\"))",
        (("ann",), ("x",)),
        (OR,),
    ),
    _case(
        "dedent",
        "from textwrap import dedent\nreturn rows(conn.execute(dedent(f'''\n    SELECT * FROM users\n    WHERE name = '{a}'\n''')))",
        TEXTS,
        (OR,),
    ),
    _case(
        "extends parameters on both sides",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE name = '{a}' AND id = ? AND name = '{a}'\", (b,)))",
        PAIRS,
        (OR, 1),
    ),
    _case(
        "extends named parameters",
        "return rows(conn.execute(f\"SELECT * FROM users WHERE name = '{a}' AND id = :a\", {'a': b}))",
        PAIRS,
        (OR, 1),
    ),
    _case(
        "spreads named parameters",
        "values = {'i': b}\nreturn rows(conn.execute(f\"SELECT * FROM users WHERE name = '{a}' AND id = :i\", values))",
        PAIRS,
        (OR, 1),
    ),
    _case(
        "two statements in one variable",
        "sql = f\"SELECT * FROM users WHERE name = '{a}'\"\nfound = rows(conn.execute(sql))\nsql = f\"SELECT * FROM users WHERE note = '{a}'\"\nreturn found + rows(conn.execute(sql))",
        TEXTS,
        (OR,),
    ),
    _case(
        "variable in a loop and a with",
        "found = []\nfor name in [a, b]:\n    sql = f\"SELECT * FROM users WHERE name = '{name}'\"\n    with conn:\n        found += rows(conn.execute(sql))\nreturn found",
        PAIRS,
        (OR, 1),
    ),
    _case(
        "percent d stays a number",
        "return rows(conn.execute(\"SELECT * FROM users WHERE name = '%s' LIMIT %d\" % (a, b)))",
        (("ann", 1), ("bob", 2)),
        (OR, 9),
    ),
    _case(
        "variable in parentheses with percent behind",
        'sql = (\n    "SELECT * FROM users "\n    "WHERE name = \'%s\'"\n) % (\n    a,\n)\nreturn rows(conn.execute(sql))',
        TEXTS,
        (OR,),
    ),
)
