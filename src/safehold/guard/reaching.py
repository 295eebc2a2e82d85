"""What reaches attributes by name, in bytes of this process's own making.

Protocols below 4 spell ``Class.member`` as a call of ``getattr``, dill fills cells by ``setattr``,
and itemgetters and their like are ordinary values. They come as stand-ins that refuse attributes of
the object model and judge what they reach, so that no chain of them leads to what a name could not.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from types import CellType, ModuleType
from typing import Any, Final

from safehold.guard import entries
from safehold.guard.gate import resolved
from safehold.guard.grants import MINTED, live_grant

# What cloudpickle and enumerations reach in honest values.
_DUNDERS: Final = frozenset({"__init__", "__new__", "__class_getitem__", "__call__", "__name__"})
# From a generator or an exception to the globals and the builtins of the code that it runs.
_FRAMES: Final = frozenset(
    """
    gi_frame gi_code gi_yieldfrom cr_frame cr_code cr_await cr_origin ag_frame ag_code ag_await
    tb_frame tb_next f_back f_builtins f_code f_globals f_locals
    """.split()
)


def _check(name: Any) -> None:
    if not isinstance(name, str):
        return
    for part in name.split("."):
        dunder = part.startswith("__") and part.endswith("__") and part not in _DUNDERS
        if dunder or part in _FRAMES:
            frame = entries.caller(1)
            entries.gate.refuse(f"reaches for {part}", MINTED, frame, part)


def reached_attribute(owner: Any, name: str, *default: Any) -> Any:
    """Stand in for ``getattr``. Raises Blocked."""
    _check(name)
    found = getattr(owner, name, *default)
    _judge(found, owner, name)
    return found


def _judge(found: Any, owner: Any, name: str) -> None:
    frame = entries.caller(2)
    if isinstance(owner, ModuleType):
        entries.gate.check_name(owner.__name__, name, MINTED, frame)
    elif callable(found):
        entries.gate.check_object(found, None, None, MINTED, frame)


def imported(name: str, *options: Any) -> Any:
    """Stand in for dill's ``_import_module``, which returns members of modules as well."""
    _check(name)
    dill: Any = sys.modules["dill._dill"]
    found = dill._import_module(name, *options)  # noqa: SLF001
    if callable(found):
        entries.gate.check_object(found, None, None, MINTED, entries.caller(1))
    return found


class _Getter:
    """An attrgetter or methodcaller that judges what it reaches while something is unpickled.

    To the program it is what it stands for: it says that it is of that class, and pickles as it.
    """

    __slots__ = ("_made", "_name")

    def __init__(self, made: Any, name: Any) -> None:
        self._made, self._name = made, name

    @property
    def __class__(self) -> Any:
        return type(self._made)

    @__class__.setter
    def __class__(self, _: Any) -> None:
        message = "the class of this object cannot be changed"
        raise TypeError(message)

    def __call__(self, owner: Any) -> Any:
        if live_grant() is MINTED:
            if self._name is None:
                found = self._made(owner)
                for one in found if type(found) is tuple else (found,):
                    if callable(one):
                        entries.gate.check_object(one, None, None, MINTED, entries.caller(1))
                return found
            reached_attribute(owner, self._name)
        return self._made(owner)

    def __reduce__(self) -> Any:
        return self._made.__reduce__()

    def __repr__(self) -> str:
        return repr(self._made)


def _attrgetter(*names: Any) -> Any:
    """Stand in for ``operator.attrgetter``. Raises Blocked."""
    for name in names:
        _check(name)
    return _Getter(operator.attrgetter(*names), None)


def _methodcaller(name: Any, /, *args: Any, **options: Any) -> Any:
    """Stand in for ``operator.methodcaller``. Raises Blocked."""
    _check(name)
    return _Getter(operator.methodcaller(name, *args, **options), name)


def _names_new_class(owner: Any, name: Any) -> bool:
    """Say whether a class gets its name that the stream has just made, as dill has it."""
    if type(owner) is not type or name != "__qualname__":
        return False
    return resolved(owner.__module__, owner.__qualname__) is not owner


def given_out(found: Any) -> Any:
    """Return what a load makes, as the program has pickled it: an attrgetter is one."""
    return found._made if type(found) is _Getter else found  # noqa: SLF001


def _of_cells(change: Callable[..., None]) -> Callable[..., None]:
    """Let honest values fill cells; of anything else, this would change it for the process."""

    def changed(owner: Any, name: str, *value: Any) -> None:
        if not isinstance(owner, CellType) and not _names_new_class(owner, name):
            kind = owner if isinstance(owner, type) else type(owner)
            message = f"changes {name} of {kind.__qualname__}"
            entries.gate.refuse(message, MINTED, entries.caller(1), str(name))
        change(owner, name, *value)

    return changed


_STAND_INS: Final[dict[int, tuple[Any, Any]]] = {
    id(getattr): (getattr, reached_attribute),
    id(setattr): (setattr, _of_cells(setattr)),
    id(delattr): (delattr, _of_cells(delattr)),
    id(operator.attrgetter): (operator.attrgetter, _attrgetter),
    id(operator.methodcaller): (operator.methodcaller, _methodcaller),
}
_DILL: Final[dict[str, Any]] = {
    "_get_attr": reached_attribute,
    "_import_module": imported,
}


def stand_in(found: Any) -> Any:
    """Return what an unpickle gets instead, or the thing itself."""
    if getattr(found, "__module__", None) == "dill._dill":
        return _DILL.get(getattr(found, "__qualname__", ""), found)
    return _STAND_INS.get(id(found), (found, found))[1]
