"""Which source file called into safehold."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep
_FROZEN = "<frozen importlib"


def calling_file() -> str:
    """Return the file name of the nearest frame outside safehold, ``<none>`` without one.

    Code that already runs in the process can forge it; such code is out of model.
    """
    frame = sys._getframe(1)  # noqa: SLF001  (inspect.stack reads source files: far too slow)
    while True:
        name = frame.f_code.co_filename
        if not name.startswith(_PACKAGE) and not name.startswith(_FROZEN):
            return name
        if frame.f_back is None:
            return "<none>"
        frame = frame.f_back


def relative_file(name: str, root: Path) -> str | None:
    """Return where a source file really is below `root` (POSIX form), None if elsewhere."""
    if name.startswith("<"):
        return None
    real = os.path.realpath(name)
    prefix = str(root).rstrip("/") + "/"
    return real[len(prefix) :] if real.startswith(prefix) else None
