"""Attacks that a server confirms, and harmless inputs, for the in-context check of SQL.

``python -m tests.inputs.sql_checking --inputs 100000 [--attacks 20000]`` tries many of both and
counts. An input counts as an attack if the server takes the statement and reads another structure
than with a plain value: other bytecode on SQLite (``EXPLAIN``, constants left out), another query
identifier on PostgreSQL, or more than one statement.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import html
import itertools
import json
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import unquote_plus

from safehold.inputs.requests import Inputs
from safehold.inputs.sql import check_statement

_TABLE = "CREATE TABLE users (id INTEGER, name TEXT, pass TEXT, role TEXT, owner INTEGER, t TEXT)"
_CONSTANTS = frozenset("Integer Int64 Real String String8 Null Blob SoftNull Variable".split())

# A place for an input, and what a well-meant input is there.
TEMPLATES = (
    ("SELECT id FROM users WHERE name = '{}' AND owner = 7", "x"),
    ("SELECT id FROM users WHERE name LIKE '%{}%' AND owner = 7", "x"),
    ("SELECT id FROM users WHERE name = '{}' AND pass = '{}' AND owner = 7", "x"),
    ("SELECT id FROM users WHERE name LIKE '%{}%' OR pass LIKE '%{}%' LIMIT 7", "x"),
    ("SELECT id FROM users WHERE (name = '{}') AND owner = 7", "x"),
    ("SELECT id FROM users WHERE id = {} AND owner = 7", "5"),
    ("SELECT id FROM users WHERE owner = 7 AND (id = {} OR role = 'x')", "5"),
    ("SELECT id FROM users WHERE id IN (1, {}) AND owner = 7", "5,6"),
    ("SELECT id FROM users WHERE owner = 7 LIMIT {}", "5"),
    ('SELECT id FROM users WHERE owner = 7 ORDER BY "{}", id', "name"),
    ("UPDATE users SET name = '{}' WHERE id = 7", "x"),
    ("UPDATE users SET owner = {} WHERE id = 7", "5"),
    ("INSERT INTO users (name, role) VALUES ('{}', 'user')", "x"),
    ("INSERT INTO users (owner, role) VALUES ({}, 'user')", "5"),
    ("DELETE FROM users WHERE id = {}", "5"),
    ("DELETE FROM users WHERE id = {} AND name = '{}'", "5"),
    ("/* {} */ SELECT id FROM users WHERE owner = 7", "x"),
    ("SELECT id FROM users WHERE owner = 7 -- for {}\n AND role = 'x'", "x"),
)
ONLY = {
    "sqlite": (
        ("SELECT id FROM users WHERE owner = 7 ORDER BY [{}], id", "name"),
        ("SELECT id FROM users WHERE owner = 7 ORDER BY `{}`, id", "name"),
    ),
    "postgresql": (
        ("SELECT id FROM users WHERE name = E'{}' AND owner = 7", "x"),
        ("SELECT id FROM users WHERE name = $q${}$q$ AND owner = 7", "x"),
        ("SELECT id FROM users WHERE name = U&'{}' AND owner = 7", "x"),
        ("SELECT id FROM users WHERE name = 'a'\n'{}' AND owner = 7", "x"),
        ("/* a /* {} */ b */ SELECT id FROM users WHERE owner = 7", "x"),
    ),
}


def _field(text: str) -> str:
    return json.loads(text)["a"]


def _same(text: str) -> str:
    return text


# How the program changes an input, and how somebody sends one so that it becomes what is wanted.
WAYS: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (_same, _same),
    (str.strip, lambda text: f" {text}\n"),
    (str.lower, str.swapcase),
    (str.upper, _same),
    (unquote_plus, lambda text: "".join(f"%{byte:02x}" for byte in text.encode())),
    (lambda text: unquote_plus(unquote_plus(text)),
     lambda text: "".join(f"%25{byte:02X}" for byte in text.encode())),
    (html.unescape, html.escape),
    (lambda text: base64.b64decode(text).decode(),
     lambda text: base64.b64encode(text.encode()).decode()),
    (_field, lambda text: json.dumps({"a": text})),
    (lambda text: text.replace("%", "\\%").replace("_", "\\_"), _same),
    (lambda text: text.replace("'", "''"), _same),
    (lambda text: text.replace("\\", "\\\\").replace("'", "\\'"), _same),
    (lambda text: text.replace("'", ""), _same),
    (lambda text: " ".join(text.split()), _same),
)  # fmt: skip

_OPENINGS = (
    "", "x", "5", "-5", "'", "x'", "''", "\\'", "x\\'", '"', 'name"', "`", "]", ")", "5)", "')", "x')",
    "$q$", "x$q$", "*/", "x*/", "\n", "x\n", "0x1", "1.", "'x'", "null", "\\",
)  # fmt: skip
_MIDDLES = (
    "", " OR 1=1", " or 'a'='a'", " OR 'a'='a", "OR 1", " AND 1=2", " UNION SELECT id FROM users",
    "/**/OR/**/1=1", "\nor\n1=1", "\tor\t1", ";DELETE FROM users", " OR id=id", " OR name LIKE '%",
    "||(SELECT pass FROM users LIMIT 1)||", " IS NOT NULL", "+1", "-1", "--1", "||'x'", ' COLLATE "C"',
    ", role = 'admin'", "', role = 'admin", ", 'admin')", "', 'admin')", " DESC", ",2,3", "::text", ".5",
    " in (1,2)", " between 1 and 9", "=id", "<>id", "id", "owner", "rowid", "current_user", "'", "''",
    "\\", "$q$", " FROM users", "(1)", "()", "%' or name like '%", " union all select 1 -- ",
)  # fmt: skip
_ENDS = (
    "", " --", "-- ", "--", "/*", "#", ";", " AND '1'='1", " OR '", ") OR ('1'='1", "'", "\n--", ")",
    '"', ' or "id"="id', "*/ x /*", "\\", "$q$ or $q$",
)  # fmt: skip
_MARKS = "'\"`\\;-#/*()=,.%<>|+[]{}?:@$!~&^ \n_x5"


def attacks(random_: random.Random) -> Iterator[str]:
    """Yield texts that may change a statement: a grammar's, in any order, and short ones."""
    for length in (1, 2):
        yield from map("".join, itertools.product(_MARKS, repeat=length))
    parts = list(itertools.product(_OPENINGS, _MIDDLES, _ENDS))
    random_.shuffle(parts)
    yield from map("".join, parts)
    pieces = (*_OPENINGS, *_MIDDLES, *_ENDS, *_MARKS)
    while True:
        yield "".join(random_.choices(pieces, k=random_.randint(2, 6)))


