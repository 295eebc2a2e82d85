"""From a browser's request to the database: what a service writes into a statement is looked at."""

from __future__ import annotations

import asyncio

import pytest

pytestmark = pytest.mark.extras

import httpx
import sqlalchemy as sa
from fastapi import FastAPI, Request

from safehold import db, web
from safehold.errors import QueryRefused
from safehold.events import request_context
from safehold.inputs.requests import current
from tests.db.guarding import make_hold, summary

ATTACK = "x' OR '1'='1"


def weak(engine, name):
    """Answer as a service that does not know better."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"SELECT id FROM users WHERE name = '{name}'")
        return [row[0] for row in rows]


@pytest.fixture
def world(tmp_path):
    hold, events = make_hold(tmp_path)
    engine = db.guard(f"sqlite:///{tmp_path}/data.db", hold, mode="enforce", slow_ms=60_000)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        names = [{"name": "ann"}, {"name": "O'Brien"}]
        connection.execute(sa.text("INSERT INTO users (name) VALUES (:name)"), names)
    events.rows.clear()
    yield hold, engine, events
    engine.dispose()


def test_fastapi(world):
    hold, engine, events = world
    app = FastAPI()

    @app.get("/threads/{name}")
    def in_a_thread(name: str):
        return weak(engine, name)

    @app.get("/query")
    async def by_query(name: str):
        return weak(engine, name)

    @app.post("/json")
    async def by_json(request: Request):
        return weak(engine, (await request.json())["name"].strip().lower())

    @app.get("/header")
    async def by_header(request: Request):
        return weak(engine, request.headers["x-name"])

    install = web.SecurityHeaders(app, hold)

    async def main():
        transport = httpx.ASGITransport(install, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:

            async def ask(name):
                return [
                    await client.get(f"/threads/{name}"),
                    await client.get("/query", params={"name": name}),
                    await client.post("/json", json={"name": f"  {name.upper()} "}),
                    await client.get("/header", headers={"x-name": name}),
                ]

            return await ask("ann"), await ask(ATTACK)

    good, bad = asyncio.run(main())
    assert [answer.json() for answer in good] == [[1]] * 4
    assert [answer.status_code for answer in bad] == [500] * 4
    assert summary(events) == ["statement done"] * 4 + ["statement refused SH510"] * 4
    assert len({event.request["request"] for event in events.rows}) == 8


def test_flask(world):
    from flask import Flask, request

    hold, engine, events = world
    app = Flask(__name__)

    @app.post("/form")
    def by_form():
        return weak(engine, request.form["name"])

    @app.errorhandler(QueryRefused)
    def refused(_error):
        return "no", 400

    web.install(app, hold)
    client = app.test_client()
    assert client.post("/form", data={"name": "ann"}).json == [1]
    assert current() is None
    with client.post("/form", data={"name": ATTACK}) as answer:
        assert answer.status_code == 400
    assert current() is None
    assert summary(events) == ["statement done", "statement refused SH510"]


def test_what_belongs_to_one_request_has_its_id(world):
    _, engine, events = world
    with db.request_inputs(["a"]), engine.begin() as connection:
        connection.execute(sa.text("UPDATE users SET name = name"))
        with db.request_inputs(["b"]):
            connection.execute(sa.text("SELECT 1"))
    assert len({event.request["request"] for event in events.rows}) == 1
    assert len(events.rows) == 3
    events.rows.clear()
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
        with db.request_inputs(["a"]), request_context(request="mine"):
            connection.execute(sa.text("SELECT 1"))
    assert [event.request for event in events.rows] == [{}, {"request": "mine"}]
