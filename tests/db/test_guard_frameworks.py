"""The guard beneath Django and Flask-SQLAlchemy, by one line each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras

import psycopg
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from safehold import db
from safehold.db.flask import guard
from safehold.errors import ConfigError, QueryRefused
from tests.db.guarding import make_hold, summary
from tests.db.test_guard import ATTACK, by_name
from tests.postgres import server  # noqa: F401

ROOT = Path(__file__).parents[2]


def django_says(folder, parameters=None):
    done = subprocess.run(
        [sys.executable, "-m", "tests.db.django_program", str(folder), json.dumps(parameters)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    return django_says(tmp_path_factory.mktemp("django"))


def test_django_sends_no_input_that_leaves_its_literal(said):
    assert said["refusals"] == ["SH510", "SH510", "SH510", 0]
    assert said["other"] == "SH231"  # by an option of this alias


def test_django_makes_one_record_for_each_operation_of_each_thread(said):
    # For each: BEGIN, insert, commit; BEGIN, an insert that fails, rollback; a select.
    assert said["threads"] == {
        "commit done": 4, "rollback done": 4, "statement done": 16, "statement failed": 4,
    }  # fmt: skip


def test_the_caller_is_the_programs_line(said):
    assert said["callers"] == ["django_program.py"]


def test_what_cannot_be_guarded_in_django_is_said_when_it_starts(said):
    assert [line for line in said["wrong"] if "nowhere" in line]
    assert [line for line in said["wrong"] if "'fast'" in line]
    assert [line for line in said["wrong"] if "is connected" in line]


def test_django_on_postgresql(server, tmp_path):  # noqa: F811
    parts = psycopg.conninfo.conninfo_to_dict(server)
    names = {"user": "USER", "password": "PASSWORD", "dbname": "NAME", "host": "HOST"}
    given = {names[name]: value for name, value in parts.items() if name in names}
    said = django_says(tmp_path, {"NAME": "postgres", **given})
    assert said["refusals"] == ["SH510", "SH510", "SH510", 0]
    assert said["threads"]["commit done"] == 4
    assert said["threads"]["statement failed"] == 4


@pytest.fixture(params=["before", "after"])
def flask_world(request, tmp_path):
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/one.db"
    app.config["SQLALCHEMY_BINDS"] = {"other": f"sqlite:///{tmp_path}/two.db"}
    database = SQLAlchemy()
    hold, events = make_hold(tmp_path)
    if request.param == "before":
        guard(database, hold, mode="enforce", slow_ms=60_000)
        database.init_app(app)
    else:
        database.init_app(app)
        with app.app_context():
            guard(database, hold, mode="enforce", slow_ms=60_000)
    with app.app_context():
        yield database, events
        for engine in database.engines.values():
            engine.dispose()


def test_flask_sqlalchemy_is_guarded_with_all_its_binds(flask_world):
    database, events = flask_world
    for engine in (database.engine, database.engines["other"]):
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE users (id INTEGER, name TEXT)")
    events.rows.clear()
    with db.request_inputs([ATTACK]):
        with pytest.raises(QueryRefused, match="SH510"):
            database.session.execute(database.text(by_name(ATTACK)))
        with database.engines["other"].connect() as connection:
            with pytest.raises(QueryRefused, match="SH510"):
                connection.exec_driver_sql(by_name(ATTACK))
        found = database.session.execute(
            database.text("SELECT id FROM users WHERE name = :name"), {"name": ATTACK}
        )
        assert found.all() == []
    assert summary(events)[0] == "statement refused SH510"
    assert summary(events)[-2:] == ["statement refused SH510", "statement done"]


def test_engines_that_are_connected_are_not_taken(tmp_path):
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/one.db"
    database = SQLAlchemy(app)
    with app.app_context():
        database.engine.connect().close()
        with pytest.raises(ConfigError, match="is connected"):
            guard(database, make_hold(tmp_path)[0])
        database.engine.dispose()
