"""AllowList: what one zone or call may name, and how such a name becomes an object."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from safehold import dangers
from safehold.allow import _arguments, _boosters, _tensors
from safehold.allow._arguments import Rule, any_arguments, named, no_arguments, no_call
from safehold.allow._presets import PRESETS, Role, preset, with_needed
from safehold.allow._rebuilders import rebuilder
from safehold.errors import ConfigError, TypeNotAllowed

RULES = {**_arguments.RULES, **_tensors.RULES}
STAND_INS = {**_arguments.STAND_INS, **_tensors.STAND_INS}
_EVERYTHING = "*"
# Of packages that run templates or open files: the classes that they store of themselves.
_RESTORED = frozenset({
    "diskcache.core:Cache", "diskcache.core:Constant", "diskcache.core:Disk",
    "diskcache.fanout:FanoutCache", "diskcache.persistent:Deque",
    "diskcache.persistent:Index", "jinja2.runtime:ChainableUndefined",
    "jinja2.runtime:DebugUndefined", "jinja2.runtime:StrictUndefined", "jinja2.runtime:Undefined",
    "jinja2.utils:LRUCache", "jinja2.utils:missing",
})  # fmt: skip
_GETATTR = ("builtins", "getattr")
# numpy 2 renamed its private package; the old one warns, and old files still name it.
_MOVED = ("numpy.core", "numpy._core")


class AllowList:
    """The names an artifact may carry; equal for equal names, never changed after it is made.

    ``everything`` permits all names but those in `safehold.dangers`, and of these a few classes.
    """

    __slots__ = ("_called", "_classes", "_functions", "_own", "_resolved", "everything", "names")

    names: tuple[str, ...]
    everything: bool

    def __init__(self, names: Iterable[str]) -> None:
        given = frozenset(names)
        self.names = tuple(sorted(given | {"builtins"}))
        self.everything = _EVERYTHING in given
        own = frozenset(name for name in given if "." in name or ":" in name)
        presets = [preset(name) for name in with_needed(given - own - {_EVERYTHING})]
        self._classes = frozenset().union(*(one.classes for one in presets))
        self._functions = frozenset().union(*(one.functions for one in presets))
        self._called = frozenset().union(*(one.called for one in presets))
        self._own = frozenset(map(_dotted, own))
        self._resolved: dict[tuple[str, str], Any] = {}

    @classmethod
    def of(cls, names: Iterable[str] = (), *extra: str) -> AllowList:
        """Return the list for preset names, exact dotted names or ``"*"``; built once per set.

        The preset ``builtins`` is always part of it, and so is what a preset's objects hold:
        "sklearn" brings scipy, numpy and joblib.

        Raises:
            ConfigError: an unknown preset, a name that is not dotted, or a dangerous name.
        """
        return _cached(frozenset(names).union(extra))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AllowList) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the names alone: the objects they resolved to need not be picklable."""
        return _cached, (frozenset(self.names),)

    def __repr__(self) -> str:
        return f"AllowList.of({list(self.names)!r})"

    def permits(self, module: str, qualname: str) -> bool:
        """Whether an artifact may name this; Python 2 spellings count as their Python 3 name."""
        return self.role(module, qualname) is not None

    def permits_dotted(self, name: str) -> bool:
        """Look a dotted name up at every place where the module's part could end."""
        parts = name.split(".")
        return any(
            self.permits(".".join(parts[:index]), ".".join(parts[index:]))
            for index in range(len(parts) - 1, 0, -1)
        )

    def role(self, module: str, qualname: str) -> Role | None:
        """Return the role the name may play, or None when it is not allowed.

        A name of the policy's own, and any name under ``"*"``, has the wider role "class".
        """
        found = self._exact(*self._spelled(module, qualname))
        if found is None and self.everything and _is_restored(module, qualname):
            return "class"
        return found

    def arguments_ok(self, module: str, qualname: str, args: tuple[Any, ...]) -> bool:
        """Whether a call with these arguments is one that real dumps make."""
        return self.arguments_rule(module, qualname)(args)

    def arguments_rule(self, module: str, qualname: str) -> Rule:
        """Return what says whether a call with some arguments is one that real dumps make.

        Classes of a preset that no dump calls with arguments want none; functions that no dump
        calls want no call at all. `safehold.allow._arguments` says what the arguments may be.
        """
        spelled = self._spelled(module, qualname)
        if spelled == _GETATTR:
            return self._is_member
        rule = rebuilder(*spelled) or RULES.get(spelled)
        if rule is not None:
            return rule
        name = ":".join(spelled)
        if name in self._called:
            return any_arguments
        if name in self._functions:
            return no_call
        return no_arguments if name in self._classes else any_arguments

    def keywords_ok(self, module: str, qualname: str) -> bool:
        """Whether real dumps make instances of a class with keywords."""
        return _arguments.takes_keywords(*self._spelled(module, qualname))

    def resolve(self, module: str, qualname: str) -> Any:
        """Return the named object, to be used as ``find_class``.

        A few callables come as stand-ins that check their arguments. Roles and the other
        argument rules are not enforced here: CPython's unpickler calls what it is given.

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
        if f"{module}.{qualname}" in self._own and dangers.lookup(module, qualname) is None:
            return "class"
        return None

    def _spelled(self, module: str, qualname: str) -> tuple[str, str]:
        """Return the name as it stands in the list: as given, or as Python 3 spells it."""
        if self._exact(module, qualname) is not None:
            return module, qualname
        return dangers.modern(module, qualname)

    def _is_member(self, args: tuple[Any, ...]) -> bool:
        """``getattr`` is how protocols below 4 spell ``Class.member``, which must be allowed."""
        if len(args) != 2 or type(args[1]) is not str:
            return False
        owner = named(args[0])
        return owner is not None and self._exact(owner[0], f"{owner[1]}.{args[1]}") is not None

    def _member(self, owner: Any, name: str) -> Any:
        if not isinstance(owner, type) or not self._is_member((owner, name)):
            raise _refused("builtins", "getattr", "is allowed for listed members of classes only")
        return self.resolve(owner.__module__, f"{owner.__qualname__}.{name}")

    def _load(self, module: str, qualname: str) -> Any:
        if not self.permits(module, qualname):
            raise _refused(module, qualname, "is not in the allow list")
        module, qualname = self._spelled(module, qualname)
        if (module, qualname) == _GETATTR:
            return self._member
        instead = stand_in(module, qualname)
        if instead is not None:
            return instead
        found = _walk(_imported(module, qualname), module, qualname)
        name = f"{module}:{qualname}"
        if not any(name in names for names in (self._classes, self._functions, _RESTORED)):
            own = f"{module}.{qualname}" in self._own
            _check_origin(found, module, qualname, inherited=not own)
        return _boosters.guarded(found, module, qualname) or found


def _is_restored(module: str, qualname: str) -> bool:
    return f"{module}:{qualname}" in _RESTORED or dangers.lookup(module, qualname) is None


def stand_in(module: str, qualname: str) -> Any:
    """Return what an unpickler gets instead of a named function, or None for itself."""
    return STAND_INS.get((module, qualname))


@lru_cache(maxsize=256)
def _cached(names: frozenset[str]) -> AllowList:
    return AllowList(names)


def _dotted(name: str) -> str:
    """Check an exact name of the policy's own and return it in dotted form."""
    dotted = name.replace(":", ".", 1)
    parts = dotted.split(".")
    if not all(part.isidentifier() for part in parts):
        message = (
            f"allow: {name!r} is neither a preset ({', '.join(PRESETS)}) nor an exact dotted name"
        )
        raise ConfigError(message)
    # Where the module ends is not known; "shop.pickle.Model" is a class of a module shop.pickle.
    found = [
        dangers.lookup(".".join(parts[:border]), ".".join(parts[border:]))
        for border in range(1, len(parts))
    ]
    if found[-1] is not None and all(found):
        message = f"allow: {name!r} cannot be allowed: it {found[-1].why}"
        raise ConfigError(message)
    return dotted


