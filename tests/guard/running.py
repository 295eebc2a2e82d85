"""Runs one way in a process of its own, with or without the guard, and says what became of it.

Most are forked off a process that has started already, as the start of an interpreter and of its
libraries would be nine tenths of the work. What depends on how a process starts or ends, or on
what the guard has not loaded yet, gets a fresh one.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from safehold.context import Context
from safehold.guard.starting import environment
from safehold.observe.check import check_trail
from safehold.observe.tail import Tail
from tests.guard.ways import Way

POLICY = """
version = 1
mode = "enforce"
[keys]
source = "env:SAFEHOLD_SECRET_KEY"
id = "k1"
[[zone]]
name = "models"
paths = ["models/**", "*/guarded/models/**"]
trust = "internal"
codecs = ["pickle", "joblib", "json"]
allow = ["sklearn"]
[[zone]]
name = "cache"
paths = ["cache/**", "*/guarded/cache/**"]
trust = "internal"
codecs = ["pickle", "joblib"]
allow = ["*"]
[code]
trusted = ["trusted/**", "*/guarded/trusted/**"]
[trail]
path = "trail"
"""
# What a refusal of bytes is recorded as, or of a value that could not be loaded again (SH102).
# SH175 is none of them: it is about writing plainly, and would hide an attack that never came to
# its load.
RULES = frozenset({"SH102", "SH110", "SH117", "SH171", "SH172", "SH173", "SH174", "SH176"})
FRESH = frozenset({"context", "callbacks", "extremes", "children", "channels", "services"})
ENDS = frozenset({"context", "extremes"})
_PATIENCE = 240  # seconds, for a machine with much else to do; nothing is measured by it
_WARM = Path(__file__).with_name("warm.py")


@dataclass(frozen=True)
class Outcome:
    """What a way did: whether its marker is there, what the trail tells, how it ended."""

    ran: bool
    refusals: list[dict[str, Any]]
    damage: list[str]
    ending: str

    @property
    def stopped(self) -> bool:
        """Whether the payload did not run, and a violation tells why."""
        return not self.ran and bool(self.refusals) and not self.damage


@cache
def key() -> str:
    """Return a key for this run of the tests."""
    return secrets.token_urlsafe(32)


def prepared(way: Way, home: Path) -> Path:
    """Lay out the directory of a run."""
    for directory in ("mark", "models", "cache", "trusted"):
        (home / directory).mkdir(parents=True)
    (home / "way.py").write_text(way.script)
    return home


def _environ(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "MARK": str(home / "mark" / "it"),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "SAFEHOLD_SECRET_KEY": key(),
        "SAFEHOLD_NO_NATIVE": os.environ.get("SAFEHOLD_NO_NATIVE", ""),
    }


def _policy(home: Path) -> Path:
    (home / "trail").mkdir()
    policy = home / "safehold.toml"
    policy.write_text(POLICY)
    return policy


def _outcome(
    home: Path, code: object, refusals: list[dict[str, Any]], damage: list[str]
) -> Outcome:
    text = (home / "output").read_bytes()[-3000:].decode("utf-8", "replace")
    return Outcome(bool(os.listdir(home / "mark")), refusals, damage, f"{code}: {text}")


def run_fresh(way: Way, home: Path, *, cli: bool = False) -> Outcome:
    """Run a way under the guard in a process of its own; `cli`: by ``safehold run``."""
    policy = _policy(prepared(way, home))
    environ = _environ(home)
    command = [sys.executable, "way.py"]
    if way.start == "install":
        environ["WAYS_POLICY"] = str(policy)
    elif cli:
        safehold = [sys.executable, "-m", "safehold", "run", "--policy", str(policy)]
        command = [*safehold, "--", *command]
    else:
        environ = environment(environ, str(policy), "enforce", strict=False)
    with open(home / "output", "wb") as output:
        # Its children may outlive it, so that a pipe would not end with it.
        process = subprocess.Popen(
            command,
            cwd=home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code: object = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            code = "no end"
    tail = Tail(home / "trail")
    return _outcome(home, code, _refusals(tail), _damage(policy))


class Warm:
    """A process that runs ways in forks of itself."""

    def __init__(self, base: Path, *, guarded: bool) -> None:
        self.policy = _policy(base)
        self._tail = Tail(base / "trail")
        (base / "ended").mkdir()
        self.guarded = guarded
        ours, theirs = socket.socketpair()
        environ = _environ(base)
        # Both are to have loaded by the first way what all ways need.
        before = [] if guarded else ["safehold.guard", "safehold.artifacts"]
        if guarded:
            environ = environment(environ, str(self.policy), "enforce", strict=False)
        command = [sys.executable, str(_WARM), str(theirs.fileno()), str(_PATIENCE), *before]
        with theirs:
            self._process = subprocess.Popen(command, cwd=base, env=environ,
                                             pass_fds=[theirs.fileno()])  # fmt: skip
        self._lines = ours.makefile("rw")
        ours.close()

    def run(self, way: Way, home: Path, *, guarding: bool = False) -> Outcome:
        """Run a way; `guarding`: it is to turn the guard on itself."""
        prepared(way, home)
        environ = _environ(home)
        del environ["PYTHONPATH"], environ["SAFEHOLD_SECRET_KEY"]
        policy, tail = self.policy, self._tail
        if guarding:
            policy = _policy(home)
            tail = Tail(home / "trail")
            environ["WAYS_POLICY"] = str(policy)
        # What the program takes before the guard is on, it imports itself.
        needs = way.needs if way.start == "run" else ()
        asked = {"home": str(home), "needs": needs, "environ": environ,
                 "to_its_end": way.family in ENDS, "collects": "gc." in way.text}  # fmt: skip
        self._ask(json.dumps(asked))
        tail.new()
        code = json.loads(self._ask("go"))
        guarded = self.guarded or guarding
        refusals = _refusals(tail) if guarded else []
        outcome = _outcome(home, code, refusals, _damage(policy) if guarding else [])
        if self.guarded:
            # So that the next look at the trail does not read through all of those before.
            for writer in list((policy.parent / "trail").glob("[!.]*")):
                if f"-{self._process.pid}-" not in writer.name:
                    writer.rename(policy.parent / "ended" / writer.name)
        return outcome

    def _ask(self, line: str) -> str:
        self._lines.write(f"{line}\n")
        self._lines.flush()
        return self._lines.readline()

    def close(self) -> list[str]:
        """End it; return what is wrong with its trail."""
        self._lines.close()
        self._process.wait(_PATIENCE)
        return _damage(self.policy) + _damage(self.policy, "ended") if self.guarded else []


class Runner:
    """Runs ways without and with the guard."""

    def __init__(self, base: Path) -> None:
        self._base = base
        for name in ("bare", "guarded"):
            (base / name).mkdir()
        self._bare = Warm(base / "bare", guarded=False)
        self._guarded = Warm(base / "guarded", guarded=True)

    def run_bare(self, way: Way) -> Outcome:
        """Run a way without the guard."""
        return self._bare.run(way, self._base / "bare" / str(way) / "bare")

    def run_guarded(self, way: Way) -> Outcome:
        """Run a way with the guard."""
        if way.start == "install":
            return self._bare.run(way, self._base / "bare" / str(way) / "guarded", guarding=True)
        if way.family in FRESH:
            return run_fresh(way, self._base / "fresh" / str(way))
        return self._guarded.run(way, self._base / "guarded" / str(way) / "guarded")

    def close(self) -> list[str]:
        """End the processes; return what is wrong with the trail."""
        return self._bare.close() + self._guarded.close()


@contextlib.contextmanager
def runner(base: Path) -> Iterator[Runner]:
    """Have a runner, and check its trail at the end."""
    made = Runner(base)
    try:
        yield made
    finally:
        damage = made.close()
    assert not damage, damage


def _refusals(tail: Tail) -> list[dict[str, Any]]:
    events = [row["e"] for row in tail.new()]
    return [
        event for event in events if event["outcome"] == "refused" and event.get("rule") in RULES
    ]


def _damage(policy: Path, directory: str = "trail") -> list[str]:
    with Context.load(policy, environ={"SAFEHOLD_SECRET_KEY": key()}) as hold:
        found = check_trail(policy.parent / directory, hold.keyring)
        return [str(one.problem) for one in found if one.problem]
