"""Statements that libraries send while they work, and inputs that look like SQL: none is refused.

``scripts/statements.py`` has captured the statements.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from safehold import db
from safehold.db.guarding.watch import Limits, Watch
from safehold.errors import QueryRefused
from tests.db.guarding import make_hold

CAPTURED = json.loads((Path(__file__).parent / "data" / "statements.json").read_text("utf-8"))
TEXTS = [
    (dialect, text)
    for dialect, by_name in CAPTURED.items()
    for texts in by_name.values()
    for text in texts
]

_NAMES = (
    "O'Brien", "D'Angelo", "N'Golo Kanté", "Null", "Drop Tables", "Robert; Smith", "Ana OR Maria", "Union Jack",
    "Select Committee", "'t Zand", "van 't Hoff", "Siobhán O'Sullivan -- Dublin", "Müller/Lüdenscheidt",
)  # fmt: skip
_VERBS = (
    "select",
    "drop",
    "union",
    "insert",
    "update",
    "delete",
    "order",
    "group",
    "where",
    "or",
    "and",
)
_PROSE = (
    "{} one from the list", "please {} the table by the door", "it's 1=1, or so they say; {}",
    "how do I {} 'x' from \"users\"?", "-- {} --", "/* {} */ why?", "50% {} (or more)", "{}; thanks.",
    "C:\\temp\\{}", "https://example.com/?q={}+1&x='a'", "a' {} 'b", "{} * from t where 1=1", "#1 {} of 2",
    "{}ed items are 'sold out'", "to {} or not to {}", "x={}; y=2", "{} NULL, NULL", "1 {} 1", "`{}`",
    "don't {} me: I can't", "<b>{}</b> & co", "{{\"{}\": \"it's\"}}", "{}() returns true", "@{} #sql",
    "{} password from users", "if (a == '{}') {{ b(); }}", "$${}$$", "\\'{}\\'", "{}\n-- best,\nAnn",
    "R&D {} ' OR ' D&R", "{} sqlite_master information_schema", "pg_sleep(1) {}", "waitfor {}",
)  # fmt: skip
HARMLESS = [*_NAMES, *(text.replace("{}", verb) for text in _PROSE for verb in _VERBS)]
HARMLESS += [f"{name} {verb}" for name in _NAMES for verb in _VERBS][:100]


def watch_of(tmp_path, dialect, **limits):
    hold, _ = make_hold(tmp_path)
    return Watch(hold, dialect, Limits(**limits), mode="enforce", records=True, allow=(), modes=())


def test_there_are_enough_of_both():
    assert len({text for _, text in TEXTS}) >= 800
    assert {name for by_name in CAPTURED.values() for name in by_name} == {
        "django", "sqlalchemy", "pandas", "mlflow", "optuna",
    }  # fmt: skip
    assert any("alembic_version" in text for _, text in TEXTS)
    assert len(set(HARMLESS)) >= 400


def refused(watch, text):
    try:
        watch.admit(text)
    except QueryRefused as error:
        return str(error)[:200]
    return ""


@pytest.mark.parametrize("dialect", list(CAPTURED))
def test_does_nothing_to_captured_statements(tmp_path, dialect):
    watch = watch_of(tmp_path, dialect, statement_timeout_ms=1000)
    texts = [text for name, text in TEXTS if name == dialect]
    assert [(text, why) for text in texts if (why := refused(watch, text))] == []


@pytest.mark.parametrize("dialect", list(CAPTURED))
def test_does_nothing_to_captured_statements_in_requests(tmp_path, dialect):
    """Each statement in a request of some harmless inputs, bound: the text is the library's."""
    watch, random_ = watch_of(tmp_path, dialect), random.Random(0)
    texts = [text for name, text in TEXTS if name == dialect]
    wrong = {}
    for text in texts:
        with db.request_inputs(random_.sample(HARMLESS, 4)):
            wrong[text] = refused(watch, text)
    assert {text: why for text, why in wrong.items() if why} == {}


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
def test_does_nothing_to_inputs_that_look_like_sql(tmp_path, dialect):
    """Each input bound, and written into a literal as the dialect escapes it."""
    watch, wrong = watch_of(tmp_path, dialect), {}
    for value in HARMLESS:
        literal = value.replace("'", "''")
        if dialect == "mysql":
            literal = value.replace("\\", "\\\\").replace("'", "\\'")
        with db.request_inputs([value]):
            for text in (
                "SELECT id, name FROM users WHERE name = ? AND role = 'user' ORDER BY id",
                f"SELECT id, name FROM users WHERE name = '{literal}' AND role = 'user'",
                f"INSERT INTO notes (title, body) VALUES ('{literal}', 'x'), ('a', 'b')",
                f"/* page */ UPDATE users SET note = '{literal}', seen = 1 WHERE id = 5",
            ):
                wrong[text] = refused(watch, text)
    assert {text: why for text, why in wrong.items() if why} == {}
