"""Everything that can be reached from what bytes may name, asked of the policy object by object.

Run as a program, in a process of its own: it imports the standard library and the libraries of the
presets, walks each attribute of each thing in them, and prints what it found as JSON. What an
object really is, it works out by itself: by where the thing at the end of its wrappers is from, and
by being the very object that a row of the table names.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from safehold import dangers
from safehold.allow import AllowList, preset
from safehold.dangers import Danger, Power
from safehold.guard import entries, reaching
from safehold.guard.gate import Gate
from safehold.guard.grants import MINTED, UNTRUSTED
from safehold.guard.plain import plain_names
from tests.guard.calling import call_all

# They act when they are imported, or are tests.
_SKIPPED = frozenset({"antigravity", "this", "idlelib", "turtledemo", "test", "lib2to3"})
_LIBRARIES = ("builtins", "joblib", "numpy", "pandas", "scipy", "sklearn")
_VALUES = (int, float, str, bytes, complex, type(None), types.CodeType, list, tuple, dict, set,
           frozenset)  # fmt: skip
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
# An object of a module is looked into, and what it holds, and that again.
_INSTANCES = 3
# On other systems than Windows this name holds a function that opens nothing.
_NOT_IT = {("ntpath", "_abspath_fallback")}

_WRAPS = (
    (types.MethodType, "__func__"), (staticmethod, "__func__"), (classmethod, "__func__"),
    (functools.partial, "func"), (functools.partialmethod, "func"),
    (types.FunctionType, "__wrapped__"), (type(functools.lru_cache(len)), "__wrapped__"),
)  # fmt: skip

# What bytes of the process's own making may name of the table: it loads what is guarded as well,
# calls what would have to be named, or builds a function that is contained when it is called.
_LOADS = Power.DESERIALIZE
_CALLS = Power.DESERIALIZE | Power.ATTRIBUTE
_CALLERS = frozenset({"builtins", "functools", "itertools", "operator", "_operator", "types"})
_NEVER = frozenset({"globals", "locals", "vars"})
_BUILDERS = ("cloudpickle.", "joblib.externals.cloudpickle.")
_BUILT = frozenset({("builtins", "code"), ("builtins", "function"), ("builtins", "cell"),
                    ("builtins", "module"), ("types", "new_class")})  # fmt: skip


class RefusedError(Exception):
    """What the gate raises here, in the place of Blocked, which would be recorded."""

    rule = "SH171"


class Asked(Gate):
    """The gate of a guarded process, without a trail."""

    def __init__(self) -> None:
        super().__init__("enforce", lambda: None, environ={})  # type: ignore[arg-type, return-value]

    def refuse(self, message: str, *_: Any, **__: Any) -> None:
        raise RefusedError(message)


def load() -> None:
    """Import what there is."""
    warnings.simplefilter("ignore")
    names = [name for name in sorted(sys.stdlib_module_names) if name not in _SKIPPED]
    for name in _LIBRARIES:
        names += sorted({one.partition(":")[0] for one in _listed(name)})
    for name in names:
        try:
            importlib.import_module(name)
        except (ImportError, OSError, AttributeError):
            continue  # of another system or version


def _listed(name: str) -> frozenset[str]:
    return preset(name).classes | preset(name).functions


# --- the walk -------------------------------------------------------------------------------


def _key(one: Any) -> object:
    """Return the same for each of the bound methods that one function makes."""
    if isinstance(one, types.MethodType):
        return id(one.__func__), "bound"
    if isinstance(one, types.BuiltinMethodType) and not _is_of_module(one):
        return _place(one.__self__, one.__name__), one.__name__
    return id(one)


def _is_of_module(one: types.BuiltinMethodType) -> bool:
    return one.__self__ is None or isinstance(one.__self__, types.ModuleType)


def _place(bound: Any, name: str) -> type:
    kinds = (*(bound.__mro__ if isinstance(bound, type) else ()), *type(bound).__mro__)
    return next((kind for kind in kinds if name in kind.__dict__), type(bound))


def walk(roots: Iterable[tuple[str, Any]], *, dunders: bool = False) -> list[tuple[str, Any, Any]]:
    """Return (path, object, owner) of everything that attributes lead to, each object once."""
    found = [(path, root, None) for path, root in roots]
    seen = {_key(root) for _, root, _ in found}
    waiting = [(path, root, 0) for path, root, _ in found]
    known: set[type] = set()
    for path, owner, depth in waiting:  # which grows
        deeper = depth + (not isinstance(owner, (types.ModuleType, type, *_FUNCTIONS)))
        if deeper > _INSTANCES:
            continue
        for name in _members(owner, known):
            if not dunders and name.startswith("__") and name.endswith("__"):
                continue  # no policy lets one through: see `ask_plain`
            try:
                value = getattr(owner, name)
            except Exception:  # noqa: BLE001, S112  (a property of its own)
                continue
            if isinstance(value, _VALUES) or (key := _key(value)) in seen:
                continue
            seen.add(key)
            below = f"{path}{':' if isinstance(owner, types.ModuleType) else '.'}{name}"
            found.append((below, value, owner))
            waiting.append((below, value, deeper))
    return found


def _members(owner: Any, known: set[type]) -> list[str]:
    """Return attributes; those of a class only with the first of its instances."""
    if not isinstance(owner, (types.ModuleType, type, *_FUNCTIONS)) and type(owner) in known:
        own = getattr(owner, "__dict__", {})
        return [name for name in own if isinstance(name, str)] if type(own) is dict else []
    known.add(type(owner))
    try:
        return [name for name in dir(owner) if isinstance(name, str)]
    except Exception:  # noqa: BLE001  (a `__dir__` of its own)
        return []


# --- what an object is ----------------------------------------------------------------------


def _bare(name: str) -> str:
    return ".".join(p if p.startswith("__") else p.removeprefix("_") for p in name.split("."))


def named_objects() -> dict[int, tuple[Any, Danger]]:
    """Return the objects that rows of the table name, by identity, of what is imported."""
    modules: dict[str, list[Any]] = {}
    for name, module in list(sys.modules.items()):
        modules.setdefault(_bare(name), []).append(module)
    found = {}
    for row in dangers.rows():
        for one in _at(modules, _bare(row.name).split(".")):
            home, _, name = row.name.rpartition(".")
            if callable(one) and dangers.lookup(home, name) is not None:  # else it is a value
                found[id(one)] = one, row
    return found


def _at(modules: dict[str, list[Any]], parts: list[str]) -> Iterator[Any]:
    for end in range(len(parts) - 1, 0, -1):
        for module in modules.get(".".join(parts[:end]), ()):
            reached = [module]
            for part in parts[end:]:
                names = (part, f"_{part}")
                reached = [getattr(one, n) for one in reached for n in names if hasattr(one, n)]
            yield from reached


def what(one: Any, left: int = 16) -> Iterator[tuple[str, str]]:
    """Yield where an object is from, through all that is wrapped around it."""
    wrapped = next(
        (getattr(one, name, None) for kind, name in _WRAPS if isinstance(one, kind)), None
    )
    if callable(wrapped) and left:
        yield from what(wrapped, left - 1)
    module, name = getattr(one, "__module__", None), getattr(one, "__qualname__", None)
    if isinstance(one, types.MethodType) or not callable(one):
        return
    if isinstance(module, str) and isinstance(name, str):
        yield module, name
    elif not isinstance(one, _FUNCTIONS) and not hasattr(one, "__objclass__"):
        yield type(one).__module__, type(one).__qualname__
    owner = getattr(one, "__objclass__", None)
    if isinstance(one, types.BuiltinMethodType) and not _is_of_module(one):
        owner = _place(one.__self__, one.__name__)
    if isinstance(owner, type) and one.__name__ != "__new__":
        yield owner.__module__, f"{owner.__qualname__}.{one.__name__}"
    if isinstance(one, type):
        for made_by in ("__new__", "__init__", "__setstate__"):
            place = next((kind for kind in one.__mro__ if made_by in kind.__dict__), one)
            if place is not one and place.__module__ != "builtins":
                yield place.__module__, place.__qualname__


def danger_of(
    one: Any, rows: dict[int, tuple[Any, Danger]]
) -> list[tuple[tuple[str, str], Danger]]:
    """Return each danger that an object is, with its home."""
    homes = list(what(one))
    found = [(home, row) for home in homes if (row := dangers.lookup(*home)) is not None]
    if id(one) in rows and not found and not _NOT_IT.intersection(homes):
        found.append((("", ""), rows[id(one)][1]))
    return found


def _may_be_minted(home: tuple[str, str], row: Danger) -> bool:
    module, name = home
    if home in _BUILT or f"{module}.".startswith(_BUILDERS):
        return name != "_getattribute"
    if row.powers & Power.ATTRIBUTE:
        return module in _CALLERS and not row.powers & ~_CALLS and name not in _NEVER
    return not row.powers & ~_LOADS


# --- the questions --------------------------------------------------------------------------

Found = list[tuple[str, Any, Any]]
_PLACE = "reachable_place"


def ask_under_a_bland_name(found: Found, rows: dict[int, Any]) -> dict[str, Any]:
    """Ask whether a danger is let through where nothing in its path gives it away.

    So no path leads to it, however long. Three questions: as a name in bytes of the process's own
    making, as a name in an artifact under ``"*"``, and as an attribute by the stand-in of getattr.
    """
    place = types.ModuleType(_PLACE)
    sys.modules[_PLACE] = place
    gate = Asked()
    entries.gate = gate
    everything = AllowList(["*"])
    hits: dict[str, Any] = {"minted": [], "everything": [], "getattr": [], "asked": 0}
    for path, one, owner in found:
        is_module = isinstance(one, types.ModuleType)
        what_it_is = [] if is_module else danger_of(one, rows)
        if not is_module and not what_it_is:
            continue
        hits["asked"] += 1
        place.one = one  # type: ignore[attr-defined]
        gate.known_minted.clear()
        hidden = [row.name for home, row in what_it_is if not _may_be_minted(home, row)]
        if _lets(gate.check_name, _PLACE, "one", MINTED, None) and (is_module or hidden):
            hits["minted"].append(path)
        everything._resolved.clear()
        if _lets(everything.resolve, _PLACE, "one"):
            hits["everything"].append(path)
        member = path.rpartition(":")[2].rpartition(".")[2]
        if hidden and _lets(reaching.reached_attribute, owner, member):
            hits["getattr"].append(path)
    del sys.modules[_PLACE]
    return hits


def _lets(ask: Callable[..., Any], *args: Any) -> bool:
    try:
        ask(*args)
    except Exception:  # noqa: BLE001  (a refusal, or no such thing)
        return False
    return True


def ask_plain() -> dict[str, Any]:
    """Ask for each attribute path below what untrusted bytes may name, to a fixed point."""
    gate, names = Asked(), plain_names()
    roots = [(f"{module}:{name}", found) for module, name in sorted(names)
             if (found := getattr(sys.modules[module], name, None)) is not None]  # fmt: skip
    asked, hits = 0, []
    for path, _, owner in walk(roots, dunders=True):
        module, _, name = path.partition(":")
        asked += 1
        if owner is not None and _lets(gate.check_name, module, name, UNTRUSTED, None):
            hits.append(path)
    for module, name in _old_spellings(names):
        asked += 1
        if _lets(gate.check_name, module, name, UNTRUSTED, None) and (
            dangers.modern(module, name) not in names or module in sys.modules
        ):
            hits.append(f"{module}:{name}")
    return {"asked": asked, "hits": hits}


def _old_spellings(names: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

    yield from NAME_MAPPING
    members = sorted({name for _, name in names})
    for module in IMPORT_MAPPING:
        for name in members:
            if (module, name) not in names:
                yield module, name


def ask_presets(
    rows: dict[int, Any], allow: AllowList, listed: Iterable[str]
) -> tuple[Found, list[str]]:
    """Ask what listed names resolve to, and for each attribute path below, to a fixed point."""
    roots, hits = [], []
    for one in sorted(listed):
        module, _, name = one.partition(":")
        try:
            roots.append((one, allow.resolve(module, name)))
        except Exception:  # noqa: BLE001, S112  (not in this version)
            continue
    for path, found, owner in walk(roots):
        module, _, name = path.partition(":")
        if owner is None or allow.permits(module, name):
            if path not in listed:
                hits.append(f"{path} is let through")
            dangerous = danger_of(found, rows)
            if dangerous and not getattr(found, "__module__", "").startswith("safehold.allow."):
                hits.append(f"{path} is {dangerous[0][1].name}")
    return [(path, found, None) for path, found in roots], hits


def _planted() -> Found:
    """Return what a danger may hide in; a name of its own it has none of."""
    import _io
    import mimetypes
    import subprocess

    class Quiet(functools.partial):  # type: ignore[type-arg]
        pass

    class Child(subprocess.Popen):  # type: ignore[type-arg]
        pass

    holder = types.SimpleNamespace(
        partial=functools.partial(os.system, "true"),
        argument=functools.partial(map, os.system),
        derived=Quiet(os.mkfifo),
        bound=mimetypes.MimeTypes().read,
        static=staticmethod(os.system),
        cached=functools.lru_cache(os.system),
        method=_io.FileIO.write,
        alias=os.system,
        made=Child,
        module=os,
    )
    return [(f"planted.{name}", value, holder) for name, value in vars(holder).items()]


def main() -> None:
    """Print what was asked and what was let through."""
    load()
    rows = named_objects()
    roots = [(name, module) for name, module in sorted(sys.modules.items())
             if isinstance(module, types.ModuleType)
             and not name.startswith(("safehold", "tests", "__main__"))]  # fmt: skip
    found = walk(roots)
    allow = AllowList(_LIBRARIES)
    listed = frozenset().union(*(_listed(name) for name in _LIBRARIES))
    resolved, preset_hits = ask_presets(rows, allow, listed)
    plain = [(f"{module}:{name}", getattr(sys.modules[module], name, None), None)
             for module, name in sorted(plain_names())]  # fmt: skip
    called = [(path, one) for path, one, _ in [*resolved, *plain] if callable(one)]
    called.append(("planted: returns a module", lambda: sys))
    called.append(("planted: imports by name", lambda name: importlib.import_module(name).system))
    called.append(("planted: makes a directory", lambda path, *_: os.mkdir(path)))
    result: dict[str, Any] = {
        "walked": len(found),
        "named": len(rows),
        "resolved": len(resolved),
        "bland": ask_under_a_bland_name(found, rows),
        "plain": ask_plain(),
        "presets": preset_hits,
        "planted": ask_under_a_bland_name(_planted(), rows),
        "calls": call_all(called, lambda one: bool(danger_of(one, rows))),
    }
    # The same questions, once the policy no longer looks behind names, and lists too much.
    blind: Callable[[Any], list[tuple[str, str]]] = lambda _: []  # noqa: E731
    dangers.homes = dangers.makers = blind  # type: ignore[assignment]
    result["blind"] = ask_under_a_bland_name(_planted(), rows)
    allow._functions |= {"subprocess:Popen"}  # type: ignore[misc]
    allow._classes |= {"collections:OrderedDict.fromkeys"}  # type: ignore[misc]
    some = {"subprocess:Popen", "collections:OrderedDict"}
    result["open"] = ask_presets(rows, allow, some)[1]
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
