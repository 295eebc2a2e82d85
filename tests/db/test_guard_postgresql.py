"""The guard before a real PostgreSQL: SQLAlchemy and psycopg, sync and async."""

from __future__ import annotations

import asyncio
import threading

import pytest

pytestmark = pytest.mark.extras

import psycopg
import sqlalchemy as sa
from psycopg import sql

from safehold import db
from safehold.errors import ConfigError, LimitExceeded, QueryRefused
from tests.db.guarding import guarded, make_hold, summary
from tests.db.test_guard import ATTACK, PLANTED, everything_of
from tests.postgres import server  # noqa: F401

MANY = "SELECT * FROM generate_series(1, %s)"


@pytest.fixture
def address(server):  # noqa: F811
    parts = psycopg.conninfo.conninfo_to_dict(server)
    return sa.URL.create(
        "postgresql+psycopg",
        username=parts.get("user"),
        password=parts.get("password"),
        database=parts.get("dbname"),
        query={"host": parts["host"]} if "host" in parts else {},
    )


@pytest.fixture
def table(server):  # noqa: F811
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS guarded")
        connection.execute("CREATE TABLE guarded (id serial, name text UNIQUE)")
        yield "guarded"
        connection.execute("DROP TABLE guarded")


@pytest.fixture
def plain(server, table, tmp_path):  # noqa: F811
    hold, events = make_hold(tmp_path)
    kind = db.connection_class("psycopg", hold, mode="enforce", slow_ms=60_000)
    with kind.connect(server) as connection:
        yield connection, events


def test_does_nothing_to_bound_values(plain):
    connection, events = plain
    with db.request_inputs([ATTACK]):
        connection.execute("INSERT INTO guarded (name) VALUES (%s)", (ATTACK,))
        query = sql.SQL("SELECT name FROM {} WHERE name = {}").format(
            sql.Identifier("guarded"), sql.Literal(ATTACK)
        )
        assert connection.execute(query).fetchall() == [(ATTACK,)]
        assert connection.execute(b"SELECT 1").fetchone() == (1,)
    connection.commit()
    assert summary(events) == ["statement done"] * 3 + ["commit done"]


def test_an_input_that_leaves_its_literal_is_not_sent(plain):
    connection, events = plain
    text = f"SELECT id FROM guarded WHERE name = '{ATTACK}'"
    cursor = connection.cursor()
    server_side = connection.cursor("named")
    with db.request_inputs([ATTACK]):
        for run in (
            lambda: connection.execute(text),
            lambda: cursor.execute(text),
            lambda: cursor.execute(text.encode()),
            lambda: cursor.execute(sql.SQL(text)),
            lambda: cursor.executemany(text, [()]),
            lambda: list(cursor.stream(text)),
            lambda: cursor.copy(f"COPY ({text}\n) TO STDOUT").__enter__(),
            lambda: server_side.execute(text),
        ):
            with pytest.raises(QueryRefused, match="SH510"):
                run()
    server_side.close()
    assert summary(events) == ["statement refused SH510"] * 8


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("SELECT pg_sleep(0)", "SH224"),
        ("SELECT pg_read_file('PG_VERSION')", "SH226"),
        ("COPY guarded FROM PROGRAM 'true'", "SH227"),
        ("SELECT dblink_connect('x')", "SH228"),
        ("CREATE ROLE other", "SH229"),
    ],
)
def test_what_no_service_does_is_not_sent(plain, text, rule):
    connection, _ = plain
    with pytest.raises(QueryRefused, match=rule):
        connection.execute(text)


def test_cursors_of_a_class_of_its_own_are_guarded(plain):
    connection, _ = plain
    connection.cursor_factory = psycopg.ClientCursor
    assert connection.execute("SELECT %s", (1,)).fetchone() == (1,)
    assert isinstance(connection.cursor(), psycopg.ClientCursor)
    with pytest.raises(QueryRefused):
        connection.execute("CREATE ROLE other")


def test_copying_and_streaming_go_on_working(plain):
    connection, events = plain
    with connection.cursor() as cursor:
        with cursor.copy("COPY guarded (name) FROM STDIN") as copy:
            for name in ("a", "b"):
                copy.write_row((name,))
        assert list(cursor.stream("SELECT name FROM guarded ORDER BY name")) == [("a",), ("b",)]
    assert summary(events) == ["statement done"] * 2


