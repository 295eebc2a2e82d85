"""The benchmark's table: goals beside results, and nothing dropped in silence."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bench.__main__
from bench._clocks import Pairs, Times, in_turn
from bench._rows import Row, difference, left_out, line, ratio, value

TOPICS = sorted(
    path
    for path in Path(bench.__main__.__file__).parent.glob("*.py")
    if not path.name.startswith("_")
)
PAIRS = Pairs(((Times(2.0, 9.0), Times(1.0, 3.0)), (Times(4.0, 9.0), Times(2.0, 3.0))))


@pytest.mark.parametrize("path", TOPICS, ids=lambda path: path.stem)
def test_topic_says_what_it_measures_and_yields_rows(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree)
    assert "rows" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_goal_is_printed_beside_the_result_and_a_miss_is_named():
    met, missed = (ratio("x", PAIRS, against="peer", goal=goal) for goal in (2.0, 1.9))
    assert line(met).split() == ["x,", "cpu", "3.00", "s", "1.50", "s", "2.00x", "<=", "2.00x",
                                 "peer"]  # fmt: skip
    assert line(missed).endswith("<= 1.90x  MISSED peer")
    assert (met.met, missed.met, ratio("x", PAIRS, against="peer").met) == (True, False, None)


def test_each_clock_has_its_own_figures():
    assert ratio("x", PAIRS, "wall", against="peer").result == 3
    assert difference("x", PAIRS, "cpu", against="peer").result == 1.5


def test_what_is_left_out_says_why():
    row = left_out("array", "needs memory", goal=1.0)
    assert (row.met, row.result) == (None, None)
    assert line(row).endswith("left out: needs memory")


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (value("x", 12.34e-6), "12.3 us"),
        (value("x", 12.34e-3), "12.34 ms"),
        (value("x", 12.34), "12.34 s"),
        (value("x", 3 * 2**20, unit="B"), "3.0 MiB"),
        (value("x", 1234, unit=""), "1,234"),
    ],
)
def test_numbers_have_units(row: Row, shown):
    assert line(row).split("  ")[-1].strip() == shown


def test_rounds_are_in_turn_after_a_warm_up():
    calls: list[str] = []
    pairs = in_turn(lambda: calls.append("a"), lambda: calls.append("b"), rounds=3, repeat=2)
    assert "".join(calls) == "aabb" * 4
    assert len(pairs.rounds) == 3


def test_unknown_topic_is_an_error_that_names_those_there_are(capsys):
    assert bench.__main__.main(["nothing"]) == 2
    assert "artifacts" in capsys.readouterr().err
