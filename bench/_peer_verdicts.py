"""What one peer says of files: run by the Python of the side environment, knows nothing of bench.

    python _peer_verdicts.py TOOL < paths.json > verdicts.json

Each verdict is "passed", "stopped" or "failed" (an error or more than 30 s: its command line would
end with a code that is not 0 as well). ``cpu`` is processor time without start and imports.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable

_SECONDS = 30
_MEMORY = 6 * 2**30


def _picklescan(*, strict: bool) -> Callable[[str], bool]:
    from picklescan.scanner import scan_file_path

    def stops(path: str) -> bool:
        found = scan_file_path(path, strict=strict)
        return bool(found.issues_count or found.scan_err)

    return stops


def _modelscan() -> Callable[[str], bool]:
    from modelscan.modelscan import ModelScan

    def stops(path: str) -> bool:
        found = ModelScan().scan(path)
        return bool(found["summary"]["total_issues"] or found["errors"])

    return stops


def _fickling() -> Callable[[str], bool]:
    from fickling.analysis import Severity
    from fickling.loader import scan_file

    return lambda path: scan_file(path).severity > Severity.LIKELY_SAFE


def _modelaudit() -> Callable[[str], bool]:
    from modelaudit_picklescan import scan_file
    from modelaudit_picklescan.report import SafetyVerdict, ScanStatus

    def stops(path: str) -> bool:
        found = scan_file(path)
        return found.verdict is not SafetyVerdict.CLEAN or found.status is not ScanStatus.COMPLETE

    return stops


TOOLS: dict[str, Callable[[], Callable[[str], bool]]] = {
    "picklescan": lambda: _picklescan(strict=False),
    "picklescan strict": lambda: _picklescan(strict=True),
    "modelscan": _modelscan,
    "fickling": _fickling,
    "modelaudit-picklescan": _modelaudit,
}


def _too_long(*_: object) -> None:
    raise TimeoutError


def main() -> None:
    """Judge the paths that stand in the standard input."""
    logging.disable(logging.CRITICAL)
    paths = json.load(sys.stdin)
    stops = TOOLS[sys.argv[1]]()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    verdicts = {}
    cpu = 0.0
    with open(os.devnull, "w", encoding="ascii") as nothing, contextlib.redirect_stdout(nothing):
        for path in paths:
            started = time.process_time()
            signal.alarm(_SECONDS)
            try:
                verdicts[path] = "stopped" if stops(path) else "passed"
            except Exception:  # noqa: BLE001  whatever it is, the peer has no verdict
                verdicts[path] = "failed"
            finally:
                signal.alarm(0)
                cpu += time.process_time() - started
    json.dump({"verdicts": verdicts, "cpu": cpu}, sys.stdout)


if __name__ == "__main__":
    main()