@dataclass
class Sqlite:
    """A database in memory, asked what it makes of a statement."""

    dialect: ClassVar = "sqlite"

    def __post_init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.execute(_TABLE)

    def close(self) -> None:
        self.connection.close()

    def shape(self, statement: str) -> object:
        """Return the structure that the server reads, None if it refuses the statement."""
        try:
            rows = self.connection.execute("EXPLAIN " + statement).fetchall()
        except sqlite3.ProgrammingError as error:
            return "several" if "one statement" in str(error) else None
        except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError, ValueError) as error:
            return "several" if "one statement" in str(error) else None
        return [
            "constant" if row[1] in _CONSTANTS else (row[1], *row[2:5], _plain(row[5]))
            for row in rows
        ]


def _plain(operand: object) -> object:
    return operand if isinstance(operand, str) and not operand.isdigit() else ""


@dataclass
class Postgres:
    """A server of PostgreSQL, asked what it makes of a statement; nothing is run."""

    conninfo: str
    dialect: ClassVar = "postgresql"

    def __post_init__(self) -> None:
        import psycopg

        self.connection = psycopg.connect(self.conninfo, autocommit=True, prepare_threshold=None)
        self.connection.execute("SET compute_query_id = on")
        self.connection.execute("SET client_min_messages = error")
        self.connection.execute(_TABLE.replace("CREATE", "CREATE TEMPORARY"))

    def close(self) -> None:
        self.connection.close()

    def shape(self, statement: str) -> object:
        """Return the structure that the server reads, None if it refuses the statement."""
        import psycopg

        prefix = "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) "
        try:
            # The extended protocol, which takes one statement.
            with self.connection.cursor(binary=True) as cursor:
                (plan,) = cursor.execute(prefix + statement).fetchone()
        except psycopg.Error as error:
            return "several" if "multiple commands" in str(error) else None
        except (UnicodeEncodeError, TypeError, ValueError):
            return None
        return plan[0]["Query Identifier"]


Server = Sqlite | Postgres


@dataclass
class Attack:
    """An input that changes a statement on a server."""

    statement: str
    sent: tuple[str, ...]


# What is a value and no more: the server may share equal constants, or add a cast. A list of numbers
# in IN is a value, too.
_NUMBERS = tuple("5 7 1 -5 +5 1.5 -1.5 +1.5 null 'x' '5' true 0x1 x''".split())
_LISTS = tuple(
    ",".join(part)
    for length in (2, 3)
    for part in itertools.product(("1", "-1", "2", "3", "5", "-5"), repeat=length)
)
_VALUES = {
    "x": ("x", "y", "user", "zz"),
    "5": _NUMBERS,
    "5,6": _NUMBERS + _LISTS,
    "name": ("name", "pass", "id", "owner", "zz", "z'z", "7", "rowid"),
}


