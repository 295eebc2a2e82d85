"""Takes down refusals for a process that could not do so itself, see `recording`.

It is started as ``python -m safehold.guard.late`` and reads the fields of events from its input,
one to a line. With the argument ``apart`` it answers each with an empty line, see `standby`.
"""

from __future__ import annotations

import ast
import os
import resource
import sys

from safehold.context import Context
from safehold.events import Event
from safehold.guard.standby import APART
from safehold.guard.starting import POLICY

_LIMITS = ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE")


def main() -> int:
    """Record the events; return the exit code, 0 once they are in the trail."""
    apart = sys.argv[1:] == [APART]
    if apart and os.fork():
        return 0
    for name in _LIMITS:  # which the other process may have used up
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))
    with Context.load(os.environ[POLICY]) as hold:
        while line := sys.stdin.buffer.readline():
            hold.recorder.record(Event(**ast.literal_eval(line.decode("ascii"))))
            if apart:
                os.write(1, b"\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
