"""Runs one reading in a child of this process: what ends the child is a result, not the end.

A mapped file that is cut while it is read kills its reader (SIGBUS), and so may the system for
want of memory. The child is a fork, which sees the mapping and costs a few milliseconds; it is
not a sandbox. It has limits of its own for time and memory, for what no loop of the scanner sees:
a call that does not return.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import math
import os
import pickle
import resource
import signal
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from safehold.scan.budget import OutOfTime

_T = TypeVar("_T")


# How the child leaves when a limit ended the work itself.
_OVER: Final = 3
# Seconds after which a child is interrupted that should have noticed before, and ended.
_GRACE, _LAST_GRACE = 0.25, 1


class Died(Exception):
    """The child ended before it had a result; carries the reason for people.

    ``limit``: because it took more time or memory than it may.
    """

    def __init__(self, reason: str, *, limit: bool = False) -> None:
        super().__init__(reason)
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds of processor time and bytes of memory of a child beyond those of its parent."""

    seconds: float
    memory: int
    reason: str


def is_possible() -> bool:
    """Whether this process can be forked without regard to other threads' locks."""
    return threading.active_count() == 1


def isolated(work: Callable[[], _T], bounds: Bounds | None = None) -> _T:
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
        _run(work, writing, mask, bounds)
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
        raise _death(code, bounds)
    outcome: _T = pickle.loads(result)  # written by this program, a moment ago
    return outcome


def _run(
    work: Callable[[], _T],
    writing: int,
    mask: set[signal.Signals | int],
    bounds: Bounds | None,
) -> None:
    """Write the result and leave, without exit handlers and buffers of the parent."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        faulthandler.disable()  # the parent tells what happened
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        gc.freeze()  # what the parent has is no garbage of the child's
        if bounds is not None:
            _confine(bounds)
        result = pickle.dumps(work(), pickle.HIGHEST_PROTOCOL)
        with open(writing, "wb") as pipe:
            pipe.write(result)
        code = 0
    except (OutOfTime, MemoryError):
        code = _OVER
    finally:
        os._exit(code)


def _confine(bounds: Bounds) -> None:
    """Interrupt this process when its time is over, and give it no more memory than it may have."""

    def over(*_: Any) -> NoReturn:
        raise OutOfTime(bounds.reason)

    signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, bounds.seconds + _GRACE)
    # Python hears of a signal between two steps of its own; the system does not wait for that.
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    last = math.ceil(bounds.seconds) + _LAST_GRACE
    _limit(resource.RLIMIT_CPU, last, last + 1)
    statm = Path("/proc/self/statm")
    if statm.exists():
        has = int(statm.read_text("ascii").split()[5]) * resource.getpagesize()
        _limit(resource.RLIMIT_DATA, has + bounds.memory, has + bounds.memory)


def _limit(kind: int, soft: int, hard: int) -> None:
    most = resource.getrlimit(kind)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


def _death(code: int, bounds: Bounds | None) -> Died:
    if bounds is not None and code == -signal.SIGXCPU:
        return Died(bounds.reason, limit=True)
    if code == _OVER:
        return Died("takes more time or memory than a file of its size may", limit=True)
    if code == -signal.SIGBUS:
        return Died("it was cut while it was read")
    if code < 0:
        return Died(f"the process that read it was ended by {signal.Signals(-code).name}")
    return Died("the process that read it failed")
