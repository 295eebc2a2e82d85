"""Waits for files, and forks a process for each; reads nothing of them itself.

A message is a number of milliseconds, with three descriptors: the job, the file, and the pipe
that takes what is found. What is written to it after the process has ended comes from here.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import time
from array import array
from dataclasses import dataclass
from typing import Any, Final

from . import confine, reading, stubs

_IDLE: Final = 60.0
_JOB_BYTES: Final = 2**24
_DESCRIPTORS: Final = 3


@dataclass
class _Running:
    pipe: int
    deadline: float
    late: bool = False


class Server:
    """Forks, waits, and kills what takes too long."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._running: dict[int, _Running] = {}
        # Last lines for pipes that were full.
        self._unsaid: dict[int, bytes] = {}
        self._libc = confine.system()
        self._missing = confine.drop_privileges(self._libc)
        self._woken, wakes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes)

    def serve(self) -> None:
        """Answer until nobody is there to ask, or nobody has asked for a while."""
        while True:
            doors: list[Any] = [self._door, self._woken]
            ready, free, _ = select.select(doors, list(self._unsaid), [], self._patience())
            for pipe in free:
                self._say(pipe, self._unsaid.pop(pipe))
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 512)
            self._collect()
            if self._door in ready and not self._accept():
                return
            if not ready and not self._running and not free:
                return

    def _patience(self) -> float:
        deadlines = [one.deadline for one in self._running.values()]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else _IDLE

    def _collect(self) -> None:
        now = time.monotonic()
        for pid, one in list(self._running.items()):
            if now >= one.deadline and not one.late:
                one.late = True
                one.deadline = now + _IDLE
                os.kill(pid, signal.SIGKILL)
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                del self._running[pid]
                code = os.waitstatus_to_exitcode(status)
                self._say(one.pipe, _line("left", "late" if one.late else code))

    def _accept(self) -> bool:
        space = socket.CMSG_SPACE(_DESCRIPTORS * 4)
        message, extra, _, _ = self._door.recvmsg(64, space, socket.MSG_CMSG_CLOEXEC)
        if not message:
            return False
        given = array("i")
        for _, _, data in extra:
            given.frombytes(data[: len(data) - len(data) % 4])
        if len(given) == _DESCRIPTORS:
            self._start(int(message) / 1000, *given)
        return True

    def _start(self, seconds: float, job: int, file: int, pipe: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._say(pipe, _line("refused", f"no process: {error.strerror}"))
        else:
            if pid == 0:
                _child(self._libc, self._missing, job, file, pipe)
            self._running[pid] = _Running(pipe, time.monotonic() + seconds)
        os.close(job)
        os.close(file)

    def _say(self, pipe: int, line: bytes) -> None:
        """Write the last line; later, if the pipe is full: nothing else must wait for it."""
        try:
            os.set_blocking(pipe, False)
            os.write(pipe, line)
        except BlockingIOError:
            self._unsaid[pipe] = line
        except OSError:
            # Nobody is there to read it.
            os.close(pipe)
        else:
            os.close(pipe)


def _line(*words: Any) -> bytes:
    # What was being written when the process ended may lack its newline.
    return b"\n" + json.dumps(words).encode() + b"\n"


def _child(libc: Any, missing: list[str], job: int, file: int, pipe: int) -> None:
    """Be the process that reads the file; never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        confine.die_with_parent(libc)
        given = json.loads(os.pread(job, _JOB_BYTES, 0))
        # Low numbers, and nothing else is open.
        os.dup2(file, 0)
        os.dup2(pipe, 1)
        os.closerange(2, max(job, file, pipe, 2**10) + 1)
        code = _read(libc, missing, given)
    finally:
        os._exit(code)


def _read(libc: Any, missing: list[str], job: dict[str, Any]) -> int:
    record = reading.Record(1)
    try:
        confine.limit(job["memory"], job["cpu"])
    except confine.Unconfined as error:
        record.say("refused", str(error))
        return 1
    stubs.forbid_imports()
    record.say("confined", missing + confine.seal(libc, 1))
    reading.read(job, 0, record)
    return 0


def main() -> None:
    """Serve on standard input."""
    # Whoever stops the scan stops this process by closing its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Readers end after one file, and what they share with this process should stay shared.
    gc.disable()
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as door:
        Server(door).serve()