def _plain_shapes(server: Server, template: str, well: str) -> list[object]:
    values = itertools.product(_VALUES[well], repeat=template.count("{}"))
    shapes = []
    for chosen in values:
        statement = template
        for value in chosen:
            statement = statement.replace("{}", value, 1)
        shape = server.shape(statement)
        if shape is not None and shape not in shapes:
            shapes.append(shape)
    assert shapes
    return shapes


def confirmed(server: Server, random_: random.Random) -> Iterator[Attack | None]:
    """Yield attacks that the server confirms, and None for each that it does not."""
    templates = (*TEMPLATES, *ONLY[server.dialect])
    plain = [_plain_shapes(server, text, well) for text, well in templates]
    texts = attacks(random_)
    for count, wanted in enumerate(texts):
        chosen = range(len(templates)) if count < 2000 else random_.sample(range(len(templates)), 4)
        for at in chosen:
            template, well = templates[at]
            change, send = WAYS[0] if count < 2000 else random_.choice(WAYS)
            # Every second time, another part of the template is an input, too.
            inputs = [wanted, random_.choice((wanted, well, next(texts)))]
            try:
                sent = [send(text) for text in inputs]
                got = [change(text) for text in sent]
            except (ValueError, UnicodeError):
                continue
            statement = template
            for text in got[: template.count("{}")]:
                statement = statement.replace("{}", text, 1)
            if "{}" in statement:
                continue
            shape = server.shape(statement)
            changed = shape is not None and shape not in plain[at]
            yield Attack(statement, tuple(sent[: template.count("{}")])) if changed else None


def missed(server: Server, wanted: int, seed: int = 0) -> tuple[int, list[Attack]]:
    """Return how many attacks were confirmed, and those that the check does not find."""
    found: list[Attack] = []
    count = 0
    for attack in confirmed(server, random.Random(seed)):
        if attack is not None:
            count += 1
            if not check_statement(attack.statement, server.dialect, attack.sent):
                found.append(attack)
            if count >= wanted:
                break
    return count, found


# --- harmless -----------------------------------------------------------------------------------

STATEMENTS = (
    "SELECT id, name FROM users WHERE name = {} AND owner = {}",
    "SELECT users.id, users.name, users.role FROM users WHERE users.name = {} ORDER BY users.id DESC",
    "SELECT u.id FROM users AS u JOIN orders o ON o.user_id = u.id WHERE u.name LIKE {} LIMIT 20 OFFSET 40",
    "INSERT INTO users (id, name, role, owner) VALUES ({}, {}, 'user', 1)",
    "UPDATE users SET name = {}, role = COALESCE(role, '') WHERE id = {}",
    "DELETE FROM users WHERE id = {} AND name <> ''",
    'SELECT "user"."id", "user"."name" FROM "user" WHERE "user"."name" = {} AND "user"."role" IN (\'a\', \'b\')',
    "SELECT COUNT(*) AS count_1 FROM (SELECT id FROM users WHERE name = {}) AS anon_1",
    "SELECT CASE WHEN owner > 1 THEN 'many' ELSE 'one' END AS kind FROM users WHERE name = {}",
    "/* route: /users */ SELECT id FROM users WHERE name = {} -- by name\n",
    "WITH t AS (SELECT id FROM users WHERE name = {}) SELECT t.id FROM t WHERE t.id IS NOT NULL",
    "SELECT id FROM users WHERE (name = {} OR name = {}) AND owner BETWEEN 1 AND 10 GROUP BY id",
    "SELECT name || ', ' || role FROM users WHERE name = {}",
    "SELECT id FROM users WHERE lower(name) = lower({}) AND role IN ('admin', 'user', 'guest')",
    "INSERT INTO notes (title, body, created) VALUES ({}, {}, CURRENT_TIMESTAMP)",
    "SELECT id FROM notes WHERE body LIKE '%' || {} || '%' AND created > '2026-01-01'",
)  # fmt: skip

