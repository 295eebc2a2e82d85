"""Takes down refusals for a process that could not do so itself, see `recording`.

It is started as ``python -m safehold.guard.late`` and reads the fields of events from its input,
one to a line. With the argument ``apart`` it answers each with an empty line, see `standby`.
"""

from __future__ import annotations

import ast
import contextlib
import os
import resource
import sys
from collections.abc import Iterator

from safehold.context import Context
from safehold.errors import ConfigError
from safehold.events import Event, Recorder
from safehold.guard.recording import LENT, lent_trail
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
    with _recording() as recorder:
        while line := sys.stdin.buffer.readline():
            recorder.record(Event(**ast.literal_eval(line.decode("ascii"))))
            if apart:
                os.write(1, b"\n")
    return 0


@contextlib.contextmanager
def _recording() -> Iterator[Recorder]:
    try:
        # The other process waits for this one: alerts are kept here, and sent by the next.
        hold = Context.load(os.environ[POLICY], patience=0)
    except ConfigError:  # no key: what a parent lent may do
        if LENT not in os.environ:
            raise
        trail, redactor = lent_trail(os.environ)
        with contextlib.closing(trail):
            yield Recorder(trail, redactor=redactor)
    else:
        with hold:
            yield hold.recorder


if __name__ == "__main__":
    raise SystemExit(main())
