"""`marshal`: data, but no code, except for what reads the caches of imports."""

from __future__ import annotations

import marshal
import sys
from _thread import get_ident

from safehold.guard.containment import importer_codes
from safehold.guard.grants import OWN, UNTRUSTED, Held, live

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, ModuleType
    from typing import Any

    from safehold.guard.gate import Gate

_CODE = type((lambda: None).__code__)
_raw_load, _raw_loads = marshal.load, marshal.loads
# Modules that read compiled code besides the import system, and the function that does.
_READERS = {"_pytest.assertion.rewrite": "_read_pyc", "pkgutil": "read_code"}
_readers: dict[int, tuple[CodeType, Callable[[FrameType], bool]]] = {}
_own: dict[int, Any] = {}


def add_reader(code: CodeType, caller: CodeType) -> None:
    """Let code unmarshal code while other code calls it."""
    _readers[id(code)] = code, lambda frame: _called_by(frame, caller)


def _called_by(frame: FrameType, code: CodeType) -> bool:
    return frame.f_back is not None and frame.f_back.f_code is code


def apply(module: ModuleType, gate: Gate) -> None:
    """Replace the functions, or register a reader of compiled code."""
    if module.__name__ != "marshal":
        code = getattr(module, _READERS[module.__name__]).__code__
        is_pkgutil = module.__name__ == "pkgutil"
        _readers[id(code)] = code, _runs_file if is_pkgutil else lambda _: True
        return
    importers = importer_codes()

    def checked(raw: Any, source: Any, frame: Any, args: Any, options: Any) -> Any:
        value = raw(source, *args, **options)
        if _reads_caches(frame, importers) or not has_code(value):
            return value
        gate.refuse("marshalled bytes hold code", UNTRUSTED, frame, "code object",
                    loader="marshal", rule="SH176")  # fmt: skip
        return value

    def load(file: Any, /, *args: Any, **options: Any) -> Any:
        return checked(_raw_load, file, sys._getframe(1), args, options)  # noqa: SLF001

    def loads(data: Any, /, *args: Any, **options: Any) -> Any:
        return checked(_raw_loads, data, sys._getframe(1), args, options)  # noqa: SLF001

    _own[id(checked.__code__)] = checked.__code__
    for name, function in (("load", load), ("loads", loads)):
        function.__module__, function.__qualname__ = "marshal", name
        setattr(module, name, function)


def _reads_caches(frame: FrameType | None, importers: frozenset[int]) -> bool:
    """Say whether a frame reads compiled code that it has looked for itself.

    The functions that do it can be called with any bytes.
    """
    if frame is None:
        return False
    code, outer = frame.f_code, frame.f_back
    if id(code) in _readers:
        return _readers[id(code)][1](frame)
    if id(code) not in importers or outer is None or id(outer.f_code) not in importers:
        return False
    return code.co_name != "_compile_bytecode" or _is_compiled(frame.f_locals["bytecode_path"])


def _is_compiled(path: Any) -> bool:
    """Say whether a file is one of compiled code by its name, as the import system writes them."""
    return type(path) is str and path.endswith(".pyc")


def _runs_file(frame: FrameType) -> bool:
    """Say whether `runpy` runs a compiled file by its path."""
    run = getattr(sys.modules.get("runpy"), "_get_code_from_file", None)
    outer = frame.f_back
    if run is None or outer is None or outer.f_code is not run.__code__:
        return False
    return _is_compiled(outer.f_locals.get("fname"))


def has_code(value: Any) -> bool:
    """Say whether a marshalled value is or holds a code object."""
    waiting, seen = [value], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, _CODE):
            return True
        if isinstance(one, tuple | list | set | frozenset | dict) and id(one) not in seen:
            seen.add(id(one))
            waiting += [*one, *one.values()] if isinstance(one, dict) else list(one)
    return False


def check_event(gate: Gate, args: tuple[Any, ...], frame: Any) -> None:
    """Judge a call of the functions as they were before: by the bytes, or not at all.

    Raises:
        Blocked: what is loaded holds code, or may hold it.
    """
    if (frame is not None and id(frame.f_code) in _own) or live.get(get_ident()) is OWN:
        return
    if _reads_caches(frame, importer_codes()):
        return
    if args and isinstance(args[0], bytes):
        with Held(OWN):
            held = has_code(_raw_loads(args[0]))
        if not held:
            return
    message = "marshalled bytes hold code" if args else "a file that may hold code is unmarshalled"
    gate.refuse(message, UNTRUSTED, frame, "code object", loader="marshal", rule="SH176")
