"""Stand-ins for the boosters of xgboost and lightgbm, whose state holds a model for C code.

Both keep the address of C memory beside it and free it when they are deleted. ``__setstate__``
replaces the model by an address; anything that lets a file set the address itself lets it free
any memory. So a state has to be a dict with nothing but a model in its place, and the constructors,
which open any path, take nothing. The C code that reads a model is not bounded by this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Where the model stands: lightgbm renamed it in 4.0.
_PLACES: dict[tuple[str, str], tuple[frozenset[str], tuple[type, ...]]] = {
    ("xgboost.core", "Booster"): (frozenset({"handle"}), (bytearray,)),
    ("lightgbm.basic", "Booster"): (frozenset({"handle", "_handle"}), (str,)),
}


def model_places(module: str, qualname: str) -> tuple[frozenset[str], tuple[type, ...]] | None:
    """Return the keys under which a booster's state holds its model, and the types of a model."""
    return _PLACES.get((module, qualname))


def guarded(real: type, module: str, qualname: str) -> type | None:
    """Return a stand-in for the class of a booster, or None for any other class.

    What it makes becomes an instance of the real class with its state.
    """
    places = _PLACES.get((module, qualname))
    return None if places is None else _stand_in(real, *places)


def _stand_in(real: Any, keys: frozenset[str], kinds: tuple[type, ...]) -> type:
    set_state: Callable[[Any, Any], None] = real.__setstate__

    class Booster(real):  # type: ignore[misc]  # a class that is known when it is loaded
        def __init__(self) -> None:
            """Take nothing: the arguments of the real class open files."""

        def __setstate__(self, state: object) -> None:
            if type(state) is not dict or any(type(key) is not str for key in state):
                message = f"the state of a {real.__qualname__} is a dict, not {type(state)}"
                raise ValueError(message)
            for key in keys & state.keys():
                if state[key] is not None and type(state[key]) not in kinds:
                    message = f"{key!r} of a {real.__qualname__} holds no model"
                    raise ValueError(message)
            if any(key.startswith("__") for key in state):
                message = f"the state of a {real.__qualname__} has a special name"
                raise ValueError(message)
            set_state(self, state)
            self.__class__ = real

    return Booster
