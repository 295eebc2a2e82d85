"""Where a callable is really from, whatever the name under which it was found."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, partialmethod
from types import BuiltinMethodType, MethodType, ModuleType
from typing import Any

# More layers of partials and wrappers than any program has.
_MOST = 64
# Called, they make what the class itself makes.
_MAKES = frozenset({"__new__", "__init__", "__call__", "__class_getitem__"})


def homes(found: Any) -> Iterator[tuple[str, str]]:
    """Yield module and qualified name of an object, and of all that calling it calls.

    A bound method is at home where its function is, a method of C where its class is, a partial
    object where its function and its arguments are, and any other callable object where its class
    is. What is no callable is where it says it is, if it says so. Ends after 64 of them.
    """
    waiting, left = [found], _MOST
    while waiting and left:
        one = waiting.pop()
        left -= 1
        if isinstance(one, MethodType | staticmethod | classmethod):
            waiting.append(one.__func__)
            continue
        if isinstance(one, partial | partialmethod):
            waiting += [part for part in (*one.args, *one.keywords.values()) if callable(part)]
            waiting.append(one.func)
        yield from _own(one)


def _own(one: Any) -> Iterator[tuple[str, str]]:
    module, name = getattr(one, "__module__", None), getattr(one, "__qualname__", None)
    if isinstance(name, str) and isinstance(module, str):
        yield module, name
    if isinstance(one, type) or not callable(one):
        return
    owner = getattr(one, "__objclass__", None)  # of a method that is not bound
    if isinstance(one, BuiltinMethodType) and not isinstance(one.__self__, ModuleType | None):
        owner = _definer(one.__self__, one.__name__)
    if isinstance(owner, type):
        yield _member(owner, one.__name__)
    elif not isinstance(name, str):
        yield type(one).__module__, type(one).__qualname__


def _definer(bound: Any, name: str) -> type:
    """Return the class that has a method of C, by the object or the class that it is bound to."""
    places = [*bound.__mro__] if isinstance(bound, type) else []
    places += type(bound).__mro__
    return next((place for place in places if name in vars(place)), type(bound))


def _member(owner: type, name: str) -> tuple[str, str]:
    path = owner.__qualname__ if name in _MAKES else f"{owner.__qualname__}.{name}"
    return owner.__module__, path


def makers(found: Any) -> Iterator[tuple[str, str]]:
    """Yield the classes from which a class has what runs when an unpickle makes one of it."""
    if not isinstance(found, type):
        return
    for name in ("__new__", "__init__", "__setstate__"):
        place = next((one for one in found.__mro__ if name in vars(one)), found)
        if place is not found and place.__module__ != "builtins":
            yield place.__module__, place.__qualname__