def _refused(module: str, qualname: str, why: str) -> TypeNotAllowed:
    name = f"{module}.{qualname}"
    return TypeNotAllowed(f"{name} {why}", name=name)


def _imported(module: str, qualname: str) -> ModuleType:
    """Import a module and check that each package on the way is the one of that name."""
    old, new = _MOVED
    if module.startswith(f"{old}."):
        moved = new + module.removeprefix(old)
        try:
            return import_module(moved)
        except ImportError:
            pass  # numpy 1, or a module that only numpy 1 has
    try:
        found = import_module(module)
    except (ImportError, ValueError) as error:
        raise _refused(module, qualname, f"cannot be imported here ({error})") from error
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        if not _is_named(sys.modules.get(path), path):
            raise _refused(module, qualname, f"is an alias: {path} is another module")
    return found


def _is_named(module: ModuleType | None, path: str) -> bool:
    """Compare both names a module has: ``_io`` calls itself io, a started program __main__."""
    spec = getattr(module, "__spec__", None)
    return path in {getattr(module, "__name__", None), getattr(spec, "name", None)}


def _walk(start: ModuleType, module: str, qualname: str) -> Any:
    found: Any = start
    for part in qualname.split("."):
        if found is not start and not isinstance(found, type):
            raise _refused(module, qualname, "leads through something that is not a class")
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise _refused(module, qualname, "does not exist in the installed version") from error
    if isinstance(found, ModuleType):
        raise _refused(module, qualname, "is a module")
    return found


def _check_origin(found: Any, module: str, qualname: str, *, inherited: bool) -> None:
    """Refuse what is not callable, or another module's dangerous callable under this name.

    `inherited`: also what is made as a dangerous class is. Who names such a class wants it.
    """
    if not callable(found):
        raise _refused(module, qualname, "is neither a class nor a function")
    for home in (*dangers.homes(found), *(dangers.makers(found) if inherited else ())):
        danger = dangers.lookup(*home)
        if danger is not None:
            raise _refused(module, qualname, f"is {'.'.join(home)}, which {danger.why}")
