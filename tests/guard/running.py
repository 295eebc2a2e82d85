"""Runs one way in a process of its own, with or without the guard, and says what became of it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
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
paths = ["models/**"]
trust = "internal"
codecs = ["pickle", "joblib", "json"]
allow = ["sklearn"]
[[zone]]
name = "cache"
paths = ["cache/**"]
trust = "internal"
codecs = ["pickle", "joblib"]
allow = ["*"]
[code]
trusted = ["trusted/**"]
[trail]
path = "trail"
"""
# What a refusal of bytes is recorded as. SH175 is none of them: it is about writing, and would
# hide an attack that never came to its load.
RULES = frozenset({"SH117", "SH171", "SH172", "SH173", "SH174", "SH176"})
_PATIENCE = 240  # seconds, for a machine with much else to do; nothing is measured by it


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


def run(way: Way, home: Path, *, guarded: bool, cli: bool = False) -> Outcome:
    """Run a way in an empty directory; `cli`: by the command ``safehold run``."""
    marks = home / "mark"
    for directory in ("mark", "models", "cache", "trusted", "trail"):
        (home / directory).mkdir()
    policy = home / "safehold.toml"
    policy.write_text(POLICY)
    (home / "way.py").write_text(way.script)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "MARK": str(marks / "it"),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, *(way.run.split(",") if way.run else ["way.py"])]
    if guarded:
        environ["SAFEHOLD_SECRET_KEY"] = key()
        if way.start == "install":
            environ["WAYS_POLICY"] = str(policy)
        elif cli:
            command = [sys.executable, "-m", "safehold", "run", "--policy", str(policy), "--",
                       *command]  # fmt: skip
        else:
            environ = environment(environ, str(policy), "enforce")
    with open(home / "output", "w+b") as output:
        # Its children may outlive it, so that a pipe would not end with it.
        process = subprocess.Popen(command, cwd=home, env=environ, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=output, start_new_session=True)  # fmt: skip
        try:
            code: object = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            code = "no end"
        output.seek(0)
        ending = f"{code}: {output.read()[-3000:].decode('utf-8', 'replace')}"
    refusals, damage = _trail(home, policy) if guarded else ([], [])
    return Outcome(bool(os.listdir(marks)), refusals, damage, ending)


def _trail(home: Path, policy: Path) -> tuple[list[dict[str, Any]], list[str]]:
    directory = home / "trail"
    with Context.load(policy, environ={"SAFEHOLD_SECRET_KEY": key()}) as hold:
        damage = [str(one.problem) for one in check_trail(directory, hold.keyring) if one.problem]
    events = [row["e"] for row in Tail(directory).last(1000)]
    refusals = [
        event for event in events if event["outcome"] == "refused" and event.get("rule") in RULES
    ]
    return refusals, damage
