"""What reaches attributes by name, in bytes of this process's own making.

Protocols below 4 spell ``Class.member`` as a call of ``getattr``, and itemgetters and their like
are ordinary values. They come as stand-ins that refuse attributes of the object model and judge
what they reach, so that no chain of them leads to what a name could not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from safehold.guard import entries
from safehold.guard.grants import MINTED

# What cloudpickle and enumerations reach in honest values.
_DUNDERS: Final = frozenset({"__init__", "__new__", "__class_getitem__", "__call__", "__name__"})


def _check(name: Any) -> None:
    if not isinstance(name, str):
        return
    for part in name.split("."):
        if part.startswith("__") and part.endswith("__") and part not in _DUNDERS:
            frame = entries.caller(1)
            entries.gate.refuse(f"reaches for {part}", MINTED, frame, part)


def reached_attribute(owner: Any, name: str, *default: Any) -> Any:
    """Stand in for ``getattr``. Raises Blocked."""
    _check(name)
    found = getattr(owner, name, *default)
    frame = entries.caller(1)
    if isinstance(owner, ModuleType):
        entries.gate.check_name(owner.__name__, name, MINTED, frame)
    elif callable(found):
        entries.gate.check_object(found, None, None, MINTED, frame)
    return found


def _checked(make: Callable[..., Any]) -> Callable[..., Any]:
    def made(*args: Any, **options: Any) -> Any:
        for name in args if make is operator.attrgetter else args[:1]:
            _check(name)
        return make(*args, **options)

    return made


_STAND_INS: Final[dict[int, tuple[Any, Any]]] = {
    id(getattr): (getattr, reached_attribute),
    id(operator.attrgetter): (operator.attrgetter, _checked(operator.attrgetter)),
    id(operator.methodcaller): (operator.methodcaller, _checked(operator.methodcaller)),
}


def stand_in(found: Any) -> Any:
    """Return what an unpickle gets instead, or the thing itself."""
    return _STAND_INS.get(id(found), (found, found))[1]
