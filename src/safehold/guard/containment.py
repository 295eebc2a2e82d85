"""Containment: what a live unpickle may not do, as a second line behind the names.

Everything that is not listed as harmless is refused, so an event that a later CPython adds is
refused until somebody has looked at it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, Final

    from safehold.guard.gate import Gate
    from safehold.guard.grants import Grant

# Events that read, or that tell about this process; the Python docs have a table of audit events.
_HARMLESS: Final = frozenset(
    """
    array.__new__ builtins.id code.__new__ function.__new__ gc.get_objects gc.get_referents
    gc.get_referrers glob.glob glob.glob/2 object.__delattr__ object.__getattr__ object.__setattr__
    os.fwalk os.getxattr os.listdir os.listxattr os.scandir os.walk pathlib.Path.glob
    pathlib.Path.rglob sys._current_exceptions sys._current_frames sys._getframe
    sys._getframemodulename sys.excepthook sys.unraisablehook time.sleep signal.pthread_kill
    locale.setlocale
    """.split()
) - {"signal.pthread_kill", "locale.setlocale"}
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# The import system compiles, runs and caches modules; exactly these may.
_IMPORTERS: Final = frozenset(
    {
        "<frozen importlib._bootstrap>",
        "<frozen importlib._bootstrap_external>",
        "<frozen zipimport>",
    }
)


def checker(gate: Gate) -> Callable[[str, tuple[Any, ...], Grant], None]:
    """Return what the hook asks about each event of a contained unpickle."""
    frame_of = sys._getframe  # noqa: SLF001
    importers = importer_codes()

    def check(event: str, args: tuple[Any, ...], grant: Grant) -> None:
        if event in _HARMLESS:
            return
        if event == "open" and not _writes(args):
            return
        if event == "import" and not _is_dangerous_import(args):
            return
        try:
            frame: FrameType | None = frame_of(3)  # behind the two functions of the hook
        except ValueError:
            frame = None
        if _is_importing(frame, importers) or _is_native(event, frame):
            return
        what = f"{event} {_shown(args)}".strip()
        gate.refuse(
            f"an unpickle that is live does {what}; let what it makes do that at its first use",
            grant,
            frame,
            event,
            rule="SH173",
            action="contain",
        )

    return check


def _is_importing(frame: FrameType | None, importers: frozenset[int]) -> bool:
    """Say whether a module is being imported for the unpickle: its body is installed code.

    Which modules those can be, the names decide. An import that the unpickle is a part of, as of
    a module that loads a model, does not count: the search ends where the unpickle began.
    """
    while frame is not None:
        code = id(frame.f_code)
        if code in importers:
            return True
        if code in BEGINNINGS:
            return False
        frame = frame.f_back
    return False


# Libraries whose objects live in memory of their own: restoring one goes through ctypes.
_NATIVE: Final = ("xgboost", "lightgbm")
_MEMORY: Final = frozenset({"ctypes.cdata", "ctypes.cdata/buffer", "ctypes.dlsym",
                            "ctypes.string_at", "ctypes.get_errno",
                            "ctypes.call_function"})  # since 3.14 each call  # fmt: skip


def _is_native(event: str, frame: FrameType | None) -> bool:
    if event not in _MEMORY or frame is None:
        return False
    at: FrameType | None = frame
    while at is not None and at.f_globals.get("__name__") == "ctypes":
        at = at.f_back
    name = at.f_globals.get("__name__", "") if at is not None else ""
    return isinstance(name, str) and name.partition(".")[0] in _NATIVE


BEGINNINGS: Final[dict[int, Any]] = {}
"""Code objects of the functions that begin an unpickle, by their id."""


_importers: frozenset[int] = frozenset()


def importer_codes() -> frozenset[int]:
    """Return the ids of the code objects of the import system, which is frozen into CPython."""
    global _importers  # noqa: PLW0603  (gathered once)
    if _importers:
        return _importers
    found = set()
    for name in ("_frozen_importlib", "_frozen_importlib_external", "zipimport"):
        module = sys.modules.get(name)
        spaces = [vars(module)] if module is not None else []
        while spaces:
            for value in list(spaces.pop().values()):
                code = getattr(getattr(value, "__func__", value), "__code__", None)
                if code is not None and code.co_filename in _IMPORTERS:
                    found.add(id(code))
                elif isinstance(value, type) and value.__module__ == name:
                    spaces.append(dict(vars(value)))
    _importers = frozenset(found)
    return _importers


def _writes(args: tuple[Any, ...]) -> bool:
    """Whether an ``open`` event is about writing; the mode is None for ``os.open``."""
    mode, flags = (args[1], args[2]) if len(args) > 2 else (None, -1)
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return not isinstance(flags, int) or bool(flags & _WRITES)


def _is_dangerous_import(args: tuple[Any, ...]) -> bool:
    """Whether a module that runs code when it is imported is not there yet."""
    name = args[0] if args else ""
    return not isinstance(name, str) or name in _RUN_WHEN_IMPORTED


_RUN_WHEN_IMPORTED: Final = frozenset({"antigravity", "this", "idlelib.idle", "__main__.__main__"})


def _shown(args: tuple[Any, ...]) -> str:
    texts = [arg for arg in args if isinstance(arg, str | bytes)]
    return ", ".join(repr(text[:80]) for text in texts[:2])
