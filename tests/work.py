"""Work that is counted where a clock would say how busy the machine is.

A count is the same in each run and on each machine, so a test may compare two. What one call of
a C function does is not seen: where that could be the work, a test hands it something that counts.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator

_ENDLESS = 60  # seconds of processor time

Work = Callable[[], object]


def calls(work: Work) -> Counter[str]:
    """Count the calls of functions, by name, of Python and of C, while something is done."""
    counts: Counter[str] = Counter()

    def count(frame: object, event: str, argument: object) -> None:
        if event == "call":
            counts[frame.f_code.co_name] += 1
        elif event == "c_call":
            counts[argument.__name__] += 1

    collects = gc.isenabled()
    gc.disable()  # what others have asked to be told about it would be counted as well
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    counts["setprofile"] -= 1
    return counts


def is_linear(make: Callable[[int], Work], size: int) -> bool:
    """Whether twice the size takes at most twice the calls, and little more."""
    make(size)()  # imports, and what is made once
    once, twice = (calls(make(number)).total() for number in (size, 2 * size))
    assert once > size // 10, "it does nothing that is counted"
    return twice < 2.1 * once


@contextlib.contextmanager
def an_end() -> Iterator[None]:
    """Make what would take years an error; for steps that nothing can count, as of a regex."""

    def stop(_signal: int, _frame: object) -> None:
        message = f"no end after {_ENDLESS} seconds of this process"
        raise AssertionError(message)

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, _ENDLESS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
