"""An input inside one token is none of the check's business; one that is more is a finding."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import re
from pathlib import Path

import pytest

from safehold.errors import QueryRefused
from safehold.events import Event, Recorder
from safehold.inputs.requests import request_inputs
from safehold.inputs.sql import check_statement, verify_statement
from tests.inputs.sql_checking import Sqlite, confirmed, missed

HARMLESS = (
    ("sqlite", "SELECT id FROM t WHERE name = ?", ["O'Brien", "id", "name", "t", "1"]),
    ("sqlite", "SELECT id FROM t WHERE name = 'O''Brien'", ["O'Brien"]),
    ("sqlite", "SELECT id FROM t WHERE name = '''x'''", ["'x'"]),
    ("sqlite", "SELECT id FROM t WHERE name = ''''", ["'"]),
    ("sqlite", "SELECT id FROM t WHERE name = 'set (x = y)'", ["'s"]),
    ("sqlite", "INSERT INTO t (a) VALUES (?)", ["insert into"]),
    ("sqlite", "SELECT id FROM t WHERE name = '%''%' AND b = ''", ["'", "''"]),
    ("sqlite", "SELECT id FROM t WHERE name = 'a or b = c -- d'", ["a or b = c -- d"]),
    ("sqlite", "SELECT id FROM t WHERE id = -5 AND x = 1.5", ["-5", "1.5"]),
    ("sqlite", "SELECT id FROM t WHERE id IN (1,2,3)", ["1,2,3"]),
    ("sqlite", "SELECT id FROM t ORDER BY name DESC", ["name", "desc"]),
    ("sqlite", 'SELECT id FROM t ORDER BY "na me"', ["na me"]),
    ("sqlite", "/* user o'b */ SELECT id FROM t -- for x", ["o'b", "x", "-", "/", "*", "--"]),
    ("sqlite", "SELECT a.id FROM a JOIN b ON a.id = b.a_id", ["b.a_id"]),
    ("sqlite", "SELECT COUNT(*), (id) FROM t WHERE a = ? AND b IN (?, ?);", ["(", ")", "*", "?", ";", "()"]),
    ("postgresql", "SELECT id FROM t WHERE name = E'a\\\\b' AND x = $t$a'b$t$", ["a\\b", "a'b"]),
    ("postgresql", "SELECT id FROM t WHERE body @> '{\"a\": 1}'::jsonb", ['{"a": 1}']),
    ("mysql", "SELECT id FROM t WHERE name = 'O\\'Brien' AND b = \"x\\\\\"", ["O'Brien", "x\\"]),
    ("mysql", "SELECT /*!40001 SQL_NO_CACHE */ id FROM t WHERE a = 'b'", ["b"]),
)  # fmt: skip

HARMFUL = (
    ("sqlite", "SELECT id FROM t WHERE name = 'x' OR 'a'='a'", ["x' OR 'a'='a"]),
    ("sqlite", "SELECT id FROM t WHERE id = 1 OR 1=1", ["1 OR 1=1"]),
    ("sqlite", "SELECT id FROM t WHERE id = 1/**/OR/**/1", ["1/**/or/**/1"]),
    ("sqlite", "SELECT id FROM t WHERE id = id", ["id"]),
    ("sqlite", "SELECT id FROM t WHERE id IN (1, id)", ["id"]),
    ("sqlite", "SELECT id FROM t WHERE a = 'x'' AND b = ' OR 1=1 --'", ["x'", " OR 1=1 --"]),
    ("sqlite", "SELECT id FROM t WHERE a = ''' AND b = '''", ["'"]),
    ("sqlite", "SELECT id FROM t WHERE a LIKE '%'%' AND b LIKE '%'%'", ["'"]),
    ("sqlite", "SELECT id FROM t WHERE x = 5--5\n", ["-5"]),
    ("sqlite", "-- by x\nDELETE FROM t", ["x\nDELETE FROM t"]),
    ("sqlite", "-- by \nDELETE", ["\nDELETE"]),
    ("sqlite", "DELETE FROM t WHERE id = '  AND name = '' '", ["' "]),
    ("sqlite", "DELETE FROM t WHERE id = 'x AND name = ''y'", ["'x", "'y"]),
    ("mysql", "SELECT id FROM t WHERE a = 'x\\' AND b = 'y''", ["x\\"]),
    ("sqlite", "SELECT id FROM t -- by \n;\n WHERE a = 1", ["\n;"]),
    ("sqlite", "SELECT id FROM t WHERE a = ''' AND b = '''", ["Jw=="]),
    ("sqlite", "SELECT id FROM t WHERE a = ''x'", ["'x"]),
    ("sqlite", "SELECT id FROM t WHERE a = 'abc", ["abc"]),
    ("sqlite", 'SELECT id FROM t ORDER BY "a", "b"', ['a", "b']),
    ("postgresql", "SELECT id FROM t WHERE a = $$x$$ or $$y$$", ["x$$ or $$y"]),
    ("postgresql", "/* a /* x */ b */ 1 */ SELECT 1", ["x */ b */ 1"]),
    ("mysql", "SELECT id FROM t WHERE a = '\\' AND b = ' OR 1=1 -- '", ["\\", " OR 1=1 -- "]),
    ("mysql", "SELECT id FROM t WHERE a = '\\'' OR 1=1 -- '", ["\\' OR 1=1 -- "]),
    ("mysql", "SELECT id FROM t WHERE a = 1 # AND b = 2", ["1 #"]),
    ("mysql", "/*! SELECT 1 */", ["! SELECT 1"]),
    ("mysql", "SELECT 1 /*!99999 AND 'x' = 'y' */", ["x' = 'y"]),
)

STATEMENT = "SELECT id FROM t WHERE id = 1 OR 1=1"


@pytest.mark.parametrize(("dialect", "text", "inputs"), HARMLESS)
def test_does_nothing_to_an_input_within_one_token(dialect, text, inputs):
    assert check_statement(text, dialect, inputs) == []


@pytest.mark.parametrize(("dialect", "text", "inputs"), HARMFUL)
def test_an_input_that_is_more_than_one_token_is_found(dialect, text, inputs):
    found = check_statement(text, dialect, inputs)
    assert found
    assert {item.rule.id for item in found} == {"SH510"}
    # The finding goes to logs: nothing of the input does.
    for value in inputs:
        assert len(value) < 3 or value not in repr(found[0].as_json())


def test_does_nothing_outside_of_a_request():
    assert check_statement(STATEMENT, "sqlite") == []


def test_the_inputs_of_the_request_are_looked_for():
    with request_inputs({"id": "1 OR 1=1"}):
        assert check_statement(STATEMENT, "sqlite")
    assert check_statement(STATEMENT, "sqlite") == []


@pytest.mark.parametrize(
    "sent",
    [
        "1 or 1=1",
        " 1 OR 1=1\n",
        "1+OR+1%3D1",
        "1%2520OR%25201%253D1",
        "1&#32;OR&#32;1&#61;1",
        base64.b64encode(b"1 OR 1=1").decode(),
        b"1 OR 1=1".hex(),
        '{"filter": ["1 OR 1=1"]}',
        "1  OR\t1=1",
        "1 OR '1=1",
        "\uff11 OR 1=1",
    ],
)  # fmt: skip
def test_what_the_program_did_to_an_input_does_not_hide_it(sent):
    assert check_statement(STATEMENT, "sqlite", [sent])


QUOTED = "x' OR 'a'='a"


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("x' OR 'a' = 'a", "x'OR'a'='a"),  # without spaces
        ("\u00e9" + QUOTED, "e" + QUOTED),  # as slugs and names of files are made
        ("x\u2603' OR 'a'='a", QUOTED),
        ("x' O\0R 'a'='a", QUOTED),
        ("x\x01' OR 'a'='a", QUOTED),
        ("x' O\u200bR 'a'='a", QUOTED),
        ("x'<b> OR</b> 'a'='a", QUOTED),
        ("\u0130" + QUOTED, ("\u0130" + QUOTED).lower()),  # one character that becomes two
        ("\u00df" + QUOTED, ("\u00df" + QUOTED).casefold()),
        # However many there are besides, and deeper.
        (json.dumps([QUOTED, *(f"word {n}" for n in range(99))]), QUOTED),
        (json.dumps([*(f"word {n}" for n in range(99)), QUOTED]), QUOTED),
        (json.dumps([json.dumps({"a": [1] * 99 + [QUOTED]}), *map(str, range(99))]), QUOTED),
    ],
)
def test_nor_what_it_took_out_of_it(sent, written):
    assert check_statement(f"SELECT a FROM t WHERE b = '{written}'", "sqlite", [sent])


@pytest.mark.parametrize(
    "sent",
    ["\u9009\u62e9 name, id", "na\u00efve (a)", "<b>name</b>", "O'Brien \u2603"],
)
def test_does_nothing_to_a_statement_that_has_less_of_it(sent):
    statement = (
        "SELECT name, id, count(a) FROM t WHERE a=b AND c = 'O''Brien \u2603' AND d = ' (a)'"
    )
    assert not check_statement(statement, "sqlite", [sent])


def test_a_setting_of_the_server_decides_what_a_backslash_is():
    text = "SELECT id FROM t WHERE a = 'x\\' OR 'b"
    assert check_statement(text, "postgresql", ["x\\"])
    text += "'"
    assert check_statement(text, "mysql", ["x\\"])
    assert check_statement(text, "mysql", ["x\\"], modes=["NO_BACKSLASH_ESCAPES"]) == []
    escaped = "SELECT id FROM t WHERE a = 'O\\'Brien'"
    assert check_statement(escaped, "mysql", ["O'Brien"]) == []
    assert check_statement(escaped, "mysql", ["O'Brien"], modes=["NO_BACKSLASH_ESCAPES"])


def test_a_name_that_the_program_lets_choose_is_allowed():
    text = "SELECT id FROM t WHERE price > cost"
    assert check_statement(text, "sqlite", ["cost"])
    assert check_statement(text, "sqlite", ["cost"], names=["cost"]) == []


class Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def export(self, event: Event) -> None:
        self.events.append(event)


def test_verify_records_and_raises():
    kept = Kept()
    verify_statement("SELECT 1", "sqlite", ["x y"], recorder=Recorder(kept))
    assert not kept.events
    with pytest.raises(QueryRefused, match="Bind the value"):
        verify_statement(STATEMENT, "sqlite", ["1 OR 1=1"], recorder=Recorder(kept))
    (event,) = kept.events
    assert (event.rule, event.outcome, event.action) == ("SH510", "refused", "statement")
    assert "1=1" not in repr(event)
    with pytest.raises(QueryRefused):
        verify_statement(STATEMENT, "sqlite", ["1 OR 1=1"])


def test_sqlite_confirms_attacks_and_each_is_found():
    with contextlib.closing(Sqlite()) as server:
        count, lost = missed(server, 1200, seed=1)
    assert count == 1200
    assert not lost


def test_the_server_also_refuses_and_takes_what_is_no_attack():
    with contextlib.closing(Sqlite()) as server:
        results = confirmed(server, random.Random(2))
        assert any(next(results) is None for _ in range(100))


def test_the_programs_of_the_page_run():
    page = (Path(__file__).parents[2] / "docs/how-to/in-context.md").read_text("utf-8")
    programs = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert programs
    for program in programs:
        exec(compile(program, "in-context.md", "exec"), {})  # noqa: S102  the page's own
