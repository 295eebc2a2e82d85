"""`marshal`: data, but no code, except for what reads the caches of imports."""

from __future__ import annotations

import marshal
import sys
from _thread import get_ident

from safehold.guard.containment import importer_codes
from safehold.guard.grants import OWN, UNTRUSTED, Held, live

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from safehold.guard.gate import Gate

_CODE = type((lambda: None).__code__)
_raw_load, _raw_loads = marshal.load, marshal.loads
# Readers of compiled code besides the import system, by the modules that have them.
_READERS = {
    "_pytest.assertion.rewrite": ("_read_pyc",),
    "pkgutil": ("read_code",),
    "jinja2.bccache": ("Bucket.load_bytecode",),
}
_readers: dict[int, Any] = {}
_own: dict[int, Any] = {}


def apply(module: ModuleType, gate: Gate) -> None:
    """Replace the functions, or register a reader of compiled code."""
    if module.__name__ != "marshal":
        for path in _READERS[module.__name__]:
            found: Any = module
            for part in path.split("."):
                found = getattr(found, part)
            _readers[id(found.__code__)] = found.__code__
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


def _reads_caches(frame: Any, importers: frozenset[int]) -> bool:
    """Say whether a frame reads compiled code that it has looked for itself.

    The function of the import system that does it can be called with any bytes.
    """
    if frame is None:
        return False
    outer = frame.f_back
    found = id(frame.f_code) in importers and outer is not None and id(outer.f_code) in importers
    return found or id(frame.f_code) in _readers


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
