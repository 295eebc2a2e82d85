"""The guard before SQLite, through SQLAlchemy and by the driver alone."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import traceback

import pytest

pytestmark = pytest.mark.extras

import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from safehold import db
from safehold.errors import ConfigError, LimitExceeded, QueryRefused, TrailError
from tests.db.guarding import guarded, make_hold, summary

ATTACK = "x' OR 1=1 --"
PLANTED = "Tr0ub4dor-and-three"


def make_users(engine):
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        connection.execute(
            sa.text("INSERT INTO users (name) VALUES (:name)"),
            [{"name": f"user {at}"} for at in range(5)],
        )


@pytest.fixture
def world(tmp_path):
    engine, events = guarded(tmp_path, f"sqlite:///{tmp_path}/data.db")
    make_users(engine)
    events.rows.clear()
    yield engine, events
    engine.dispose()


def by_name(name):
    return f"SELECT id FROM users WHERE name = '{name}'"


def test_does_nothing_to_bound_values(world):
    engine, events = world
    with db.request_inputs([ATTACK, "user 1"]), engine.connect() as connection:
        query = sa.text("SELECT id FROM users WHERE name = :name")
        assert connection.execute(query, {"name": ATTACK}).all() == []
        assert connection.execute(query, {"name": "user 1"}).all() == [(2,)]
    assert summary(events) == ["statement done", "statement done"]


def test_does_nothing_to_an_input_that_stays_in_its_literal(world):
    engine, _ = world
    with db.request_inputs(["user 1"]), engine.connect() as connection:
        assert connection.exec_driver_sql(by_name("user 1")).all() == [(2,)]


def test_does_nothing_to_a_tautology_of_the_program(world):
    engine, _ = world
    with db.request_inputs(["user 1"]), engine.connect() as connection:
        assert (
            connection.exec_driver_sql("SELECT count(*) FROM users WHERE 1=1 OR 1=1").scalar() == 5
        )


def test_does_nothing_in_a_mode_that_is_off(tmp_path):
    engine, events = guarded(tmp_path, "sqlite://", mode="off")
    with engine.connect() as connection:
        connection.exec_driver_sql("ATTACH ':memory:' AS x")
    assert not events.rows
    engine.dispose()


def test_does_nothing_to_the_driver_in_a_mode_that_is_off(tmp_path):
    hold, _ = make_hold(tmp_path, mode="off")
    assert db.connection_class("sqlite3", hold) is sqlite3.Connection
    assert db.connection_class("psycopg", hold) is psycopg.Connection
    assert db.connection_class("psycopg_async", hold) is psycopg.AsyncConnection


def test_an_input_that_leaves_its_literal_is_not_sent(world):
    engine, events = world
    with db.request_inputs([ATTACK]), engine.connect() as connection:
        with pytest.raises(QueryRefused, match="SH510"):
            connection.exec_driver_sql(by_name(ATTACK))
    assert summary(events) == ["statement refused SH510"]
    assert "1=1" not in repr(events.rows)
    assert "0=0" not in repr(events.rows)  # nor without its values


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (by_name("it is") + "; DELETE FROM users", "SH220"),
        (by_name("it is") + " UNION SELECT NULL", "SH221"),
        (by_name("it is") + " OR 2=2", "SH222"),
        (by_name("it is") + " --", "SH223"),
        ("SELECT sql FROM sqlite_master WHERE name = 'it is'", "SH225"),
    ],
)
def test_the_shape_of_an_attack_counts_where_an_input_is_in_the_text(world, text, rule):
    engine, events = world
    with db.request_inputs(["it is"]), engine.connect() as connection:
        with pytest.raises(QueryRefused, match=rule):
            connection.exec_driver_sql(text)
    assert summary(events) == [f"statement refused {rule}"]


def test_what_cannot_be_read_is_refused_in_a_request_alone(world):
    engine, events = world
    with engine.connect() as connection:
        with pytest.raises(sa.exc.OperationalError):
            connection.exec_driver_sql("SELECT 'x")
        with db.request_inputs(["harmless"]), pytest.raises(QueryRefused, match="SH232"):
            connection.exec_driver_sql("SELECT 'x")
    assert summary(events) == ["statement failed", "statement refused SH232"]


def test_a_request_with_too_many_inputs_sends_what_smaller_ones_have_sent(world):
    engine, events = world
    known, new = "SELECT count(*) FROM users", "SELECT max(id) FROM users"
    many = (f"value {at}" for at in range(30_000))
    with engine.connect() as connection:
        with db.request_inputs(["harmless"]):
            connection.exec_driver_sql(known)
        with db.request_inputs() as inputs:
            inputs.later(lambda: many)
            connection.exec_driver_sql(known)
            with pytest.raises(QueryRefused, match="SH235"):
                connection.exec_driver_sql(new)
    assert summary(events) == ["statement done", "statement done", "statement refused SH235"]


def test_an_input_that_comes_later_is_looked_for_in_a_text_that_passed(world):
    engine, _ = world
    with db.request_inputs(["harmless"]) as inputs, engine.connect() as connection:
        connection.exec_driver_sql(by_name(ATTACK))
        inputs.add([ATTACK])
        with pytest.raises(QueryRefused):
            connection.exec_driver_sql(by_name(ATTACK))


def test_nothing_is_sent_where_the_refusal_cannot_be_recorded(world):
    engine, events = world
    events.broken = True
    with engine.connect() as connection, pytest.raises(QueryRefused) as caught:
        connection.exec_driver_sql("ATTACH '/tmp/x.db' AS x")
    assert "could not be recorded" in caught.value.__notes__[0]


def test_a_statement_that_cannot_be_recorded_raises(world):
    engine, events = world
    events.broken = True
    with engine.connect() as connection, pytest.raises(TrailError):
        connection.exec_driver_sql("SELECT 1")


def test_monitoring_sends_and_says_so(tmp_path):
    engine, events = guarded(tmp_path, "sqlite://", mode="monitor")
    make_users(engine)
    events.rows.clear()
    with db.request_inputs([ATTACK]), engine.connect() as connection:
        assert len(connection.exec_driver_sql(by_name(ATTACK)).all()) == 5
    assert summary(events) == ["statement done SH510"]
    engine.dispose()


def test_the_mode_is_that_of_the_policy(tmp_path):
    hold, _ = make_hold(tmp_path, mode="monitor")
    engine = db.guard("sqlite://", hold)
    with engine.connect() as connection:
        connection.exec_driver_sql("ATTACH ':memory:' AS x")
    engine.dispose()


def test_a_rule_that_the_program_needs_is_named(tmp_path):
    engine, _ = guarded(tmp_path, "sqlite://", allow=["SH226"])
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ATTACH '{tmp_path}/other.db' AS x")
    engine.dispose()
    with pytest.raises(ConfigError, match="SH999"):
        guarded(tmp_path, "sqlite://", allow=["SH999"])


def test_an_engine_that_is_connected_is_not_taken(tmp_path):
    hold, _ = make_hold(tmp_path)
    for url in ("sqlite://", f"sqlite:///{tmp_path}/data.db"):
        engine = sa.create_engine(url)
        engine.connect().close()
        with pytest.raises(ConfigError, match="right after create_engine"):
            db.guard(engine, hold)
        engine.dispose()


def test_connections_that_something_else_makes_are_not_taken(tmp_path):
    hold, _ = make_hold(tmp_path)
    made = []

    def creator():
        made.append(sqlite3.connect(":memory:"))
        return made[-1]

    engine = db.guard(sa.create_engine("sqlite://", creator=creator), hold)
    with pytest.raises(ConfigError, match="creator="):
        engine.connect()
    for connection in made:
        connection.close()


# --- beneath SQLAlchemy -------------------------------------------------------------------------


def test_a_raw_connection_is_guarded(world):
    engine, events = world
    raw = engine.raw_connection()
    cursor = raw.cursor()
    cursor.execute("SELECT 1")
    with pytest.raises(QueryRefused, match="SH227"):
        cursor.execute("SELECT load_extension('x')")
    for run in (raw.driver_connection.execute, raw.driver_connection.executescript):
        with pytest.raises(QueryRefused, match="SH226"):
            run("ATTACH '/tmp/x.db' AS x")
    raw.close()
    assert summary(events) == [
        "statement done", "statement refused SH227",
        "statement refused SH226", "statement refused SH226",
    ]  # fmt: skip


@pytest.fixture
def plain(tmp_path):
    hold, events = make_hold(tmp_path)
    kind = db.connection_class("sqlite3", hold, mode="enforce")
    connection = sqlite3.connect(tmp_path / "data.db", factory=kind)
    yield connection, events
    connection.close()


def test_the_driver_alone_is_guarded(plain):
    connection, events = plain
    with connection:
        connection.execute("CREATE TABLE users (id INTEGER, name TEXT)")
        connection.executemany("INSERT INTO users VALUES (?, ?)", [(1, "a"), (2, "b")])
    with pytest.raises(ZeroDivisionError), connection:
        connection.execute("DELETE FROM users")
        raise ZeroDivisionError
    assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)
    assert summary(events) == [
        "statement done", "statement done", "commit done",
        "statement done", "rollback done", "statement done",
    ]  # fmt: skip
    with db.request_inputs([ATTACK]), pytest.raises(QueryRefused):
        connection.execute(by_name(ATTACK))


def test_cursors_of_a_class_of_its_own_are_guarded(plain):
    connection, _ = plain

    class Loud(sqlite3.Cursor):
        def execute(self, sql, parameters=()):
            return super().execute(sql.replace("LOUD ", ""), parameters)

    cursor = connection.cursor(factory=Loud)
    assert cursor.execute("LOUD SELECT 1").fetchone() == (1,)
    with pytest.raises(QueryRefused):
        cursor.execute("ATTACH '/tmp/x.db' AS x")
    with pytest.raises(TypeError, match="makes cursors"):
        connection.cursor(factory=dict)


def test_a_text_that_hides_it_is_refused_by_the_authorizer(plain, tmp_path):
    connection, events = plain

    class Hiding(sqlite3.Cursor):
        def execute(self, sql, parameters=()):
            return super().execute(f"ATTACH '{tmp_path}/x.db' AS x", parameters)

    with pytest.raises(QueryRefused, match="SH226"):
        connection.cursor(factory=Hiding).execute("SELECT 1")
    assert summary(events) == ["statement refused SH226"]
    assert not (tmp_path / "x.db").exists()


def test_a_program_may_have_an_authorizer_as_well(plain):
    connection, _ = plain
    asked = []
    connection.set_authorizer(lambda *what: asked.append(what) or sqlite3.SQLITE_OK)
    connection.execute("SELECT 1")
    assert asked
    with pytest.raises(QueryRefused):
        connection.execute("ATTACH '/tmp/x.db' AS x")


def test_vacuum_goes_on_working(plain):
    connection, _ = plain
    connection.isolation_level = None
    connection.execute("VACUUM")


# --- limits -------------------------------------------------------------------------------------


def test_reading_only(tmp_path):
    engine, events = guarded(tmp_path, f"sqlite:///{tmp_path}/data.db", read_only=True)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        for text, rule in (
            ("CREATE TABLE t (a)", "SH231"),
            ("PRAGMA query_only = 0", "SH230"),
            ("WITH x AS (SELECT 1) INSERT INTO t SELECT 1", "SH231"),
        ):
            with pytest.raises(QueryRefused, match=rule):
                connection.exec_driver_sql(text)
    assert events.refused
    engine.dispose()


def test_a_statement_that_takes_too_long_ends(tmp_path):
    engine, events = guarded(tmp_path, "sqlite://", statement_timeout_ms=50)
    forever = "WITH RECURSIVE t(a) AS (SELECT 1 UNION ALL SELECT a+1 FROM t) SELECT max(a) FROM t"
    with (
        engine.connect() as connection,
        pytest.raises(sa.exc.OperationalError, match="interrupted"),
    ):
        connection.exec_driver_sql(forever)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert "statement failed" in summary(events)
    engine.dispose()


@pytest.mark.parametrize("method", ["fetchall", "fetchmany", "fetchone", "iterate"])
def test_no_more_rows_than_allowed(tmp_path, method):
    hold, events = make_hold(tmp_path)
    kind = db.connection_class("sqlite3", hold, mode="enforce", max_rows=3)
    connection = sqlite3.connect(":memory:", factory=kind)

    def read(most):
        cursor = connection.execute(
            "WITH RECURSIVE t(a) AS (SELECT 1 UNION ALL SELECT a+1 FROM t LIMIT ?) SELECT a FROM t",
            (most,),
        )
        if method == "iterate":
            return len(list(cursor))
        if method == "fetchone":
            return len(list(iter(cursor.fetchone, None)))
        return len(cursor.fetchall() if method == "fetchall" else cursor.fetchmany(100))

    assert read(3) == 3
    assert read(3) == 3
    with pytest.raises(LimitExceeded, match="SH233"):
        read(4)
    assert summary(events)[-1] == "statement refused SH233"
    connection.close()


# --- records ------------------------------------------------------------------------------------


def test_a_record_says_what_ran_and_none_of_its_values(world):
    engine, events = world
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE users SET name = :a WHERE id > :b"), {"a": PLANTED, "b": 4}
        )
    update, commit = events.rows
    assert (update.action, update.outcome, update.size) == ("statement", "done", 1)
    assert update.reason == f"update (str {len(PLANTED)}, int)"
    assert update.detail["text"] == "update users set name = ? where id > ?"
    assert __file__ in update.caller
    assert update.seconds > 0
    assert (commit.action, commit.outcome) == ("commit", "done")
    assert PLANTED not in repr(events.rows)


def test_slow_statements_carry_their_plan(tmp_path):
    engine, events = guarded(tmp_path, "sqlite://", slow_ms=0, records=False)
    make_users(engine)
    events.rows.clear()
    with engine.begin() as connection:
        for _ in range(2):
            connection.execute(sa.text("SELECT id FROM users WHERE name = :n"), {"n": PLANTED})
        connection.exec_driver_sql("UPDATE users SET name = 'z' WHERE id = 1")
    assert summary(events) == ["statement done SH234"] * 3
    plans = [event.detail.get("plan") for event in events.rows]
    assert "SEARCH" in plans[0][0]
    assert plans[1:] == [None, None]  # one of a kind in a while, and never of what writes
    assert PLANTED not in repr(events.rows)
    engine.dispose()


def test_fast_statements_are_not_recorded_where_records_are_off(tmp_path):
    engine, events = guarded(tmp_path, "sqlite://", slow_ms=60_000, records=False)
    make_users(engine)
    assert not events.rows
    with engine.connect() as connection, pytest.raises(QueryRefused):
        connection.exec_driver_sql("ATTACH '/tmp/x.db' AS x")
    assert summary(events) == ["statement refused SH226"]
    engine.dispose()


def work(engine, name):
    """Do six operations: two statements and a commit, two statements and a rollback."""
    insert = sa.text("INSERT INTO users (name) VALUES (:name)")
    with engine.begin() as connection:
        connection.execute(insert, {"name": name})
        connection.execute(sa.text("SELECT 1")).all()
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(sa.text("UPDATE users SET name = name"))
        connection.execute(insert, {"name": name})


def test_threads_make_one_record_for_each_operation(tmp_path):
    url = f"sqlite:///{tmp_path}/data.db"
    engine, events = guarded(tmp_path, sa.create_engine(url, connect_args={"timeout": 60}))
    make_users(engine)
    connections = [engine.connect() for _ in range(4)]  # each says PRAGMA once
    for connection in connections:
        connection.close()
    events.rows.clear()
    lock = threading.Lock()

    def run(at):
        for count in range(10):
            with lock:  # SQLite has one writer
                work(engine, f"{at} {count}")

    threads = [threading.Thread(target=run, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = summary(events)
    expected = {
        "statement done": 120,
        "statement failed": 40,
        "commit done": 40,
        "rollback done": 40,
    }
    assert {kind: found.count(kind) for kind in set(found)} == expected
    engine.dispose()


def test_asyncio_makes_one_record_for_each_operation(tmp_path):
    async def main():
        hold, events = make_hold(tmp_path)
        url = f"sqlite+aiosqlite:///{tmp_path}/data.db"
        engine = db.guard(create_async_engine(url), hold, mode="enforce", slow_ms=60_000)
        async with engine.begin() as connection:
            await connection.execute(sa.text("CREATE TABLE users (name TEXT UNIQUE)"))
        events.rows.clear()

        async def run(name):
            insert = sa.text("INSERT INTO users (name) VALUES (:name)")
            async with engine.begin() as connection:
                await connection.execute(insert, {"name": name})
            with pytest.raises(sa.exc.IntegrityError):
                async with engine.begin() as connection:
                    await connection.execute(insert, {"name": name})

        await asyncio.gather(*(run(str(at)) for at in range(10)))
        found = summary(events)
        with db.request_inputs([ATTACK]):
            async with engine.connect() as connection:
                with pytest.raises(QueryRefused):
                    await connection.exec_driver_sql(by_name(ATTACK))
        await engine.dispose()
        return found

    found = asyncio.run(main())
    expected = {
        "statement done": 10,
        "statement failed": 10,
        "commit done": 10,
        "rollback done": 10,
    }
    assert {kind: found.count(kind) for kind in set(found)} == expected


# --- errors -------------------------------------------------------------------------------------


def everything_of(error):
    """Return all that an error shows to whoever looks at it, or at what it came from."""
    seen, waiting = [], [error]
    while waiting:
        one = waiting.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        waiting += [one.__cause__, one.__context__, getattr(one, "orig", None)]
    shown = [repr(one) + str(one) + repr(vars(one)) + repr(one.args) for one in seen]
    return "".join(shown) + "".join(traceback.format_exception(error))


LEAKS = {
    "unique": ("INSERT INTO users (name) VALUES (:a)", {"a": PLANTED}),
    "literal": (f"SELECT * FROM users WHERE name = '{PLANTED}' AND", {}),
    "word": ("SELECT * FROM users WHERE name = Tr0ub4dor", {}),
    "type": ("INSERT INTO users (name) VALUES (:a)", {"a": {"b": PLANTED}}),
    "half": ("INSERT INTO users (name) VALUES (:a)", {"a": PLANTED + "\ud800"}),
    "missing": ("SELECT :a, :b", {"a": PLANTED}),
    "raise": ("INSERT INTO raising VALUES (:a)", {"a": PLANTED}),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_secret_is_in_no_error_event_or_log(world, leak, caplog):
    engine, events = world
    caplog.set_level(logging.DEBUG, "sqlalchemy")
    text, values = LEAKS[leak]
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO users (name) VALUES (:a)"), {"a": PLANTED})
        connection.exec_driver_sql("CREATE TABLE raising (a)")
        connection.exec_driver_sql(
            "CREATE TRIGGER r BEFORE INSERT ON raising BEGIN "
            f"SELECT RAISE(ABORT, 'no {PLANTED} here'); END"
        )
    caplog.clear()
    events.rows.clear()
    with pytest.raises(Exception) as caught, engine.begin() as connection:  # noqa: PT011
        connection.execute(sa.text(text), values)
    shown = everything_of(caught.value)
    # The lines of this file that a traceback quotes name no value.
    assert "Tr0ub4dor" not in shown
    assert "Tr0ub4dor" not in repr(events.rows)
    if values:  # SQLAlchemy logs a text as it is, if it is told to
        assert "Tr0ub4dor" not in caplog.text
    assert "Tr0ub4dor" not in repr(engine)


def test_a_type_of_sqlalchemy_that_refuses_a_value_does_not_show_it(world):
    engine, _ = world
    table = sa.table("users", sa.column("name", sa.Enum("a", "b", validate_strings=True)))
    with pytest.raises(sa.exc.StatementError) as caught, engine.begin() as connection:
        connection.execute(table.insert(), {"name": PLANTED})
    assert PLANTED not in everything_of(caught.value)


def test_an_error_is_still_of_its_class_and_says_what_it_may(world):
    engine, _ = world
    with pytest.raises(
        sa.exc.IntegrityError, match=r"UNIQUE constraint failed: users\.name"
    ) as caught:
        with engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO users (name) VALUES ('user 1')"))
    assert caught.value.orig.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE"
    with pytest.raises(sa.exc.OperationalError, match="no such table: nowhere"):
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT * FROM nowhere")
