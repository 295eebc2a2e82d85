"""The guard: what it adds to events, names, loads and the start of a process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import safehold
from bench._clocks import in_turn
from bench._rows import Row, difference, left_out, ratio, value
from safehold.guard.native import native
from safehold.guard.starting import environment
from safehold.keys import generate_key

_POLICY = """
version = 1
[keys]
source = "env:SAFEHOLD_SECRET_KEY"
id = "k1"
[[zone]]
name = "models"
paths = ["models/**"]
trust = "internal"
codecs = ["pickle"]
allow = ["sklearn"]
"""
# Prints nanoseconds of thread time for one call of each, least of some rounds.
_PROGRAM = """
import pickle, sys, time
def least(call, count=20_000):
    best = None
    for _ in range(9):
        start = time.thread_time_ns()
        for _ in range(count):
            call()
        spent = (time.thread_time_ns() - start) / count
        best = spent if best is None else min(best, spent)
    return best
class Own:
    pass
untrusted = bytes.fromhex("80045d94284b014b027d948c0161944700000000000000f8738c047465787494652e")
value = pickle.loads(untrusted)
own = pickle.dumps(Own())
empty = least(lambda: None)
def attributes(counted=Own()):
    for _ in range(100):
        counted.spent = value
def opened():
    with open(sys.argv[1], "rb"):
        pass
for call in (
    lambda: sys.audit("bench"),
    lambda: sys.audit("pickle.find_class", "datetime", "date"),
    lambda: pickle.loads(untrusted),
    lambda: pickle.loads(own),
    lambda: pickle.dumps(value),
    attributes,
    opened,
):
    print(least(call) - empty)
"""
# Prints nanoseconds for a load of a sealed forest, which both verify alike.
_FOREST = """
import sys, time
from safehold import Context
from safehold.artifacts import Store
store = Store(Context.load(sys.argv[1]))
if len(sys.argv) > 3:
    from sklearn.datasets import make_regression
    from sklearn.ensemble import RandomForestRegressor
    x, y = make_regression(2000, 20, random_state=0)
    store.dump(RandomForestRegressor(60, n_jobs=1, random_state=0).fit(x, y), sys.argv[2])
best = None
for _ in range(15):
    start = time.thread_time_ns()
    store.load(sys.argv[2])
    spent = time.thread_time_ns() - start
    best = spent if best is None else min(best, spent)
print(best)
"""
_LABELS = (
    "audit event", "event of a plain name", "small loads, untrusted", "loads of an own class",
    "small dumps", "attribute loop", "file open",
)  # fmt: skip
_START = 5e-3


class _Way(NamedTuple):
    """The guard with its extension in C, or without, and the goals of each: None is none."""

    label: str
    environ: dict[str, str]
    event: float
    calls: tuple[float, ...]  # from the third label on
    forest: float
    imports: float


_WAYS = (
    _Way("C", {}, 45e-9, (2.0, 1.5, 1.1, 1.02, 1.02), 1.03, 1.02),
    _Way("Python", {"SAFEHOLD_NO_NATIVE": "1"}, 150e-9, (3.0, 2.5, 1.5, 1.05, 1.05), 1.05, 1.05),
)


def rows() -> Iterator[Row]:
    """Yield the costs of one call, then those of whole processes."""
    ways = [way for way in _WAYS if way.environ or native is not None]
    if len(ways) < len(_WAYS):
        yield left_out("guard with its extension in C", "not built")
    with tempfile.TemporaryDirectory() as name:
        bare, guarded = _environments(Path(name))
        each = [(way, {**guarded, **way.environ}) for way in ways]
        yield from _calls(bare, each)
        yield from _forest(Path(name), bare, each)
        for way, environ in each:
            yield from _processes(bare, way, environ)


def _environments(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    (root / "safehold.toml").write_text(_POLICY)
    source = str(Path(safehold.__file__).parent.parent)
    bare = {**os.environ, "PYTHONPATH": source, "SAFEHOLD_SECRET_KEY": generate_key()}
    return bare, environment(bare, str(root / "safehold.toml"), "enforce", strict=False)


def _calls(bare: dict[str, str], each: list[tuple[_Way, dict[str, str]]]) -> Iterator[Row]:
    environs = [bare, *(environ for _, environ in each)]
    rounds = [[_figures(environ) for environ in environs] for _ in range(3)]
    plain, *guarded = (
        [min(column) for column in zip(*of_one, strict=True)]
        for of_one in zip(*rounds, strict=True)
    )
    for (way, _), ours in zip(each, guarded, strict=True):
        goals = (way.event, way.event, *way.calls)
        for label, one, other, goal in zip(_LABELS, plain, ours, goals, strict=True):
            title = f"{way.label}: {label}"
            if goal is way.event:
                yield value(f"{title}, added", other - one, goal=goal)
            else:
                yield Row(title, other, one, other / one, goal, "the same unguarded")


def _figures(env: dict[str, str]) -> list[float]:
    return [float(line) * 1e-9 for line in _output(env).splitlines()]


def _output(env: dict[str, str], program: str = _PROGRAM, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *(args or (__file__,))],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _forest(
    root: Path, bare: dict[str, str], each: list[tuple[_Way, dict[str, str]]]
) -> Iterator[Row]:
    label = "load of a sealed forest"
    if find_spec("sklearn") is None:
        yield left_out(label, "not installed")
        return
    (root / "models").mkdir()
    args = str(root / "safehold.toml"), str(root / "models" / "forest.pkl")
    _output(bare, _FOREST, *args, "make it")
    environs = [bare, *(environ for _, environ in each)]
    rounds = [[_output(environ, _FOREST, *args) for environ in environs] for _ in range(5)]
    other, *guarded = (min(map(int, column)) * 1e-9 for column in zip(*rounds, strict=True))
    for (way, _), ours in zip(each, guarded, strict=True):
        title = f"{way.label}: {label}"
        yield Row(title, ours, other, ours / other, way.forest, "the same unguarded")


def _processes(bare: dict[str, str], way: _Way, guarded: dict[str, str]) -> Iterator[Row]:
    for label, code in (("start", "pass"), ("import pickle", "import pickle")):
        pairs = in_turn(partial(_run, code, guarded), partial(_run, code, bare))
        title = f"{way.label}: {label}"
        yield difference(title, pairs, against="the same unguarded", goal=_START)
    for module in ("pandas", "sklearn"):
        title = f"{way.label}: import {module}"
        if find_spec(module) is None:
            yield left_out(title, "not installed", goal=way.imports)
            continue
        code = f"import {module}"
        pairs = in_turn(partial(_run, code, guarded), partial(_run, code, bare))
        yield ratio(title, pairs, against="the same unguarded", goal=way.imports)


def _run(code: str, env: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
