"""Runs a part of a test in a forked child, which can hang or fail without harm."""

from __future__ import annotations

import os
import signal
import traceback
import warnings


def passes_in_child(action, seconds=30):
    """Fork, do it there, and say whether it came to its end in time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: the subject
        pid = os.fork()
    if not pid:
        code = 1
        try:
            signal.alarm(seconds)
            action()
            code = 0
        except BaseException:  # noqa: BLE001  the child must not go on as a second test run
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0
