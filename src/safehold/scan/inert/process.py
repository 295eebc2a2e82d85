"""The process that forks one reader per file: started when first needed, kept for the next file.

Its interpreter runs isolated (``-I -S -B``): no environment, no site-packages, no .pth file, no
module from the working directory. It leaves by itself after a minute without work, or with the
process that started it.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from safehold.scan.inert.handing import handed
from safehold.scan.inert.limits import Allowance
from safehold.scan.values import Data

_DIRECTORY: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child")
# A package without a place on sys.path, so that nothing else is found beside it.
_BOOT: Final = """
import sys, types
package = types.ModuleType("inert"); package.__path__ = [sys.argv[1]]
sys.modules["inert"] = package
from inert import server
server.main()
"""
# What a reader may say about one file.
_MOST_SAID: Final = 2**25
_GRACE: Final = 10.0


class Unavailable(Exception):
    """The reader could not be run; says why."""


class Process:
    """One server; safe to use from several threads."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            Unavailable: the interpreter cannot be started.
        """
        if not sys.executable:
            raise Unavailable("where the interpreter is, is not known")
        try:
            self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise Unavailable(f"no socket: {error.strerror}") from error
        with theirs:
            command = [sys.executable, "-I", "-S", "-B", "-c", _BOOT, _DIRECTORY]
            kept = {"LD_LIBRARY_PATH"} & os.environ.keys()
            try:
                self._process = subprocess.Popen(  # noqa: S603  one fixed command
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env={name: os.environ[name] for name in kept},
                    start_new_session=True,
                )
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                self._door.close()
                raise Unavailable(f"the interpreter cannot be started: {error}") from error

    def close(self) -> None:
        """End it; it notices that nobody is there."""
        self._door.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def leave(self) -> None:
        """Forget it in a process that was forked from the one that started it."""
        self._door.close()
        # Else its end would be awaited here.
        self._process.returncode = 0

    def send(self, seconds: float, descriptors: tuple[int, int, int]) -> None:
        """Ask for one file to be read.

        Raises:
            OSError: nobody is there.
        """
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
        self._door.sendmsg([b"%d" % int(seconds * 1000)], ancillary)


class Processes:
    """The server of this process: started once, again after it left, and after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: Process | None = None

    def ask(self, data: Data, job: Mapping[str, Any], allowance: Allowance) -> list[list[Any]]:
        """Let a file be read as the job says, and return what the reader said.

        Raises:
            Unavailable: it could not be read.
        """
        for _ in range(2):
            process = self._get()
            try:
                said = _ask(process, data, job, allowance)
            except OSError as error:
                self._drop(process)
                if not isinstance(error, BrokenPipeError | ConnectionError):
                    raise Unavailable(f"cannot be asked: {error.strerror}") from error
                continue
            if said:
                return said
            # It left between two questions, or was ended from outside.
            self._drop(process)
        raise Unavailable("it ends without an answer")

    def forked(self) -> None:
        """Begin anew in a forked process, where a thread that held the lock is no more."""
        self._lock = threading.Lock()
        if self._current is not None:
            self._current.leave()
        self._current = None

    def close(self) -> None:
        """End the server, if there is one."""
        with self._lock:
            if self._current is not None:
                self._current.close()
            self._current = None

    def _get(self) -> Process:
        with self._lock:
            if self._current is None:
                self._current = Process()
            return self._current

    def _drop(self, process: Process) -> None:
        with self._lock:
            if self._current is process:
                process.close()
                self._current = None


def _ask(
    process: Process, data: Data, job: Mapping[str, Any], allowance: Allowance
) -> list[list[Any]]:
    reads, writes = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            with handed(data) as file:
                asked = {
                    **job,
                    "offset": file.offset,
                    "size": file.size,
                    "memory": allowance.memory,
                    "cpu": allowance.cpu,
                }
                with handed(json.dumps(asked).encode()) as words:
                    given = (words.descriptor, file.descriptor, writes)
                    process.send(allowance.wall, given)
        finally:
            os.close(writes)
        return _listen(reads, time.monotonic() + allowance.wall + _GRACE)
    finally:
        os.close(reads)


def _listen(pipe: int, deadline: float) -> list[list[Any]]:
    """Return the lines said until the pipe is closed; none after the deadline or too many."""
    said = bytearray()
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while len(said) < _MOST_SAID:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            break
        chunk = os.read(pipe, 2**16)
        if not chunk:
            break
        said += chunk
    lines: list[list[Any]] = []
    for line in said.splitlines():
        # What was cut off when a process was ended is no line; nor is it evidence.
        with suppress(ValueError, RecursionError):
            words = json.loads(line)
            if isinstance(words, list) and words:
                lines.append(words)
    return lines


# One for this process: starting it costs more than reading most files.
PROCESSES: Final = Processes()
atexit.register(PROCESSES.close)
os.register_at_fork(after_in_child=PROCESSES.forked)
