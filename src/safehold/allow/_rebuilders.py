"""Argument rules for the functions that libraries name to rebuild an object of a given class.

Most end in ``cls.__new__(cls, ...)`` or ``cls.method(**state)`` without asking what ``cls`` is.
Given an object with an attribute of that name instead, they call whatever the attribute holds.
Rules are asked as `safehold.allow._arguments` says.
"""

from __future__ import annotations

import re
from typing import Any

from safehold.allow._arguments import Rule, named

# A zone's name; pandas reads "dateutil/PATH" from any path, absolute ones too.
_ZONE = re.compile(r"(?!dateutil)[A-Za-z0-9_+:-]+(?:/(?!dateutil)[A-Za-z0-9_+-]+){0,3}")
# What dumps give to offsets and blocks: numbers, arrays, dates and other offsets.
_PLAIN_MAKERS = re.compile(r"numpy\b.*|datetime|dateutil\.relativedelta|pandas\b.*|builtins")

# Their items are attributes, too.
_WITH_ITEMS = frozenset({"DataFrame", "Series"})


def _class_of(*packages: str, ending: str = "") -> Rule:
    """The first argument is a class of these packages, by name."""

    def rule(args: tuple[Any, ...]) -> bool:
        found = named(args[0]) if args else None
        if found is None:
            return False
        return found[0].partition(".")[0] in packages and found[1].endswith(ending)

    return rule


def _index(args: tuple[Any, ...]) -> bool:
    """A class of indexes and the keyword arguments it is made with."""
    if len(args) != 2 or not _class_of("pandas", ending="Index")(args):
        return False
    state = args[1]
    if getattr(state, "kind", None) != "dict" or not getattr(state, "whole", False):
        return False
    given = [state.get("tz"), state.get("dtype"), state.get("freq")]
    return not any(_may_be_path(value) for value in given)


def _may_be_path(value: object) -> bool:
    """Whether pandas could take a text for the file of a time zone; long texts are not kept."""
    if isinstance(value, str):
        return "dateutil" in value
    return getattr(value, "kind", None) in {"str", "text"}


def _stamp(args: tuple[Any, ...]) -> bool:
    """A number first; a time zone by its plain name, if by name at all."""
    return all(_ZONE.fullmatch(arg) is not None for arg in args[1:] if isinstance(arg, str))


def _offset(args: tuple[Any, ...]) -> bool:
    """A calendar's ``holidays`` are called; real dumps hold numpy's calendar or none."""
    makers = [named(arg.maker) for arg in args if hasattr(arg, "maker")]
    return all(
        maker is not None
        and maker[1] not in _WITH_ITEMS
        and _PLAIN_MAKERS.fullmatch(maker[0]) is not None
        for maker in makers
    )


def _text(args: tuple[Any, ...]) -> bool:
    """``str`` of anything else runs its ``__repr__``."""
    return all(isinstance(arg, str) for arg in args)


def _masked(args: tuple[Any, ...]) -> bool:
    """Made empty, as an array; the first argument's ``__new__`` is called with it."""
    if len(args) != 4 or type(args[2]) is not tuple or args[2] not in {(0,), ()}:
        return False
    names = [named(arg) for arg in args[:2] if not hasattr(arg, "maker")]
    return len(names) == 2 and all(name is None or name[0].startswith("numpy") for name in names)


def _listed(args: tuple[Any, ...]) -> bool:
    """A list: anything else is unfolded, however much it stands for, as a network does."""
    return not args or (
        len(args) == 1
        and (type(args[0]) in (list, tuple) or getattr(args[0], "kind", None) in {"list", "tuple"})
    )


def _factory(args: tuple[Any, ...]) -> bool:
    """What is called for a missing key: a name, or nothing."""
    return len(args) <= 1 and all(arg is None or named(arg) is not None for arg in args)


def _cython(packages: tuple[str, ...]) -> Rule:
    """Cython calls ``__new__`` of what it is given, and sets what a dict in the state holds."""
    is_class = _class_of(*packages)

    def rule(args: tuple[Any, ...]) -> bool:
        state = args[2:]
        if state and type(state[0]) is tuple:
            state = state[0]
        elif state and state[0] is not None:
            return False
        return is_class(args) and not any(getattr(part, "odd", False) for part in state)

    return rule


_NEW_OBJECT: dict[tuple[str, str], Rule] = {
    (module, "newObj"): _class_of("sklearn")
    for module in (
        "sklearn.metrics._dist_metrics",
        *(
            f"sklearn.neighbors.{name}"
            for name in "_ball_tree _dist_metrics _kd_tree ball_tree dist_metrics kd_tree".split()
        ),
    )
}
_STAMPS = {
    ("pandas._libs.tslibs.timestamps", name): _stamp
    for name in ("Timestamp", "_unpickle_timestamp")
}
_REBUILDERS: dict[tuple[str, str], Rule] = {
    **_NEW_OBJECT,
    **_STAMPS,
    ("collections", "UserString"): _text,
    ("collections", "defaultdict"): _factory,
    ("numpy.ma.core", "_mareconstruct"): _masked,
    ("numpy._core", "_DType_reconstruct"): _class_of("numpy", "builtins"),
    ("numpy.core", "_DType_reconstruct"): _class_of("numpy", "builtins"),
    ("pandas.api.typing", "FrozenList"): _listed,
    ("pandas.core.indexes.base", "_new_Index"): _index,
    ("pandas.core.indexes.frozen", "FrozenList"): _listed,
    ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"): _index,
    ("pandas.core.indexes.interval", "_new_IntervalIndex"): _index,
    ("pandas.core.indexes.timedeltas", "_new_TimedeltaIndex"): _index,
}
_CYTHON = re.compile(r"__pyx_unpickle_\w+")
_OFFSETS = "pandas._libs.tslibs.offsets"


def rebuilder(module: str, qualname: str) -> Rule | None:
    """Return the rule for one name, or None."""
    if _CYTHON.fullmatch(qualname):
        return _cython((module.partition(".")[0], "sklearn", "_loss"))
    if module == _OFFSETS:
        return _offset
    return _REBUILDERS.get((module, qualname))