def test_a_block_of_a_transaction_is_one_record(plain):
    connection, events = plain
    with connection.transaction():
        connection.execute("SELECT 1")
    with pytest.raises(ZeroDivisionError), connection.transaction():
        raise ZeroDivisionError
    with pytest.raises(psycopg.errors.UndefinedTable), connection.transaction():
        connection.execute("SELECT * FROM nowhere")
    assert summary(events) == [
        "statement done", "commit done", "rollback done", "statement failed", "rollback done",
    ]  # fmt: skip


def test_a_raw_connection_is_guarded(address, table, tmp_path):
    engine, events = guarded(tmp_path, address.render_as_string(hide_password=False))
    raw = engine.raw_connection()
    events.rows.clear()
    raw.cursor().execute("SELECT 1")
    with pytest.raises(QueryRefused):
        raw.cursor().execute("CREATE ROLE other")
    raw.close()
    assert summary(events) == ["statement done", "statement refused SH229", "rollback done"]
    engine.dispose()


def test_a_server_that_reads_otherwise_than_the_guard_is_not_connected_to(server, tmp_path):  # noqa: F811
    hold, _ = make_hold(tmp_path)
    off = "standard_conforming_strings=off"
    conninfo = psycopg.conninfo.make_conninfo(server, options=f"-c {off}")
    with pytest.raises(ConfigError, match="modes"):
        db.connection_class("psycopg", hold).connect(conninfo)
    with pytest.raises(ConfigError, match="modes"):
        db.connection_class("psycopg", hold, modes=[off]).connect(server)
    kind = db.connection_class("psycopg", hold, mode="enforce", modes=[off])
    # Doubled as for another server, the quote ends the string behind an escaped one.
    sent = "\\' OR 1=1 --"
    doubled = sent.replace("'", "''")
    with kind.connect(conninfo) as connection, db.request_inputs([sent]):
        with pytest.raises(QueryRefused):
            connection.execute(f"SELECT 1 WHERE 'a' = '{doubled}'")


# --- limits -------------------------------------------------------------------------------------


def test_limits_are_those_of_the_session_and_are_not_undone(address, table, tmp_path):
    engine, _ = guarded(
        tmp_path, sa.create_engine(address), statement_timeout_ms=200, read_only=True, max_rows=10
    )
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "200ms"
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
    forever = "SELECT count(*) FROM generate_series(1, 10000000000)"
    with engine.connect() as connection, pytest.raises(sa.exc.OperationalError, match="timeout"):
        connection.exec_driver_sql(forever)
    with engine.connect() as connection, pytest.raises(LimitExceeded, match="SH233"):
        connection.exec_driver_sql(MANY, (11,))
    with engine.connect() as connection:
        assert len(connection.exec_driver_sql(MANY, (10,)).all()) == 10
        for text in ("SET statement_timeout = 0", "SET TRANSACTION READ WRITE", "RESET ALL"):
            with pytest.raises(QueryRefused, match="SH230"):
                connection.exec_driver_sql(text)
        with pytest.raises(QueryRefused, match="SH231"):
            connection.exec_driver_sql("DELETE FROM guarded")
    engine.dispose()


def test_rows_of_a_cursor_of_the_server_are_counted(server, tmp_path):  # noqa: F811
    hold, _ = make_hold(tmp_path)
    kind = db.connection_class("psycopg", hold, mode="enforce", max_rows=3)
    with kind.connect(server) as connection:
        for read in (
            lambda cursor: cursor.fetchall(),
            lambda cursor: cursor.fetchmany(10),
            list,
            lambda cursor: list(iter(cursor.fetchone, None)),
        ):
            with connection.cursor("named") as cursor:
                assert len(read(cursor.execute(MANY, (3,)))) == 3
            with connection.cursor("named") as cursor, pytest.raises(LimitExceeded):
                read(cursor.execute(MANY, (4,)))
        with connection.cursor() as cursor, pytest.raises(LimitExceeded):
            list(cursor.stream(MANY, (4,)))


def test_limits_are_not_promised_where_they_are_not_held(tmp_path):
    for limit in ({"max_rows": 1}, {"statement_timeout_ms": 1}):
        with pytest.raises(ConfigError, match="SQLite and PostgreSQL"):
            guarded(tmp_path, "mysql+pymysql://x@localhost/x", **limit)
    engine = sa.create_engine("mysql+pymysql://x@localhost/x")
    engine.dialect.driver = "another"
    with pytest.raises(ConfigError, match="not for another"):
        guarded(tmp_path, engine, read_only=True)


