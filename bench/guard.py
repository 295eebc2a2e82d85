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

import safehold
from bench._clocks import in_turn
from bench._rows import Row, difference, left_out, ratio, value
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
def least(call, count=50_000):
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
_EVENT = 150e-9
_LOADS, _OWN, _DUMPS, _IMPORT = 3.0, 2.5, 1.5, 1.05
_START = 5e-3


def rows() -> Iterator[Row]:
    """Yield the costs of one call, then those of whole processes."""
    with tempfile.TemporaryDirectory() as name:
        bare, guarded = _environments(Path(name))
        yield from _calls(bare, guarded)
        yield from _forest(Path(name), bare, guarded)
        yield from _processes(bare, guarded)


def _environments(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    (root / "safehold.toml").write_text(_POLICY)
    source = str(Path(safehold.__file__).parent.parent)
    bare = {**os.environ, "PYTHONPATH": source, "SAFEHOLD_SECRET_KEY": generate_key()}
    return bare, environment(bare, str(root / "safehold.toml"), "enforce", strict=False)


def _calls(bare: dict[str, str], guarded: dict[str, str]) -> Iterator[Row]:
    plain, ours = (
        [float(line) * 1e-9 for line in _output(env).splitlines()] for env in (bare, guarded)
    )
    goals = (_EVENT, _EVENT, _LOADS, _OWN, _DUMPS, _IMPORT, _IMPORT)
    for label, one, other, goal in zip(_LABELS, plain, ours, goals, strict=True):
        if goal is _EVENT:
            yield value(f"{label}, added", other - one, goal=goal)
        else:
            yield Row(label, other, one, other / one, goal, "the same unguarded")


def _output(env: dict[str, str], program: str = _PROGRAM, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *(args or (__file__,))],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _forest(root: Path, bare: dict[str, str], guarded: dict[str, str]) -> Iterator[Row]:
    label = "load of a sealed forest"
    if find_spec("sklearn") is None:
        yield left_out(label, "not installed", goal=_IMPORT)
        return
    (root / "models").mkdir()
    args = str(root / "safehold.toml"), str(root / "models" / "forest.pkl")
    _output(bare, _FOREST, *args, "make it")
    pairs = [(_output(guarded, _FOREST, *args), _output(bare, _FOREST, *args)) for _ in range(5)]
    ours, other = (min(map(int, column)) * 1e-9 for column in zip(*pairs, strict=True))
    yield Row(label, ours, other, ours / other, _IMPORT, "the same unguarded")


def _processes(bare: dict[str, str], guarded: dict[str, str]) -> Iterator[Row]:
    for label, code in (("start", "pass"), ("import pickle", "import pickle")):
        pairs = in_turn(partial(_run, code, guarded), partial(_run, code, bare))
        yield difference(label, pairs, against="the same unguarded", goal=_START)
    for module in ("pandas", "sklearn"):
        if find_spec(module) is None:
            yield left_out(f"import {module}", "not installed", goal=_IMPORT)
            continue
        code = f"import {module}"
        pairs = in_turn(partial(_run, code, guarded), partial(_run, code, bare))
        yield ratio(code, pairs, against="the same unguarded", goal=_IMPORT)


def _run(code: str, env: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
