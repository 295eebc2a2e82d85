"""AllowList: what one zone or call may name, and how such a name becomes an object."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from safehold import dangers
from safehold.allow._arguments import RULES, STAND_INS
from safehold.allow._presets import PRESETS, Preset, Role, preset
from safehold.errors import ConfigError, TypeNotAllowed

_EVERYTHING = "*"


class AllowList:
    """The names an artifact may carry; equal for equal names, never changed after it is made.

    ``everything`` permits all names but those in `safehold.dangers`.
    """

    __slots__ = ("_classes", "_dotted", "_functions", "_resolved", "everything", "names")

    names: tuple[str, ...]
    everything: bool

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted({"builtins", *names}))
        self.everything = _EVERYTHING in self.names
        presets = [_preset(name) for name in self.names if _is_preset(name)]
        self._classes = frozenset().union(*(one.classes for one in presets))
        self._functions = frozenset().union(*(one.functions for one in presets))
        self._dotted = frozenset(_own(name) for name in self.names if not _is_preset(name))
        self._resolved: dict[tuple[str, str], Any] = {}

    @classmethod
    def of(cls, names: Iterable[str] = (), *extra: str) -> AllowList:
        """Return the list for preset names, exact dotted names or ``"*"``; built once per set.

        The preset ``builtins`` is always part of it.

        Raises:
            ConfigError: an unknown preset, a name that is not dotted, or a dangerous name.
        """
        return _cached(frozenset(names).union(extra))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AllowList) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        return f"AllowList.of({list(self.names)!r})"

    def permits(self, module: str, qualname: str) -> bool:
        """Whether an artifact may name this; Python 2 spellings count as their Python 3 name."""
        return self.role(module, qualname) is not None

    def role(self, module: str, qualname: str) -> Role | None:
        """Return the role the name may play, or None when it is not allowed.

        A name of the policy's own, and any name under ``"*"``, has the wider role "class".
        """
        found = self._exact(module, qualname)
        if found is None:
            modern = dangers.modern(module, qualname)
            if modern != (module, qualname):
                found = self._exact(*modern)
        if found is None and self.everything and dangers.lookup(module, qualname) is None:
            return "class"
        return found

    def arguments_ok(self, module: str, qualname: str, args: tuple[Any, ...]) -> bool:
        """Whether a call with these arguments is one that real dumps make.

        An argument that the caller could not work out may be any object of its own class.
        """
        rule = RULES.get(self._spelled(module, qualname))
        return rule is None or rule(args)

    def resolve(self, module: str, qualname: str) -> Any:
        """Return the named object, to be used as ``find_class``.

        Raises:
            TypeNotAllowed: not in the list, not installed, or not reached the plain way: through
                modules of that very name and, below the module, through classes only.
        """
        key = (module, qualname)
        found = self._resolved.get(key)
        if found is None:
            found = self._resolved[key] = self._load(module, qualname)
        return found

    def _exact(self, module: str, qualname: str) -> Role | None:
        name = f"{module}:{qualname}"
        if name in self._classes:
            return "class"
        if name in self._functions:
            return "function"
        if f"{module}.{qualname}" in self._dotted:
            return "class"
        return None

    def _spelled(self, module: str, qualname: str) -> tuple[str, str]:
        if self._exact(module, qualname) is not None:
            return module, qualname
        return dangers.modern(module, qualname)

    def _load(self, module: str, qualname: str) -> Any:
        if not self.permits(module, qualname):
            raise _refused(module, qualname, "is not in the allow list")
        module, qualname = self._spelled(module, qualname)
        stand_in = STAND_INS.get((module, qualname))
        if stand_in is not None:
            return stand_in
        found = _walk(_imported(module, qualname), module, qualname)
        if self.everything or f"{module}.{qualname}" in self._dotted:
            _check_origin(found, module, qualname)
        return found


@lru_cache(maxsize=256)
def _cached(names: frozenset[str]) -> AllowList:
    return AllowList(names)


def _is_preset(name: str) -> bool:
    return name in PRESETS or ("." not in name and ":" not in name)


def _preset(name: str) -> Preset:
    if name == _EVERYTHING:
        return Preset(name, "", frozenset(), frozenset())
    return preset(name)


def _own(name: str) -> str:
    dotted = name.replace(":", ".", 1)
    parts = dotted.split(".")
    if not all(part.isidentifier() for part in parts):
        message = f"allow: {name!r} is neither a preset nor an exact dotted name"
        raise ConfigError(message)
    for border in range(1, len(parts)):
        danger = dangers.lookup(".".join(parts[:border]), ".".join(parts[border:]))
        if danger is not None:
            message = f"allow: {name!r} cannot be allowed, it {danger.why}"
            raise ConfigError(message)
    return dotted


def _refused(module: str, qualname: str, why: str) -> TypeNotAllowed:
    name = f"{module}.{qualname}"
    return TypeNotAllowed(f"{name} {why}", name=name)


def _imported(module: str, qualname: str) -> ModuleType:
    """Import a module and check that each package on the way is the one of that name."""
    try:
        found = import_module(module)
    except (ImportError, ValueError) as error:
        raise _refused(module, qualname, f"cannot be imported here ({error})") from error
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        if getattr(sys.modules.get(path), "__name__", None) != path:
            raise _refused(module, qualname, f"is an alias: {path} is another module")
    return found


def _walk(start: ModuleType, module: str, qualname: str) -> Any:
    found: Any = start
    for part in qualname.split("."):
        if found is not start and not isinstance(found, type):
            raise _refused(module, qualname, "leads through something that is not a class")
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise _refused(module, qualname, "does not exist in the installed version") from error
    if not callable(found) or isinstance(found, ModuleType):
        raise _refused(module, qualname, "is neither a class nor a function")
    return found


def _check_origin(found: Any, module: str, qualname: str) -> None:
    """Refuse a harmless name behind which another module's dangerous callable stands."""
    home = getattr(found, "__module__", None)
    name = getattr(found, "__qualname__", None)
    if isinstance(home, str) and isinstance(name, str):
        danger = dangers.lookup(home, name)
        if danger is not None:
            raise _refused(module, qualname, f"is {home}.{name}, which {danger.why}")