_NAMES = (
    "O'Brien", "D'Angelo", "Jean-Luc", "María José", "Nguyễn Văn A", "Løvås", "李小龍", "محمد", "Smith",
    "Dr. Null", "Mc'Donald", "N'Golo Kanté", "de la Cruz", "van 't Hoff", "Siobhán O'Sullivan", "Null",
    "Drop", "Selecta", "Union", "Robert", "Anna", "Müller-Lüdenscheidt", "'t Veld", "Ke$ha", "P!nk",
)  # fmt: skip
_PROSE = (
    "please", "select", "one", "or", "two", "items", "from", "the", "list", "where", "it", "is", "order",
    "by", "phone", "don't", "can't", "it's", "drop", "table", "union", "and", "null", "group", "insert",
    "into", "values", "update", "set", "delete", "my", "account", "--", "(see", "below)", "50%", "a/b",
    "c:\\temp", '"quoted"', "#1", "R&D", "<b>", "x=1;", "1=1", "'or'", "/* why */", "naïve", "日本語",
    "hello,", "world!", "thanks.", "e.g.", "&amp;", "$5", "@home", "semi;colon", "back`tick", "[1]", "{x}",
)  # fmt: skip
_SHORT = (
    "a", "x", "1", "0", "-1", "id", "name", "role", "user", "users", "owner", "title", "true", "null", "*",
    "?", "%", "_", "-", "--", ".", ",", ";", ":", ":)", ";)", "()", "'", '"', "''", "\\", "/", "#", "=", "+",
    "on", "off", "by", "as", "t", "u", "u.id", "t.id", "(", ")",  "[]", "!", "...", "a b", "N/A", "n/a",
    "DESC", "asc", "in", "and", "or", "not", "like", "O'", "'s", "1,2", "1.5", "$1", "%s", ":id", "@a", "&",
    "created", "body", "kind", "many", "admin", "'t", "a'b", "<3", "=)", "->", "~", "|", "^", "`", "é", "ß",
)  # fmt: skip


def harmless(random_: random.Random) -> str:
    """Return one input of the kinds that people send."""
    kind = random_.randrange(10)
    if kind == 0:
        return random_.choice(_SHORT)
    if kind == 1:
        return f"{random_.choice(_NAMES)} {random_.choice(_NAMES)}"
    if kind == 2:
        return str(random_.randint(-(10 ** random_.randint(1, 12)), 10 ** random_.randint(1, 12)))
    if kind == 3:
        return f"{random_.choice(_NAMES).split()[0].lower()}@example{random_.randint(1, 99)}.com"
    if kind == 4:
        query = "+".join(random_.choices(_PROSE, k=3))
        return (
            f"https://example.com/{random_.choice(_PROSE)}?q={query}&page={random_.randint(1, 9)}"
        )
    if kind == 5:
        return f"{random_.getrandbits(128):032x}"
    if kind == 6:
        return json.dumps({"name": random_.choice(_NAMES), "tags": random_.choices(_PROSE, k=2)})
    if kind == 7:
        return (
            f"20{random_.randint(10, 40)}-{random_.randint(1, 12):02}-{random_.randint(1, 28):02}"
        )
    return " ".join(random_.choices(_PROSE, k=random_.randint(1, 25)))


def _literal(dialect: str, value: str) -> str:
    """Return a value as a driver escapes it into a statement."""
    if dialect == "mysql":
        from pymysql.converters import escape_string

        return f"'{escape_string(value)}'"
    if dialect == "postgresql" and "\\" in value:
        return " E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    return "'" + value.replace("'", "''") + "'"


_MARK = {"sqlite": "?", "postgresql": "$1", "mysql": "%s"}


@dataclass
class Alarm:
    """A harmless request that the check would refuse."""

    dialect: str
    statement: str
    inputs: tuple[str, ...]
    why: str


def alarms(count: int, seed: int = 0) -> Iterator[Alarm]:
    """Yield what is found among so many harmless inputs, bound or escaped."""
    random_ = random.Random(seed)
    done = 0
    while done < count:
        values = tuple(harmless(random_) for _ in range(5))
        done += len(values)
        inputs = Inputs(values)
        for dialect, mark in _MARK.items():
            statement = random_.choice(STATEMENTS)
            for value in values[: statement.count("{}")]:
                is_bound = random_.random() < 0.5
                text = mark if is_bound else _literal(dialect, value)
                statement = statement.replace("{}", text, 1)
            for finding in check_statement(statement, dialect, inputs):
                yield Alarm(dialect, statement, values, finding.message)


def main() -> int:
    """Try many, and print what was counted."""
    from tests.postgres import serving

    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--attacks", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    bad = 0
    with serving() as conninfo:
        for made in (Sqlite(), Postgres(conninfo)):
            with contextlib.closing(made) as server:
                count, lost = missed(server, wanted.attacks, wanted.seed)
            print(f"{server.dialect}: {count - len(lost)} of {count} confirmed attacks found")
            for attack in lost[:40]:
                print("  missed:", repr(attack.statement), attack.sent)
            bad += len(lost)
    found = list(alarms(wanted.inputs, wanted.seed))
    print(f"{len(found)} false alarms among {wanted.inputs} harmless inputs (x 3 dialects)")
    for why, number in Counter((alarm.dialect, alarm.why) for alarm in found).most_common(10):
        print("  ", number, *why)
    for alarm in found[:40]:
        print("  alarm:", alarm)
    return 1 if bad or len(found) > max(1, wanted.inputs // 100_000) else 0


if __name__ == "__main__":
    sys.exit(main())
