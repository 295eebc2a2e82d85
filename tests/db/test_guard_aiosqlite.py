"""The guard before aiosqlite, which runs statements in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

import pytest

pytestmark = pytest.mark.extras

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from safehold import db
from safehold.errors import LimitExceeded, QueryRefused
from tests.db.guarding import make_hold, summary
from tests.db.test_guard import ATTACK, PLANTED, by_name, everything_of


@pytest.fixture
def run(tmp_path):
    """Run what is given a guarded connection and its events."""

    def running(work, **limits):
        async def main():
            hold, events = make_hold(tmp_path)
            settings = {"mode": "enforce", "slow_ms": 60_000, **limits}
            kind = db.connection_class("aiosqlite", hold, **settings)
            async with kind.connect(tmp_path / "data.db") as connection:
                return await work(connection, events)

        return asyncio.run(main())

    return running


def test_does_nothing_to_bound_values(run):
    async def work(connection, events):
        with db.request_inputs([ATTACK]):
            await connection.execute("CREATE TABLE users (id INTEGER, name TEXT)")
            await connection.execute("INSERT INTO users VALUES (1, ?)", (ATTACK,))
            await connection.commit()
            async with connection.execute("SELECT name FROM users") as cursor:
                assert [row async for row in cursor] == [(ATTACK,)]
        assert summary(events) == [
            "statement done", "statement done", "commit done", "statement done",
        ]  # fmt: skip
        assert all(event.caller.startswith(__file__) for event in events.rows if event.caller)
        assert events.rows[1].caller

    run(work)


def test_an_input_that_leaves_its_literal_is_not_sent(run):
    async def work(connection, events):
        cursor = await connection.cursor()
        with db.request_inputs([ATTACK]):
            for running in (
                connection.execute(by_name(ATTACK)),
                connection.executescript(by_name(ATTACK)),
                connection.execute_fetchall(by_name(ATTACK)),
                cursor.execute(by_name(ATTACK)),
                cursor.executemany(by_name(ATTACK), [()]),
            ):
                with pytest.raises(QueryRefused, match="SH510"):
                    await running
        assert summary(events) == ["statement refused SH510"] * 5

    run(work)


def test_limits_hold(run):
    async def work(connection, events):
        await connection.execute("CREATE TABLE t (a)")
        await connection.execute("INSERT INTO t VALUES (1), (2)")
        with pytest.raises(LimitExceeded, match="SH233"):
            await connection.execute_fetchall("SELECT a FROM t")

    run(work, max_rows=1)


def test_a_planted_secret_is_in_no_error_event_or_log(run, caplog):
    caplog.set_level(logging.DEBUG)

    async def work(connection, events):
        await connection.execute("CREATE TABLE users (name TEXT UNIQUE)")
        insert = "INSERT INTO users VALUES (?)"
        await connection.execute(insert, (PLANTED,))
        for text, values in (
            (insert, (PLANTED,)),
            (insert, (PLANTED + "\ud800",)),
            (f"SELECT '{PLANTED}' AND", ()),
        ):
            with pytest.raises(Exception) as caught:  # noqa: PT011
                await connection.execute(text, values)
            assert "Tr0ub4dor" not in everything_of(caught.value)
        assert summary(events)[2:] == ["statement failed"] * 3
        assert "Tr0ub4dor" not in repr(events.rows) + caplog.text + repr(connection)
        assert "executing" in caplog.text

    run(work)


def test_one_record_for_each_operation(run):
    async def work(connection, events):
        await connection.execute("CREATE TABLE users (name TEXT UNIQUE)")
        events.rows.clear()

        async def one(name):
            await connection.execute("INSERT INTO users VALUES (?)", (name,))
            with pytest.raises(sqlite3.IntegrityError):
                await connection.execute("INSERT INTO users VALUES (?)", (name,))

        await asyncio.gather(*(one(str(at)) for at in range(20)))
        await connection.rollback()
        found = summary(events)
        assert {kind: found.count(kind) for kind in set(found)} == {
            "statement done": 20, "statement failed": 20, "rollback done": 1,
        }  # fmt: skip

    run(work)


def test_beneath_sqlalchemy_it_is_guarded_too(tmp_path):
    async def main():
        hold, events = make_hold(tmp_path)
        url = f"sqlite+aiosqlite:///{tmp_path}/data.db"
        engine = db.guard(create_async_engine(url), hold, mode="enforce", max_rows=3)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
            raw = (await connection.get_raw_connection()).driver_connection
            events.rows.clear()
            with db.request_inputs([ATTACK]), pytest.raises(QueryRefused):
                await raw.execute(by_name(ATTACK))
        await engine.dispose()
        return summary(events)

    assert asyncio.run(main())[0] == "statement refused SH510"


def test_does_nothing_in_a_mode_that_is_off(run):
    async def work(connection, events):
        await connection.execute("ATTACH ':memory:' AS x")
        assert not events.rows

    run(work, mode="off")