def test_slow_statements_carry_their_plan(server, table, tmp_path):  # noqa: F811
    hold, events = make_hold(tmp_path)
    kind = db.connection_class("psycopg", hold, mode="enforce", slow_ms=0, records=False)
    with kind.connect(server) as connection:
        query = "SELECT id FROM guarded WHERE name = %s"
        assert connection.execute(query, (PLANTED,)).fetchall() == []
        connection.execute("SELECT 1 / length(%s)", ("x",))
    assert "Scan" in "".join(events.rows[0].detail["plan"])
    assert PLANTED not in repr(events.rows)


# --- records ------------------------------------------------------------------------------------

INSERT = sa.text("INSERT INTO guarded (name) VALUES (:name)")
EXPECTED = {"statement done": 40, "statement failed": 20, "commit done": 20, "rollback done": 20}


def test_threads_make_one_record_for_each_operation(address, table, tmp_path):
    engine, events = guarded(tmp_path, sa.create_engine(address, pool_size=4))
    warm = [engine.connect() for _ in range(4)]
    for connection in warm:
        connection.close()
    events.rows.clear()

    def run(at):
        for count in range(5):
            name = f"{at} {count}"
            with engine.begin() as connection:
                connection.execute(INSERT, {"name": name})
            with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
                connection.execute(sa.text("SELECT 1"))
                connection.execute(INSERT, {"name": name})

    threads = [threading.Thread(target=run, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = summary(events)
    assert {kind: found.count(kind) for kind in set(found)} == EXPECTED
    engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_asyncio_makes_one_record_for_each_operation(address, table, tmp_path, driver):
    url = address.set(drivername=f"postgresql+{driver}")

    async def main():
        from sqlalchemy.ext.asyncio import create_async_engine

        made = create_async_engine(url, pool_size=4, max_overflow=0)
        engine, events = guarded(tmp_path, made)
        warm = [await engine.connect() for _ in range(4)]
        for connection in warm:
            await connection.close()
        events.rows.clear()

        async def run(at):
            for count in range(5):
                name = f"{at} {count}"
                async with engine.begin() as connection:
                    await connection.execute(INSERT, {"name": name})
                with pytest.raises(sa.exc.IntegrityError):
                    async with engine.begin() as connection:
                        await connection.execute(sa.text("SELECT 1"))
                        await connection.execute(INSERT, {"name": name})

        await asyncio.gather(*(run(at) for at in range(4)))
        found = summary(events)
        with db.request_inputs([ATTACK]):
            async with engine.connect() as connection:
                with pytest.raises(QueryRefused):
                    await connection.exec_driver_sql(f"SELECT '{ATTACK}'")
        await engine.dispose()
        return found

    found = asyncio.run(main())
    assert {kind: found.count(kind) for kind in set(found)} == EXPECTED


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_commit_that_fails_says_so(address, table, tmp_path, driver):
    async def main():
        from sqlalchemy.ext.asyncio import create_async_engine

        url = address.set(drivername=f"postgresql+{driver}")
        engine, events = guarded(tmp_path, create_async_engine(url))
        async with engine.begin() as connection:
            await connection.exec_driver_sql(
                "CREATE TEMP TABLE late (a text UNIQUE DEFERRABLE INITIALLY DEFERRED)"
            )
        events.rows.clear()
        with pytest.raises(sa.exc.IntegrityError) as caught:
            async with engine.begin() as connection:
                query = sa.text("INSERT INTO late VALUES (:a), (:a)")
                await connection.execute(query, {"a": PLANTED})
        await engine.dispose()
        return caught.value, events

    error, events = asyncio.run(main())
    assert summary(events)[:2] == ["statement done", "commit failed"]
    assert PLANTED not in everything_of(error)


def test_psycopg_with_asyncio_alone_is_guarded(server, table, tmp_path):  # noqa: F811
    hold, events = make_hold(tmp_path)
    kind = db.connection_class("psycopg_async", hold, mode="enforce", slow_ms=60_000, max_rows=3)

    async def main():
        async with await kind.connect(server) as connection:
            async with connection.transaction():
                await connection.execute("INSERT INTO guarded (name) VALUES (%s)", ("a",))
            async with connection.cursor() as cursor:
                async with cursor.copy("COPY guarded (name) FROM STDIN") as copy:
                    await copy.write_row(("b",))
                rows = [row async for row in cursor.stream("SELECT name FROM guarded")]
                await cursor.executemany("DELETE FROM guarded WHERE name = %s", [("a",), ("b",)])
            async with connection.cursor("named") as cursor:
                await cursor.execute(MANY, (4,))
                with pytest.raises(LimitExceeded):
                    await cursor.fetchall()
            with db.request_inputs([ATTACK]), pytest.raises(QueryRefused):
                await connection.execute(f"SELECT '{ATTACK}'")
            await connection.rollback()
        return rows

    assert asyncio.run(main()) == [("a",), ("b",)]
    assert summary(events) == [
        "statement done", "commit done", "statement done", "statement done", "statement done",
        "statement done", "statement refused SH233", "statement refused SH510", "rollback done",
    ]  # fmt: skip


# --- errors -------------------------------------------------------------------------------------

LEAKS = {
    "unique": ("INSERT INTO guarded (name) VALUES (:a)", {"a": PLANTED}),
    "number": ("SELECT CAST(:a AS integer)", {"a": PLANTED}),
    "word": ("SELECT * FROM guarded WHERE name = Tr0ub4dor", {}),
    "literal": (f"SELECT * FROM guarded WHERE name = '{PLANTED}' AND", {}),
    "json": ("SELECT CAST(:a AS json)", {"a": PLANTED}),
    "date": ("SELECT CAST(:a AS date)", {"a": PLANTED}),
    "nul": ("SELECT CAST(:a AS text)", {"a": PLANTED + "\0"}),
    "half": ("SELECT CAST(:a AS text)", {"a": PLANTED + "\ud800"}),
    "type": ("SELECT :a", {"a": {PLANTED: object()}}),
    "missing": ("SELECT :a, :b", {"a": PLANTED}),
    "raise": ("INSERT INTO guarded (id, name) VALUES (-1, :a)", {"a": PLANTED}),
}


@pytest.mark.parametrize("driver", ["psycopg", "psycopg_async", "asyncpg"])
def test_a_planted_secret_is_in_no_error_or_event(address, table, tmp_path, driver, server):  # noqa: F811
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("INSERT INTO guarded (name) VALUES (%s)", (PLANTED,))
        connection.execute(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.id < 0 THEN RAISE EXCEPTION 'no %', NEW.name USING DETAIL = NEW.name; END IF; "
            "RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION refuse()"
        )

    async def asking(engine, text, values):
        async with engine.begin() as connection:
            await connection.execute(sa.text(text), values)

    async def every():
        from sqlalchemy.ext.asyncio import create_async_engine

        url = address.set(drivername=f"postgresql+{driver.removesuffix('_async')}")
        engine, events = guarded(tmp_path, create_async_engine(url))
        errors = {}
        for name, (text, values) in LEAKS.items():
            with pytest.raises(Exception) as caught:  # noqa: PT011
                await asking(engine, text, values)
            errors[name] = caught.value
        await engine.dispose()
        return errors, events

    if driver == "psycopg":
        engine, events = guarded(tmp_path, sa.create_engine(address))
        errors = {}
        for name, (text, values) in LEAKS.items():
            with pytest.raises(Exception) as caught, engine.begin() as connection:  # noqa: PT011
                connection.execute(sa.text(text), values)
            errors[name] = caught.value
        engine.dispose()
    else:
        errors, events = asyncio.run(every())
    leaking = {name for name, error in errors.items() if "Tr0ub4dor" in everything_of(error)}
    assert leaking == set()
    assert "Tr0ub4dor" not in repr(events.rows)


def test_an_error_is_still_of_its_class_and_says_what_it_may(plain):
    connection, _ = plain
    connection.execute("INSERT INTO guarded (name) VALUES ('a')")
    with pytest.raises(psycopg.errors.UniqueViolation, match="guarded_name_key") as caught:
        connection.execute("INSERT INTO guarded (name) VALUES ('a')")
    assert caught.value.sqlstate == "23505"
    assert caught.value.diag.constraint_name == "guarded_name_key"
    assert caught.value.diag.message_detail is None


def test_a_password_is_in_no_error_of_connecting(tmp_path):
    hold, _ = make_hold(tmp_path)
    kind = db.connection_class("psycopg", hold)
    for conninfo in (
        f"host=/nowhere user=x password={PLANTED}",
        f"postgresql://x:{PLANTED}@/x?host=/nowhere&nothing={PLANTED}",
        f"host=/nowhere password={PLANTED} '",
    ):
        with pytest.raises(psycopg.Error) as caught:
            kind.connect(conninfo)
        assert PLANTED not in everything_of(caught.value)
