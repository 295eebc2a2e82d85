"""The service under attack: started in a copy of its tree, stopped with all its children."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from safehold.prove.asking import Asker, free_port
from safehold.prove.confining import limit_child
from safehold.prove.hints import Hints

_DROPPED: Final = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})
_GRACE: Final = 5.0
_PROCESSOR_SECONDS: Final = 600


class Started:
    """A service that is started from a copy, as often as its files change."""

    def __init__(
        self, copy: Path, command: str, hints: Hints, environment: Mapping[str, str]
    ) -> None:
        self.root = copy
        self._command = command
        self._hints = hints
        self._environment = dict(environment)
        self._log = copy.parent / "service.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def asker(self) -> Asker:
        """Who asks the service that runs now."""
        return Asker(f"http://127.0.0.1:{self._port}", self._hints.headers)

    def start(self) -> str:
        """Start it anew; return why it does not run, or nothing."""
        self.stop()
        self._port = free_port()
        environment = self._environment | {"PORT": str(self._port)}
        try:
            self._process = self._spawn(
                self._command.replace("{port}", str(self._port)), environment
            )
        except (OSError, ValueError) as error:
            return f"the command cannot be started: {error}"
        ends = time.monotonic() + self._hints.seconds
        while time.monotonic() < ends:
            if self._process.poll() is not None:
                return f"it ended with {self._process.returncode}: {self.last_line()}"
            if not self.asker.get(self._hints.ready).problem:
                for path in self._hints.warm:
                    self.asker.get(path)
                return ""
            time.sleep(0.05)
        return f"it did not answer within {self._hints.seconds:.0f} seconds: {self.last_line()}"

    def ensure(self) -> str:
        """Start it if it does not run."""
        running = self._process is not None and self._process.poll() is None
        return "" if running else self.start()

    def stop(self) -> None:
        """End it and its group."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        self._process = None

    def run(self, command: str, seconds: float) -> str:
        """Run another program of the service; return why it failed, or nothing."""
        process = self._spawn(command, self._environment)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"it took more than {seconds:.0f} seconds"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return f"it ended with {code}: {self.last_line()}" if code else ""

    def last_line(self) -> str:
        """Return the last line that the service wrote."""
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        said = [line.strip() for line in lines if line.strip()]
        errors = [line for line in said if "Error: " in line or line.startswith("safehold.")]
        return (errors or said or ["it wrote nothing"])[-1][:300]

    def _spawn(self, command: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        words = shlex.split(command)
        if words and words[0] in ("python", "python3"):
            words[0] = sys.executable
        with open(self._log, "wb") as log:
            return subprocess.Popen(
                words,
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # No other thread runs here; the limits have to hold before its first line.
                preexec_fn=functools.partial(limit_child, _PROCESSOR_SECONDS),  # noqa: PLW1509
            )


def environment_for(
    root: Path, copy: Path, hints: Hints, given: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of the service: nothing in them leads to the original tree."""
    old, new = str(root), str(copy)
    bound = f"{Path(sys.executable).parent}{os.pathsep}"
    environment = {
        name: _moved(value, old, new)
        for name, value in {**given, **hints.environment}.items()
        if name.lower() not in _DROPPED
    }
    return environment | {
        "PATH": bound + environment.get("PATH", os.defpath),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _moved(value: str, old: str, new: str) -> str:
    """Replace the path of the tree where it ends, not where another name begins with it."""
    pieces = value.split(old)
    return "".join(_joined(pieces, old, new))


def _joined(pieces: list[str], old: str, new: str) -> Iterator[str]:
    yield pieces[0]
    for piece in pieces[1:]:
        yield (new if not piece or piece[0] in "/:;,?&\"' " else old) + piece
