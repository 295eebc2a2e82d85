"""What an error gives away to whoever prints it with its causes and local variables."""

from __future__ import annotations

import os
import traceback


def _is_test(filename):
    return os.path.basename(filename).startswith("test_")


def chain(error):
    """Yield an error and everything that is reachable from it by cause or context."""
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting += [current.__cause__, current.__context__]


def exposed(error):
    """Return all that a logger or error tracker could print, but for frames of tests."""
    found = []
    for one in chain(error):
        found += [str(one), repr(one), repr(vars(one)), repr(getattr(one, "object", ""))]
        found += [repr(getattr(one, name, "")) for name in ("output", "stdout", "stderr", "cmd")]
        shown = traceback.TracebackException.from_exception(one, capture_locals=True)
        for frame in shown.stack:
            if not _is_test(frame.filename):
                found += frame.locals.values()
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if not _is_test(frame.f_code.co_filename):
                found += [repr(value) for value in frame.f_locals.values()]
    return "\n".join(found)
