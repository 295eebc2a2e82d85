"""Runs one reading in a child of this process: what ends the child is a result, not the end.

A mapped file that is cut while it is read kills its reader (SIGBUS), and so may the system for
want of memory. The child is a fork, which sees the mapping and costs a few milliseconds; it is
not a sandbox.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import resource
import signal
import threading
import warnings
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class Died(Exception):
    """The child ended before it had a result; carries the reason for people."""


def is_possible() -> bool:
    """Whether this process can be forked without regard to other threads' locks."""
    return threading.active_count() == 1


def isolated(work: Callable[[], _T]) -> _T:
    """Return what ``work`` returns, computed in a child. Raises Died."""
    reading, writing = os.pipe()
    # An interrupt within fork's own callbacks would be lost.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with warnings.catch_warnings():
            # Threads of libraries that Python does not know of hold no lock that is used here.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(reading)
        os.close(writing)
        raise
    if child == 0:
        os.close(reading)
        _run(work, writing, mask)
    os.close(writing)
    try:
        with open(reading, "rb") as pipe:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            result = pipe.read()
        _, status = os.waitpid(child, 0)
    except BaseException:
        # Ctrl-C, say: nobody waits for the result any more.
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
        raise
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise Died(_reason(code))
    outcome: _T = pickle.loads(result)  # written by this program, a moment ago
    return outcome


def _run(work: Callable[[], _T], writing: int, mask: set[signal.Signals | int]) -> None:
    """Write the result and leave, without exit handlers and buffers of the parent."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        faulthandler.disable()  # the parent tells what happened
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        result = pickle.dumps(work(), pickle.HIGHEST_PROTOCOL)
        with open(writing, "wb") as pipe:
            pipe.write(result)
        code = 0
    finally:
        os._exit(code)


def _reason(code: int) -> str:
    if code == -signal.SIGBUS:
        return "it was cut while it was read"
    if code < 0:
        return f"the process that read it was ended by {signal.Signals(-code).name}"
    return "the process that read it failed"
