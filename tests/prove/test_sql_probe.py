"""The probe of statements: what is no injection is not taken for one."""

from __future__ import annotations

import itertools
import sqlite3

import pytest

from safehold.prove.asking import Answer
from safehold.prove.hints import Endpoint, Hints
from safehold.prove.probes.sql import SQL
from safehold.prove.world import World

NUMBERS = itertools.count()


def database():
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "CREATE TABLE t (name TEXT, n INTEGER); INSERT INTO t VALUES ('a', 1), ('b', 2)"
    )
    return connection


def asked(statement, *values):
    """Answer with the number of rows alone, and any error as a 500."""
    try:
        found = database().execute(statement, values).fetchall()
    except (sqlite3.Error, sqlite3.Warning):
        return Answer(500, (), b"error")
    return Answer(200, (), f"{len(found)} rows".encode())


# Harmless ones first.
HARMLESS = {
    "a parameter": lambda text: asked("SELECT * FROM t WHERE name = ?", text),
    "an echo": lambda text: Answer(200, (), b"you said " + text.encode()),
    "an echo in capitals": lambda text: Answer(200, (), text.upper().encode()),
    "an answer that is never the same": lambda _: Answer(200, (), b"%d" % next(NUMBERS)),
    "an error for each quote": lambda text: Answer(500 if "'" in text else 200, (), b"x"),
    "the product at any time": lambda _: Answer(200, (), b"597943"),
    "the length": lambda text: Answer(200, (), b"%d" % len(text)),
    "quotes taken away": lambda text: asked(
        f"SELECT * FROM t WHERE name = '{text.replace(chr(39), '')}'"
    ),
}
INJECTED = {
    "a text": lambda text: asked(f"SELECT * FROM t WHERE name = '{text}'"),
    "a number": lambda text: asked(f"SELECT * FROM t WHERE n = {text}"),
    "a text in parentheses": lambda text: asked(f"SELECT * FROM t WHERE (name = '{text}')"),
    "a text, UNION refused": lambda text: (
        Answer(403) if "UNION" in text else asked(f"SELECT * FROM t WHERE name = '{text}'")
    ),
}


class Serving:
    def __init__(self, serve):
        self.serve = serve

    def at(self, _endpoint, text):
        return self.serve(text)


def outcome(serve, folder):
    world = World(Hints(), folder, float("inf"), running=Serving(serve))
    world._endpoints = (Endpoint("/?q={}"),)
    (attempt,) = SQL.attempts(world)
    return attempt.act()


@pytest.mark.parametrize("name", HARMLESS)
def test_finds_nothing_in(name, tmp_path):
    said = outcome(HARMLESS[name], tmp_path)
    assert said.outcome == "held", said


@pytest.mark.parametrize("name", INJECTED)
def test_finds(name, tmp_path):
    said = outcome(INJECTED[name], tmp_path)
    assert said.outcome == "got-in", said


def test_an_endpoint_that_does_not_answer_is_not_tried(tmp_path):
    assert outcome(lambda _: Answer(problem="gone"), tmp_path).outcome == "not-tried"


@pytest.mark.parametrize("status", [301, 400, 401, 403, 405, 415, 421, 429, 500, 503])
def test_an_endpoint_that_turns_what_is_usual_away_is_not_tried(status, tmp_path):
    said = outcome(lambda _: Answer(status), tmp_path)
    assert (said.outcome, f"is answered with {status}" in said.evidence) == ("not-tried", True)


@pytest.mark.parametrize("status", [200, 404, 422])
def test_an_endpoint_that_looked_at_what_is_usual_is_tried(status, tmp_path):
    assert outcome(lambda _: Answer(status), tmp_path).outcome == "held"
