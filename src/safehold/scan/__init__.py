"""Reads artifacts without loading them: bytes in, findings out; nothing is imported or run.

    scan_path("models")            everything below a directory
    scan_bytes(data)               bytes that have no path
    scan_file(handle)              what an open file holds, a pipe too
    scan_paths(paths, jobs=4)      a report after each file

With ``cache``, a directory or a `Cache`, what an earlier scan of the same bytes found is taken.

Bad input never raises: a file that cannot be read is a report with the verdict ``error``.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from safehold.scan.cache import Cache
    from safehold.scan.calls import scan_bytes, scan_file, scan_open, scan_path, scan_paths
    from safehold.scan.judge import GlobalUse
    from safehold.scan.report import FileReport, Scan, Verdict
    from safehold.scan.rules import RULES
    from safehold.scan.visit import is_artifact_name

__all__ = [
    "RULES",
    "Cache",
    "FileReport",
    "GlobalUse",
    "Scan",
    "Verdict",
    "is_artifact_name",
    "scan_bytes",
    "scan_file",
    "scan_open",
    "scan_path",
    "scan_paths",
]

_LAZY = {
    "Cache": "safehold.scan.cache",
    "FileReport": "safehold.scan.report",
    "GlobalUse": "safehold.scan.judge",
    "RULES": "safehold.scan.rules",
    "Scan": "safehold.scan.report",
    "Verdict": "safehold.scan.report",
    "is_artifact_name": "safehold.scan.visit",
    "scan_bytes": "safehold.scan.calls",
    "scan_file": "safehold.scan.calls",
    "scan_open": "safehold.scan.calls",
    "scan_path": "safehold.scan.calls",
    "scan_paths": "safehold.scan.calls",
}
"""Where each is; loaded at first use, since who prints a report needs no reader of formats."""


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'safehold.scan' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
