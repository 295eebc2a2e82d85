"""Which source file called into safehold."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from types import FrameType

_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep
_FROZEN = "<frozen importlib"
# Its `Memory` loads on behalf of the function that it wraps.
_PASSED_THROUGH = "joblib"
_acting_for: ContextVar[str | None] = ContextVar("acting_for", default=None)


@contextlib.contextmanager
def acting_for(file: str | None) -> Iterator[None]:
    """Answer `calling_file` with a file found earlier; None leaves it to the frames."""
    token = _acting_for.set(file)
    try:
        yield
    finally:
        _acting_for.reset(token)


def calling_file() -> str:
    """Return the file name of the nearest frame outside safehold and joblib, or ``<none>``.

    Code that already runs in the process can forge it; such code is out of model.
    """
    if (file := _acting_for.get()) is not None:
        return file
    frame = calling_frame()
    return "<none>" if frame is None else frame.f_code.co_filename


def calling_frame() -> FrameType | None:
    """Return the nearest frame outside safehold and joblib."""
    passed = sys.modules.get(_PASSED_THROUGH)
    own: tuple[str, ...] = (_PACKAGE, _FROZEN)
    if passed is not None and passed.__file__:
        own = (*own, os.path.dirname(passed.__file__) + os.sep)
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  (inspect.stack reads source files)
    while frame is not None and frame.f_code.co_filename.startswith(own):
        frame = frame.f_back
    return frame


# Set by the guard: says whether a frame runs the code of the file that it names.
attest: Callable[[FrameType], bool] | None = None


def is_genuine() -> bool:
    """Say whether the calling code is what its file holds; without the guard its word counts."""
    if attest is None or _acting_for.get() is not None:
        return True
    frame = calling_frame()
    return frame is not None and attest(frame)


def relative_file(name: str, root: Path) -> str | None:
    """Return where a source file really is below `root` (POSIX form), None if elsewhere."""
    if name.startswith("<"):
        return None
    real = os.path.realpath(name)
    prefix = str(root).rstrip("/") + "/"
    return real[len(prefix) :] if real.startswith(prefix) else None
