"""The guard before a real PostgreSQL through asyncpg, alone and under SQLAlchemy."""

from __future__ import annotations

import asyncio
import io
import logging

import pytest

pytestmark = pytest.mark.extras

import asyncpg
import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from safehold import db
from safehold.errors import LimitExceeded, QueryRefused
from tests.db.guarding import make_hold, summary
from tests.db.test_guard import ATTACK, PLANTED, everything_of
from tests.postgres import server  # noqa: F401

TEXT = f"SELECT id FROM asynced WHERE name = '{ATTACK}'"
INSERT = "INSERT INTO asynced (name) VALUES ($1)"


@pytest.fixture
def options(server):  # noqa: F811
    parts = psycopg.conninfo.conninfo_to_dict(server)
    names = {"user": "user", "password": "password", "dbname": "database", "host": "host"}
    found = {names[name]: value for name, value in parts.items() if name in names}
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS asynced")
        connection.execute("CREATE TABLE asynced (id serial, name text UNIQUE)")
        yield found
        connection.execute("DROP TABLE asynced")


@pytest.fixture
def run(options, tmp_path):
    """Run what is given a guarded connection and its events."""

    def running(work, **limits):
        async def main():
            hold, events = make_hold(tmp_path)
            settings = {"mode": "enforce", "slow_ms": 60_000, **limits}
            kind = db.connection_class("asyncpg", hold, **settings)
            connection = await kind.connect(**options)
            try:
                return await work(connection, events)
            finally:
                await connection.close()

        return asyncio.run(main())

    return running


def test_does_nothing_to_bound_values(run):
    async def work(connection, events):
        with db.request_inputs([ATTACK]):
            async with connection.transaction():
                await connection.execute(INSERT, ATTACK)
                await connection.executemany(INSERT, [("a",), ("b",)])
            assert await connection.fetchval("SELECT name FROM asynced WHERE id = $1", 1) == ATTACK
            prepared = await connection.prepare("SELECT name FROM asynced ORDER BY id")
            assert len(await prepared.fetch()) == 3
            assert (await connection.fetchrow("SELECT 1"))[0] == 1
            async with connection.transaction():
                names = [row[0] async for row in connection.cursor("SELECT name FROM asynced")]
                assert len(names) == 3
        assert summary(events) == [
            "statement done", "statement done", "commit done", "statement done",
            "statement done", "statement done", "statement done", "commit done",
        ]  # fmt: skip
        assert [event.size for event in events.rows][:1] == [1]
        assert all(event.caller.startswith(__file__) for event in events.rows)

    run(work)


def test_does_nothing_in_a_mode_that_is_off(run):
    async def work(connection, events):
        await connection.execute("SELECT pg_sleep(0)")
        assert not events.rows

    run(work, mode="off")


def test_an_input_that_leaves_its_literal_is_not_sent(run):
    async def work(connection, events):
        with db.request_inputs([ATTACK]):
            for method in ("execute", "fetch", "fetchrow", "fetchval", "prepare"):
                with pytest.raises(QueryRefused, match="SH510"):
                    await getattr(connection, method)(TEXT)
            with pytest.raises(QueryRefused, match="SH510"):
                await connection.executemany(TEXT, [()])
            with pytest.raises(QueryRefused, match="SH510"):
                await connection.copy_from_query(f"{TEXT}\n", output=io.BytesIO())
            with pytest.raises(QueryRefused, match="SH510"):
                async with connection.transaction():
                    await connection.cursor(TEXT)
        assert summary(events) == ["statement refused SH510"] * 8 + ["rollback done"]

    run(work)


def test_copying_goes_on_working(run):
    async def work(connection, events):
        await connection.copy_records_to_table("asynced", records=[("a",)], columns=["name"])
        out = io.BytesIO()
        await connection.copy_from_table("asynced", output=out, columns=["name"])
        assert out.getvalue() == b"a\n"
        assert summary(events) == ["statement done"] * 2

    run(work)


def test_types_that_the_driver_looks_up_are_its_own(run):
    async def work(connection, events):
        await connection.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        try:
            with db.request_inputs(["x"]):
                assert await connection.fetchval("SELECT 'good'::mood") == "good"
        finally:
            await connection.execute("DROP TYPE mood")
        assert summary(events) == ["statement done"] * 3

    run(work)


def test_limits_hold_from_the_first_statement_on(run):
    async def slow(connection, events):
        with pytest.raises(asyncpg.QueryCanceledError):
            await connection.fetch("SELECT count(*) FROM generate_series(1, 100000000)")

    async def writing(connection, events):
        with pytest.raises(QueryRefused, match="SH231"):
            await connection.execute(INSERT, "a")
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.fetch("SELECT lo_create(0)")

    async def many(connection, events):
        query = "SELECT * FROM generate_series(1, $1::int)"
        assert len(await connection.fetch(query, 3)) == 3
        for reading in (
            connection.fetch(query, 4),
            _all(connection.cursor(query, 4, prefetch=2), connection),
        ):
            with pytest.raises(LimitExceeded, match="SH233"):
                await reading
        assert summary(events).count("statement refused SH233") == 2

    run(slow, statement_timeout_ms=50)
    run(writing, read_only=True)
    run(many, max_rows=3)


