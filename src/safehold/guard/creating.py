"""C modules that the guard changes: each is made once in a process.

Up to CPython 3.11 making `_pickle` a second time gave the first again. Since 3.12 it gives a module
with functions and types of its own, which nobody has changed. So what makes modules gives the first
one again. A call of the functions of `_imp` as they were before has an audit event where the module
is a file of its own; where `_pickle` is built into the interpreter, it fails, as `copyreg` has not
the dictionary that it wants.
"""

from __future__ import annotations

import _imp
import sys
from _thread import get_ident

from safehold.guard.grants import UNTRUSTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType, TracebackType
    from typing import Any, Final

    from safehold.guard.gate import Gate

# The last part of a C module's name is the name of the function that makes it.
_ONCE: Final = frozenset({"_pickle", "_interpreters"})
_first: Final[dict[str, ModuleType]] = {}
_under_way: Final[list[tuple[int, str]]] = []
"""Thread and name of each that is being made."""
_lent: Final[list[Any]] = []
"""What stands in `copyreg` otherwise, while something is being made."""


class _Nothing(dict):  # type: ignore[type-arg]
    """In the place of ``copyreg._extension_cache``: keeps nothing, and no C module takes it.

    They want a dictionary and nothing that derives from it.
    """

    def __setitem__(self, code: int, value: Any) -> None:
        """Keep nothing."""


NOTHING: Final[Any] = _Nothing()
SPARE: Final[dict[int, Any]] = {}
"""Cache of extension codes for a C module that wants a dictionary; `entries` empties it."""


def is_made_once(name: Any) -> bool:
    """Say whether the guard changes the C modules of this name."""
    return type(name) is str and name.rpartition(".")[2] in _ONCE


def is_another(args: tuple[Any, ...]) -> bool:
    """Say whether an ``import`` event is of such a module, and not of its import."""
    if len(args) < 2 or args[1] is None or not is_made_once(args[0]):
        return False
    return (get_ident(), args[0]) not in _under_way


def refuse_another(gate: Gate, name: str, frame: Any) -> None:
    """Refuse one more. Raises Blocked."""
    message = f"{name} is another copy of a C module, which asks nobody"
    gate.refuse(message, UNTRUSTED, frame, name, action="import")


class Making:
    """While it is held, a module may be made; it finds the dictionary that it wants."""

    def __init__(self, name: str) -> None:
        self._one = get_ident(), name

    def __enter__(self) -> None:
        copyreg: Any = sys.modules.get("copyreg")
        cache = getattr(copyreg, "_extension_cache", None)
        _under_way.append(self._one)
        if cache is not None and type(cache) is not dict:
            _lent.append(cache)
            copyreg._extension_cache = SPARE  # noqa: SLF001

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _under_way.remove(self._one)
        _take_back()


def _take_back() -> None:
    if _lent and not _under_way:
        copyreg: Any = sys.modules["copyreg"]
        copyreg._extension_cache = _lent.pop()  # noqa: SLF001


def forget_others() -> None:
    """Forget, in a forked child, what other threads were making."""
    _under_way[:] = [one for one in _under_way if one[0] == get_ident()]
    _take_back()


def made(name: str, module: ModuleType) -> None:
    """Note the first module of a name, which is adapted now."""
    if is_made_once(name):
        _first.setdefault(name, module)


def install(gate: Gate, adapters: Mapping[str, str]) -> None:
    """Have each of them made once; `adapters`: the modules that an import adapts."""
    for function in ("create_builtin", "create_dynamic"):
        setattr(_imp, function, _once(getattr(_imp, function), gate, adapters))


def _once(
    raw: Callable[..., ModuleType], gate: Gate, adapters: Mapping[str, str]
) -> Callable[..., ModuleType]:
    def create(spec: Any, *args: Any) -> ModuleType:
        name: Any = getattr(spec, "name", None)
        if not is_made_once(name):
            return raw(spec, *args)
        if name in _first:
            return _first[name]
        if (get_ident(), name) in _under_way:
            return raw(spec, *args)
        if name in adapters:
            __import__(name)  # which adapts it
        if name not in _first:
            refuse_another(gate, name, sys._getframe(1))  # noqa: SLF001
            with Making(name):
                return raw(spec, *args)
        return _first[name]

    create.__module__, create.__name__, create.__qualname__ = "_imp", raw.__name__, raw.__name__
    create.__doc__ = raw.__doc__
    return create
