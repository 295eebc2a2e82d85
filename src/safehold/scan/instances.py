"""What an instance may be given: a state, items, keyword arguments.

Loading looks names up on the instance: ``__setstate__``, ``append``, ``extend``, ``add``. An
instance whose own attributes have these names calls whatever they hold, with what the file
says. Real dumps give items first and one state last, so another order is an attack.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from safehold.allow import model_places
from safehold.scan.dtypes import check_state
from safehold.scan.values import Blob, Box, Global, Made, Opaque, is_odd_key

_DTYPE: Final = ("numpy", "dtype")
VERSION: Final = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,39}", re.ASCII)
"""What is taken for a version, whoever wrote it."""
_PARTIAL: Final = ("functools", "partial")
# The one function that models keep in a partial; see `safehold.allow`.
_PARTIAL_OF: Final = ("sklearn.utils.validation", "check_array")
# Calls that return what the process has already, not a new instance.
_EXISTING: Final = frozenset({
    ("builtins", "getattr"), ("builtins", "type"), ("re", "_compile"), ("re", "RegexFlag"),
    ("uuid", "SafeUUID"), ("zoneinfo", "ZoneInfo"), ("zoneinfo", "ZoneInfo._unpickle"),
    ("torch.serialization", "_get_layout"),
    ("numpy._core", "_DType_reconstruct"), ("numpy.core", "_DType_reconstruct"),
    ("numpy.ma.core", "MaskedConstant"), ("pandas", "PeriodDtype"),
    ("pandas.core.dtypes.dtypes", "PeriodDtype"), ("pytz", "_UTC"), ("pytz", "_p"),
    ("pandas._libs.tslibs.nattype", "_nat_unpickle"),
    ("pandas._libs.tslibs.nattype", "__nat_unpickle"),
})  # fmt: skip
_BUILTINS: Final = ("builtins", "__builtin__")
# Dicts whose items are attributes too have other homes.
_PLAIN_HOMES: Final = ("builtins", "collections")
_MAPPINGS: Final = frozenset(
    "OrderedDict defaultdict Counter dict Bunch OptimizeResult OdeResult RootResults "
    "DeprecationDict _DictWithDeprecatedKeys SimpleNamespace".split()
)
# Objects that pandas takes as a state; of any other kind, Python code would ask it for methods.
_STATES: Final = ("numpy", "pandas", "datetime", "_codecs")
# Methods of its own that a ``__setstate__`` calls.
_CALLED: Final = {
    ("sklearn.isotonic", "IsotonicRegression"): "_build_f",
}


def state_fault(target: Made, state: Any, *, own: bool) -> str | None:
    """Return what is wrong with giving a state to an instance, or None.

    ``own``: its class is the caller's own, or not known and a finding by itself; it may take a
    state of any form.
    """
    if target.built > 1:
        return "is given a state twice"
    maker = _name(target.maker)
    if exists_already(maker):
        return "exists already and is changed"
    if _checks_its_state(maker):
        return _special_fault(target, maker, state)
    if isinstance(state, Made) and not own and _package(state.maker) not in _STATES:
        return "is given a state that cannot be told"
    fault = _method_fault(target, maker, state)
    if fault is not None:
        return fault
    for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
        if isinstance(part, Box) and part.kind == "dict":
            if part.odd and not own:
                return "is given a special name"
            if own and part.get("__setstate__") is not None:
                return "is given a special name"
        elif isinstance(part, Made) and not own and _name(part.maker)[1] in _MAPPINGS:
            return "is given a state that cannot be told"
    return None


def written_with(target: Made, state: Any) -> set[tuple[str, str]]:
    """Return the library and version that an estimator says it was written with."""
    if not isinstance(state, Box) or state.kind != "dict":
        return set()
    version = state.get("_sklearn_version")
    known = isinstance(version, str) and VERSION.fullmatch(version) is not None
    return {("sklearn", version)} if known and _package(target.maker) == "sklearn" else set()


@lru_cache(maxsize=1024)
def exists_already(maker: tuple[str, str]) -> bool:
    """Whether a call of this name returns what the process has, which no state may change."""
    return maker in _EXISTING or maker[0] == "numpy.dtypes"


def called_method(maker: tuple[str, str]) -> str | None:
    """Return the method that a class calls on the instance while it takes its state."""
    return _CALLED.get(maker)


@lru_cache(maxsize=1024)
def _checks_its_state(maker: tuple[str, str]) -> bool:
    return maker in {_PARTIAL, _DTYPE} or model_places(*maker) is not None


def _special_fault(target: Made, maker: tuple[str, str], state: Any) -> str | None:
    places = model_places(*maker)
    if places is not None:
        return _booster_fault(state, *places)
    if maker == _PARTIAL:
        return None if _is_partial_state(state) else "is given another function"
    return check_state(target, state)


def _booster_fault(state: Any, keys: frozenset[str], kinds: tuple[type, ...]) -> str | None:
    """A booster frees the address of its model; see `safehold.allow`."""
    if not isinstance(state, Box) or state.kind != "dict" or not state.whole or state.odd:
        return "is given a state that cannot be told"
    for key in keys:
        model = state.get(key)
        if model is not None and not any(_is_of(model, kind) for kind in kinds):
            return "is given an address, not a model"
    return None


def _is_of(value: Any, kind: type) -> bool:
    if isinstance(value, Made):  # protocols below 5 spell a bytearray as a call
        return _name(value.maker) in {(home, kind.__name__) for home in _BUILTINS}
    if isinstance(value, Blob | Opaque):
        return value.kind == kind.__name__ or (kind is str and value.kind == "text")
    return type(value) is kind


def items_fault(target: Made, keys: list[Any] | None, *, function: bool) -> str | None:
    """Return what is wrong with adding items, or None; ``keys`` of a dict, None for a list.

    ``function``: it was made by one that gives it all that it holds, methods maybe included.
    """
    if target.built:
        return "is given items after its state"
    if function:
        return "is given items, which is whole without them"
    if keys is not None and _package(target.maker) == "pandas":
        # A frame calls a key that can be called.
        return "is given items by key"
    if keys is None:
        return "is given items after items with keys" if target.keyed else None
    target.keyed = True
    if _name(target.maker)[0] not in _PLAIN_HOMES and any(map(is_odd_key, keys)):
        return "is given a special name"
    return None


def _method_fault(target: Made, maker: tuple[str, str], state: Any) -> str | None:
    if _shadows(called_method(maker), state):
        return "is given a method that its class calls"
    if _package(target.maker) == "pandas" and maker[1].startswith("_new_"):
        return "is given a state, which is whole without one"
    if maker[1] == "CategoricalDtype" and not _is_index(state):
        return "is given categories that are no index"
    return None


def _is_index(state: Any) -> bool:
    """Two dtypes that are keys are compared by a method of their categories."""
    if not isinstance(state, Box) or not state.whole:
        return False
    categories = state.get("categories")
    if categories is None:
        return True
    return isinstance(categories, Made) and _package(categories.maker) in {"pandas", "numpy"}


def _shadows(method: str | None, state: Any) -> bool:
    if method is None or not isinstance(state, Box):
        return False
    return not state.whole or state.get(method) is not None


def _package(maker: Any) -> str:
    return _name(maker)[0].partition(".")[0]


def _is_partial_state(state: Any) -> bool:
    if not isinstance(state, tuple) or len(state) != 4 or not isinstance(state[1], tuple):
        return False
    return _name(state[0]) == _PARTIAL_OF


def _name(value: Any) -> tuple[str, str]:
    return (value.module, value.name) if isinstance(value, Global) else ("", "")
