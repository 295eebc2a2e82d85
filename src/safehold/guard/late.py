"""Takes down one refusal for a process that could not do so itself, see `recording`.

It is started as ``python -m safehold.guard.late`` and reads the event's fields from its input.
"""

from __future__ import annotations

import ast
import os
import resource
import sys

from safehold.context import Context
from safehold.events import Event
from safehold.guard.starting import POLICY

_LIMITS = ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE")


def main() -> int:
    """Record the event; return the exit code, 0 once it is in the trail."""
    for name in _LIMITS:  # which the other process may have used up
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))
    fields = ast.literal_eval(sys.stdin.buffer.read().decode("ascii"))
    with Context.load(os.environ[POLICY]) as hold:
        hold.recorder.record(Event(**fields))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
