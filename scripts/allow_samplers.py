"""Estimators of imbalanced-learn and category_encoders, unfitted and fitted.

Part of `allow_objects.py`; runs with old versions too and leaves out what they do not have.
"""

# ruff: noqa: S112  (what a version or a data set does not support is left out, which is the point)

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any


def imblearn_models() -> Iterator[tuple[str, Any]]:
    """Every class of imbalanced-learn that is an estimator."""
    import numpy as np
    from imblearn.base import FunctionSampler, is_sampler
    from imblearn.pipeline import make_pipeline
    from imblearn.under_sampling import RandomUnderSampler
    from sklearn.linear_model import LogisticRegression

    source = np.random.RandomState(0)
    table, target = source.rand(60, 4), (np.arange(60) % 4 == 0).astype(int)
    for name, kind in _classes("imblearn"):
        given = {"categorical_features": [0]} if name == "SMOTENC" else {}
        try:
            made = kind(**given)
        except TypeError:
            continue
        yield f"{name} unfitted", made
        try:
            fitted = kind(**given)
            (fitted.fit_resample if is_sampler(fitted) else fitted.fit)(table, target)
        except Exception:  # noqa: BLE001  (wants other data)
            continue
        yield name, fitted
    yield "FunctionSampler of a function", FunctionSampler(func=np.unique)
    yield "Pipeline", make_pipeline(RandomUnderSampler(), LogisticRegression()).fit(table, target)


def category_encoders_models() -> Iterator[tuple[str, Any]]:
    """Every encoder of category_encoders."""
    import category_encoders
    import numpy as np
    import pandas as pd

    table = pd.DataFrame({"k": list("abcd") * 10, "n": np.arange(40.0)})
    for name in category_encoders.__all__:
        kind = getattr(category_encoders, name)
        try:
            made = kind(cols=["k"])
        except TypeError:
            continue
        yield f"{name} unfitted", made
        try:
            made.fit(table, np.arange(40) % 2)
        except Exception:  # noqa: BLE001  (wants other data)
            continue
        yield name, made


def _classes(package: str) -> Iterator[tuple[str, type]]:
    from sklearn.base import BaseEstimator

    seen: set[type] = set()
    for info in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if any(part in info.name for part in (".tests", ".keras", ".tensorflow", ".utils")):
            continue
        try:
            module = importlib.import_module(info.name)
        except Exception:  # noqa: BLE001  (needs a library that is not here)
            continue
        for name, kind in sorted(vars(module).items()):
            if (
                inspect.isclass(kind)
                and issubclass(kind, BaseEstimator)
                and kind.__module__.startswith(package)
                and not inspect.isabstract(kind)
                and kind not in seen
            ):
                seen.add(kind)
                yield name, kind
