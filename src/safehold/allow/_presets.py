"""Presets: one JSON file per library, read at first use."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from typing import Literal

from safehold.errors import ConfigError

# class: instantiated and given state. function: called or merely named, never given state.
Role = Literal["class", "function"]

PRESETS: tuple[str, ...] = (
    "builtins", "category_encoders", "imblearn", "joblib", "lightgbm", "numpy", "pandas", "scipy",
    "sklearn", "torch", "xgboost",
)  # fmt: skip

# A model of one library holds objects of these; joblib is how arrays are stored in its files.
_WITH: dict[str, tuple[str, ...]] = {
    "category_encoders": ("sklearn", "pandas", "scipy", "numpy", "joblib"),
    "imblearn": ("sklearn", "scipy", "numpy", "joblib"),
    "lightgbm": ("sklearn", "scipy", "numpy", "joblib"),
    "numpy": ("joblib",),
    "pandas": ("numpy", "joblib"),
    "scipy": ("numpy", "joblib"),
    "sklearn": ("scipy", "numpy", "joblib"),
    "xgboost": ("sklearn", "scipy", "numpy", "joblib"),
}


@dataclass(frozen=True, slots=True)
class Preset:
    """Names of one library that may stand in an artifact, as ``module:qualname``.

    ``called`` are the functions that real dumps call and the classes that they call with
    arguments; ``elsewhere`` are names of other versions than the newest one covered.
    """

    name: str
    versions: str
    classes: frozenset[str]
    functions: frozenset[str]
    called: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()


@cache
def preset(name: str) -> Preset:
    """Return a preset by name.

    Raises:
        ConfigError: no preset has that name; the message lists those that exist.
    """
    if name not in PRESETS:
        message = f"unknown allow preset {name!r}; known: {', '.join(PRESETS)}"
        raise ConfigError(message)
    with open(os.path.join(os.path.dirname(__file__), f"{name}.json"), "rb") as file:
        data = json.load(file)
    return Preset(
        name=name,
        versions=data["versions"],
        classes=_names(data["classes"]),
        functions=_names(data["functions"]),
        called=_names(data["called"]),
        elsewhere=_names(data["elsewhere"]),
    )


def with_needed(names: frozenset[str]) -> frozenset[str]:
    """Return preset names together with those that they cannot do without."""
    return names.union({"builtins"}, *(_WITH.get(name, ()) for name in names))


def _names(modules: dict[str, list[str]]) -> frozenset[str]:
    return frozenset(
        f"{module}:{qualname}" for module, qualnames in modules.items() for qualname in qualnames
    )