async def _all(cursor, connection):
    async with connection.transaction():
        return [row async for row in cursor]


def test_slow_statements_carry_their_plan(run):
    async def work(connection, events):
        await connection.fetch("SELECT name FROM asynced")
        assert "Scan on asynced" in events.rows[0].detail["plan"][0]

    run(work, slow_ms=0)


LEAKS = {
    "unique": (INSERT, (PLANTED,)),
    "literal": (f"SELECT * FROM asynced WHERE name = '{PLANTED}' AND", ()),
    "cast": ("SELECT $1::text::int", (PLANTED,)),
    "type": ("SELECT $1::int", (PLANTED,)),
    "half": (INSERT, (PLANTED + "\ud800",)),
    "count": ("SELECT $1::text", (PLANTED, PLANTED)),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_secret_is_in_no_error_event_or_log(run, leak, caplog):
    text, values = LEAKS[leak]

    async def work(connection, events):
        await connection.execute(INSERT, PLANTED)
        caplog.set_level(logging.DEBUG)
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await connection.fetch(text, *values)
        assert "Tr0ub4dor" not in everything_of(caught.value)
        with pytest.raises(Exception) as caught:  # noqa: PT011
            async with connection.transaction():
                await connection.fetch(text, *values)
        assert "Tr0ub4dor" not in everything_of(caught.value)
        assert "Tr0ub4dor" not in repr(events.rows) + caplog.text + repr(connection)
        assert summary(events)[1:] == ["statement failed", "statement failed", "rollback done"]

    run(work)


def test_a_password_that_breaks_an_address_is_not_quoted(tmp_path):
    kind = db.connection_class("asyncpg", make_hold(tmp_path)[0])
    with pytest.raises(ValueError, match="withheld") as caught:
        asyncio.run(kind.connect(f"postgresql://me:{PLANTED}/x@localhost/shop"))
    assert "Tr0ub4dor" not in everything_of(caught.value)


def test_an_error_is_still_of_its_class_and_says_what_it_may(run):
    async def work(connection, events):
        await connection.execute(INSERT, "a")
        with pytest.raises(asyncpg.UniqueViolationError, match="asynced_name_key") as caught:
            await connection.execute(INSERT, "a")
        assert caught.value.sqlstate == "23505"
        assert caught.value.constraint_name == "asynced_name_key"
        assert caught.value.detail is None

    run(work)


def test_one_record_for_each_operation_of_a_pool(options, tmp_path):
    async def main():
        hold, events = make_hold(tmp_path)
        kind = db.connection_class("asyncpg", hold, mode="enforce", slow_ms=60_000)
        pool = await asyncpg.create_pool(**options, connection_class=kind, min_size=2, max_size=4)

        async def one(name):
            async with pool.acquire() as connection:
                async with connection.transaction():
                    await connection.execute(INSERT, name)
                with pytest.raises(asyncpg.UniqueViolationError):
                    async with connection.transaction():
                        await connection.execute(INSERT, name)

        await asyncio.gather(*(one(str(at)) for at in range(20)))
        found = summary(events)
        await pool.close()
        return {kind: found.count(kind) for kind in set(found)}

    found = asyncio.run(main())
    resets = found["statement done"] - 20  # the pool says one each time it gets a connection back
    assert resets in (0, 20)
    assert {**found, "statement done": 20} == {
        "statement done": 20, "statement failed": 20, "commit done": 20, "rollback done": 20,
    }  # fmt: skip


def test_sqlalchemy_above_is_counted_once(options, tmp_path):
    async def main():
        hold, events = make_hold(tmp_path)
        url = sa.URL.create("postgresql+asyncpg", options.get("user"), options.get("password"),
                            database=options.get("database"),
                            query={"host": options["host"]})  # fmt: skip
        engine = db.guard(create_async_engine(url), hold, mode="enforce", slow_ms=60_000)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        events.rows.clear()
        insert = sa.text("INSERT INTO asynced (name) VALUES (:name)")

        async def one(name):
            async with engine.begin() as connection:
                await connection.execute(insert, {"name": name})
                async with connection.begin_nested():
                    await connection.execute(insert, [{"name": name + "b"}, {"name": name + "c"}])
            with pytest.raises(sa.exc.IntegrityError) as caught:
                async with engine.begin() as connection:
                    await connection.execute(insert, {"name": name})
            assert name not in str(caught.value)
            assert "asynced_name_key" in str(caught.value)

        await asyncio.gather(*(one(f"{PLANTED}{at}") for at in range(5)))
        found = summary(events)
        assert "Tr0ub4dor" not in repr(events.rows)
        with db.request_inputs([ATTACK]):
            async with engine.connect() as connection:
                with pytest.raises(QueryRefused):
                    await connection.exec_driver_sql(TEXT)
                raw = await connection.get_raw_connection()
                with pytest.raises(QueryRefused):
                    await raw.driver_connection.fetch(TEXT)
        await engine.dispose()
        return {kind: found.count(kind) for kind in set(found)}

    # For each: two inserts, SAVEPOINT and RELEASE.
    assert asyncio.run(main()) == {
        "statement done": 20, "statement failed": 5, "commit done": 5, "rollback done": 5,
    }  # fmt: skip
