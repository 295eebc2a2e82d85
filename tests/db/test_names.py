"""Quoted names: what a database reads is the name that was given, or it is refused."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold import db
from safehold.errors import QueryRefused

HOSTILE = [
    "users; DROP TABLE users",
    "users--",
    "users/*",
    'a"; DROP TABLE users; --',
    "a`; DROP TABLE users; --",
    "a]; DROP TABLE users; --",
    "'",
    '"',
    "`",
    "``",
    '""',
    "\\",
    "\\`",
    "a\nb",
    "a\tb",
    " ",
    "a.b",
    "main.users",
    "1",
    "1e5",
    "select",
    "SELECT",
    "order",
    "table",
    "null",
    "rowid",
    "*",
    "(select 1)",
    "x'41'",
    "\u02bc",
    "\uff02",
    "\u202euser",
    "Ä",
    "a" * 63,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_sqlite_has_a_table_and_a_column_of_exactly_that_name(name):
    quoted = db.ident(name, "sqlite")
    with contextlib.closing(sqlite3.connect(":memory:")) as conn:
        conn.execute("CREATE TABLE users (id)")
        conn.execute(f"CREATE TABLE {quoted} ({quoted} INTEGER)")
        conn.execute(f"INSERT INTO {quoted} ({quoted}) VALUES (?)", (7,))
        cursor = conn.execute(f"SELECT {quoted} FROM {quoted} ORDER BY {quoted}")
        assert cursor.fetchall() == [(7,)]
        tables = {row[0] for row in conn.execute("SELECT name FROM sqlite_master")}
        assert tables == {"users", name}


def test_a_column_that_sqlite_does_not_have_is_no_string():
    with contextlib.closing(sqlite3.connect(":memory:")) as conn:
        conn.execute("CREATE TABLE users (id)")
        conn.execute("INSERT INTO users VALUES (1)")
        assert conn.execute('SELECT "secret" FROM users').fetchall() == [("secret",)]
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            conn.execute(f"SELECT {db.ident('secret', 'sqlite')} FROM users")


@given(st.text(st.characters(exclude_characters="%:?\0", exclude_categories=["Cs"]), min_size=1))
def test_any_text_that_is_a_name_is_read_back_by_sqlite(name):
    with contextlib.closing(sqlite3.connect(":memory:")) as conn:
        cursor = conn.execute(f"SELECT 1 AS {db.ident(name, 'sqlite')}")
        assert cursor.description[0][0] == name


def unquoted(text: str, quote: str) -> str:
    """Read a quoted name as a server does; fail where it ends before the text does."""
    assert text[0] == text[-1] == quote
    inner = text[1:-1]
    assert inner.replace(quote * 2, "").count(quote) == 0
    return inner.replace(quote * 2, quote)


@pytest.mark.parametrize(
    ("dialect", "quote"), [("postgresql", '"'), ("mysql", "`"), ("mariadb", "`"), ("sqlite", "`")]
)
@pytest.mark.parametrize("name", [item for item in HOSTILE if not item.endswith(" ")])
def test_a_quoted_name_ends_where_the_text_does(dialect, quote, name):
    assert unquoted(db.ident(name, dialect), quote) == name


@pytest.mark.parametrize("dialect", db.DIALECTS)
@pytest.mark.parametrize("name", ["", "a\0b", "\0", "a\ud800", "a%s", "%(a)s", "a:b", "a?"])
def test_what_is_no_name_anywhere_is_refused(dialect, name):
    with pytest.raises(QueryRefused, match=f"no name for {dialect}"):
        db.ident(name, dialect)


def test_lengths_are_those_of_the_server():
    assert db.ident("ä" * 31 + "a", "postgresql") == f'"{"ä" * 31}a"'
    with pytest.raises(QueryRefused, match="63 bytes"):
        db.ident("ä" * 32, "postgresql")
    assert len(db.ident("ä" * 64, "mysql")) == 66
    for dialect in ("mysql", "mariadb"):
        with pytest.raises(QueryRefused, match="64 characters"):
            db.ident("ä" * 65, dialect)
    assert db.ident("a" * 5000, "sqlite")


def test_mysql_has_no_names_that_end_in_a_space_or_with_wide_characters():
    for name, reason in (("a ", "space"), ("\U0001f600", "U\\+FFFF")):
        with pytest.raises(QueryRefused, match=reason):
            db.ident(name, "mysql")
        assert db.ident(name, "postgresql") == f'"{name}"'


def test_dialects_and_types_are_not_guessed():
    with pytest.raises(QueryRefused, match="sqlite, postgresql, mysql, mariadb"):
        db.ident("users", "oracle")
    with pytest.raises(QueryRefused, match="not bytes"):
        db.ident(b"users", "sqlite")


def test_a_refusal_repeats_no_more_than_the_beginning_of_a_name():
    with pytest.raises(QueryRefused) as caught:
        db.ident("a" * 10_000, "mysql")
    assert len(str(caught.value)) < 120
