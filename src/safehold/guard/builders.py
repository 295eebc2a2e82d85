"""What bytes of this process's own making may name of the dangers, and why that is none."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from safehold.dangers import Power

# What only calls, reads attributes or builds functions is harmless in bytes of this process's
# own making, as what it would call is a name too, or is stopped when it acts.
_BUILDERS: Final = (
    "cloudpickle.",
    "joblib.externals.cloudpickle.",
    "ray.cloudpickle.",
    "dill._dill.",
    "dask.",
    "distributed.",
)
# Modules whose calls of other things are values, as partial and itemgetter are.
_CALLERS: Final = frozenset(
    {"builtins", "functools", "itertools", "operator", "_operator", "types", "typing"}
)
_BUILT: Final = frozenset({("types", "CodeType"), ("types", "FunctionType"), ("types", "CellType"),
                           ("types", "ModuleType"), ("types", "new_class"), ("builtins", "code"),
                           ("builtins", "function"), ("builtins", "cell"),
                           ("builtins", "module")})  # fmt: skip
# They hand out whole modules, or any name of one: no honest value calls them.
_NEVER: Final = frozenset({("builtins", "globals"), ("builtins", "locals"), ("builtins", "vars"),
                           ("dill._dill", "_eval_repr"), ("dill._dill", "_getattribute"),
                           ("cloudpickle.cloudpickle", "_getattribute"),
                           ("joblib.externals.cloudpickle.cloudpickle", "_getattribute"),
                           ("ray.cloudpickle.cloudpickle", "_getattribute"),
                           ("distributed.utils", "import_term")})  # fmt: skip


def only_builds(module: str, name: str, powers: Any) -> bool:
    """Say whether a danger is none in bytes of this process's making.

    What it loads in turn is guarded as well, and what it would call is named or contained.
    """
    if (module, name) in _NEVER:
        return False
    if (module, name) in _BUILT or f"{module}.".startswith(_BUILDERS):
        return True
    if powers & Power.ATTRIBUTE and module not in _CALLERS:
        return False
    return not powers & ~(Power.ATTRIBUTE | Power.DESERIALIZE)


# Their picklers write what is in them; dill alone names one, the dictionary of a module.
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)


def why_never(found: Any, name: str) -> str:
    """Return why no honest bytes of this process name an object, ``""`` if they may."""
    if isinstance(found, ModuleType):
        return "is a module"
    if type(found) in _CONTAINERS and name != "__dict__":
        return "is a container, whose parts the bytes could call"
    return ""
