"""What the attacks share: the service in a fresh interpreter, and its files put back afterwards."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from payload import planted

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
DATA = ROOT / "data"

LOAD_CACHE = "from trader.cache import load_cache; answer = sorted(load_cache())"
START = "from trader.predict import Predictor; predictor = Predictor.from_disk()"
LOAD_MODELS = f"{START}; answer = predictor.versions()"

_PROGRAM = """
import json
try:
    {code}
    line = {{"answer": answer}}
except Exception as error:
    name = (type(error).__module__ + "." + type(error).__qualname__).removeprefix("builtins.")
    line = {{"error": name, "reason": " ".join(str(error).split())}}
print(json.dumps(line))
"""


def get(path: str, *queries: dict[str, str]) -> str:
    """Return code that asks the service over HTTP, as anybody can, and answers with a list."""
    lines = (
        "from fastapi.testclient import TestClient",
        "from trader.app import create_app",
        "with TestClient(create_app()) as client:",
        f"    asked = [client.get({path!r}, params=query) for query in {queries!r}]",
        "answer = [given.raise_for_status().json() for given in asked]",
    )
    return "\n    ".join(lines)


class Refused(Exception):
    """The service raised: the type of the error and its text."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True)
class Attack:
    """One running attack, and the two ways it can end."""

    marker: Path

    def succeeded(self, how: str) -> NoReturn:
        """Say how and exit with 0."""
        print(f"SUCCEEDED: {how}")
        raise SystemExit(0)

    def failed(self, kind: str, reason: str) -> NoReturn:
        """Say which error stopped it and exit with 1."""
        print(f"FAILED: {kind}: {reason}")
        raise SystemExit(1)

    def plant(self, victim: Path, load: str) -> Refused | None:
        """Plant the payload and let the service load it; return the error, or None if it ran."""
        refused = Refused("NoEffect", "the service read the file and the command did not run")
        self.marker.unlink(missing_ok=True)
        with put_back(victim) as [content]:
            victim.write_bytes(planted(content, self.marker))
            try:
                ask(load)
            except Refused as error:
                refused = error
        return None if self.marker.exists() else refused


def ask(code: str) -> Any:
    """Run code of the service in a fresh interpreter and return its ``answer``; raises Refused."""
    command = [sys.executable, "-c", _PROGRAM.format(code=code)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        last = (done.stderr.splitlines() or [""])[-1]
        raise Refused("ProcessDied", f"exit status {done.returncode}, {last}")
    line = json.loads(lines[-1])
    if "error" in line:
        raise Refused(line["error"], line["reason"])
    return line["answer"]


@contextmanager
def put_back(*victims: Path) -> Iterator[list[bytes]]:
    """Yield the bytes of the victims and write them back at the end, whatever happens."""
    saved = [victim.read_bytes() for victim in victims]
    try:
        yield saved
    finally:
        for victim, content in zip(victims, saved, strict=True):
            victim.write_bytes(content)


def run(attack: Callable[[Attack], None], *, before: str = "answer = None") -> NoReturn:
    """Check that the service works before the attack, then run it; exits with 2 if it does not."""
    parser = argparse.ArgumentParser(description=attack.__doc__)
    parser.add_argument("--marker", type=Path, help="the file that a planted payload touches")
    marker = parser.parse_args().marker
    try:
        ask(before)
    except Refused as refused:
        print(f"ERROR: the service does not start: {refused.kind}: {refused.reason}")
        raise SystemExit(2) from None
    with tempfile.TemporaryDirectory(prefix="trader-attack-") as directory:
        running = Attack((marker or Path(directory) / "marker").resolve())
        try:
            attack(running)
        except Refused as refused:
            running.failed(refused.kind, refused.reason)
    raise SystemExit("an attack ends in succeeded() or failed()")
