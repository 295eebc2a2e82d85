"""No path from what bytes may name leads to a danger; `reachable` says how that is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.extras, pytest.mark.forking]

QUESTIONS = ("minted", "everything", "getattr")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the program prints, which asks all questions in a process of its own."""
    for library in ("sklearn", "pandas"):
        pytest.importorskip(library)
    root = str(Path(__file__).parents[2])
    run = "runpy.run_module('tests.guard.reachable', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", f"import sys, runpy; sys.path.insert(0, {root!r}); {run}"]
    done = subprocess.run(command, cwd=tmp_path_factory.mktemp("reach"), check=False,
                          capture_output=True, text=True, timeout=900)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_danger_is_let_through_under_whatever_name(
    answers: dict[str, Any], question: str
) -> None:
    assert answers["bland"][question] == []


def test_nothing_below_plain_names_is_let_through(answers: dict[str, Any]) -> None:
    assert answers["plain"]["hits"] == []


def test_presets_resolve_to_what_they_list_and_to_no_danger(answers: dict[str, Any]) -> None:
    assert answers["presets"] == []


def test_calls_of_what_may_be_named_lead_no_further(answers: dict[str, Any]) -> None:
    def honest(kind: str) -> list[str]:
        return [one for one in answers["calls"][kind] if not one.startswith("planted: ")]

    assert honest("results") == []
    assert honest("acted") == []
    assert len(honest("crashed")) < 5, answers["calls"]["crashed"]


def test_all_is_asked_about(answers: dict[str, Any]) -> None:
    assert answers["walked"] > 20_000
    assert answers["named"] > 150
    assert answers["bland"]["asked"] > 5_000
    assert answers["plain"]["asked"] > 5_000
    assert answers["resolved"] > 1_000


def test_planted_dangers_are_seen(answers: dict[str, Any]) -> None:
    for question in QUESTIONS:
        assert answers["planted"][question] == []
        # Without the look behind names, which is what refuses them.
        assert len(answers["blind"][question]) >= 8
    assert sorted(answers["open"]) == [
        "collections:OrderedDict.fromkeys is let through",
        "subprocess:Popen is subprocess",
    ]
    calls = answers["calls"]
    assert sorted(one for one in calls["results"] if one.startswith("planted: ")) == [
        "planted: imports by name builtin_function_or_method",
        "planted: returns a module module",
    ]
    assert any(one == "planted: makes a directory os.mkdir" for one in calls["acted"])
