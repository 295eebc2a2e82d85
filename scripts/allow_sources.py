"""Read the source of what runs while loading, and report what reaches something dangerous.

For a class these are the methods that pickle opcodes can reach with data of the file: making,
state, items, attributes, comparison, deletion and calls. Calls are followed through functions and
methods of the same library, a few steps deep. C and Cython code has no source here; `allow_review`
lists what was read by hand.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
import types
from functools import cache
from typing import Any

from safehold import dangers

# SETITEMS, APPENDS, ADDITEMS, BUILD, NEWOBJ and REDUCE call these; dict keys and sets the next two.
LOADING = (
    "__new__", "__init__", "__setstate__", "__setitem__", "append", "extend", "add", "__setattr__",
    "__getattr__", "__getattribute__", "__hash__", "__eq__", "__del__", "__call__", "__iter__",
    "__len__", "__array_finalize__", "__reduce__", "__reduce_ex__",
)  # fmt: skip
_STEPS = 4
# Functions that read or set an attribute, and where its name stands among their arguments.
_BY_NAME = {
    "builtins.getattr": 1, "builtins.setattr": 1, "builtins.delattr": 1,
    "operator.attrgetter": 0, "operator.methodcaller": 0,
}  # fmt: skip
# Code of a library may use these as it likes; a file may not name them.
_HARMLESS = frozenset({
    "posix.fspath", "sys._getframe", "sys.getrefcount", "sys.getsizeof", "sys.intern",
    "warnings.filterwarnings", "warnings.simplefilter",
})  # fmt: skip
_VENDORED = ("sklearn.externals.array_api", "sklearn.externals._packaging")


def has_source(thing: Any) -> bool:
    """Whether Python source of a class or function can be read."""
    if isinstance(thing, type) and any(
        isinstance(member, types.FunctionType) for member in vars(thing).values()
    ):
        # A named tuple has generated functions only.
        return not hasattr(thing, "_field_defaults")
    try:
        inspect.getsource(thing)
    except (OSError, TypeError):
        return False
    return True


def suspicions(thing: Any) -> set[str]:
    """Return "function: what it calls" for each suspicious call that loading can reach."""
    starts = [_method(thing, name) for name in LOADING] if isinstance(thing, type) else [thing]
    owner = thing if isinstance(thing, type) else None
    found: set[str] = set()
    seen: dict[str, int] = {}
    for start in starts:
        _follow(start, owner, 0, seen, found)
    return found


def _method(owner: type, name: str) -> Any:
    for base in owner.__mro__:
        if name in vars(base):
            method = vars(base)[name]
            method = getattr(method, "__func__", method)
            return method if isinstance(method, types.FunctionType) else None
    return None


def _follow(
    function: Any, owner: type | None, steps: int, seen: dict[str, int], found: set[str]
) -> None:
    function = inspect.unwrap(function) if callable(function) else function
    if not isinstance(function, types.FunctionType) or steps > _STEPS:
        return
    label = f"{function.__module__}.{function.__qualname__}"
    if seen.get(label, _STEPS + 1) <= steps:
        return
    seen[label] = steps
    for call in _calls(function):
        target = _target(call.func, function, owner)
        note = _note(call, target)
        if note:
            found.add(f"{label}: {note}")
        elif isinstance(target, types.FunctionType) and _same_library(target, function):
            _follow(target, owner, steps + 1, seen, found)


@cache
def _calls(function: types.FunctionType) -> tuple[ast.Call, ...]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _same_library(left: Any, right: Any) -> bool:
    return str(left.__module__).split(".")[0] == str(right.__module__).split(".")[0]


def _target(node: ast.expr, function: types.FunctionType, owner: type | None) -> Any:
    """Return the object that a call names, as far as globals and ``self`` say."""
    if isinstance(node, ast.Name):
        return function.__globals__.get(node.id, vars(builtins).get(node.id))
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"} and owner:
            return _method(owner, node.attr)
        home = _target(node.value, function, owner)
        if isinstance(home, types.ModuleType | type):
            return getattr(home, node.attr, None)
    return None


def _note(call: ast.Call, target: Any) -> str:
    module = getattr(target, "__module__", None)
    qualname = getattr(target, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        return ""
    place = _BY_NAME.get(f"{module}.{qualname}")
    if place is not None:
        wanted = call.args[place] if len(call.args) > place else None
        return "" if isinstance(wanted, ast.Constant) else f"{qualname} of a name it was given"
    last = qualname.rpartition(".")[2]
    if f"{module}.{qualname}" in _HARMLESS or last.startswith("__") or module.startswith(_VENDORED):
        return ""
    danger = dangers.lookup(module, qualname)
    if danger is None or danger.powers == dangers.Power.ATTRIBUTE:
        return ""
    return f"{module}.{qualname} {danger.why}"
