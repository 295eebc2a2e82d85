"""Models of xgboost and lightgbm: every estimator and option that brings names of its own.

Part of `allow_objects.py`; runs with old versions too and leaves out what they do not have.
"""

# ruff: noqa: PLW0108  (a lambda puts off the lookup of a name that an old version does not have)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def own_objective(truth: Any, predicted: Any) -> tuple[Any, Any]:
    """Stand for a user's objective; the review leaves its name out."""
    return predicted - truth, predicted * 0 + 1.0


def _made(*makers: Any) -> Iterator[tuple[str, Any]]:
    for maker in makers:
        try:
            thing = maker()
        except Exception:  # noqa: BLE001, S112  (an older or newer version)
            continue
        yield repr(maker), thing


def _data() -> dict[str, Any]:
    import numpy as np

    source = np.random.RandomState(0)
    table = source.rand(60, 4)
    two = (table[:, 0] > np.median(table[:, 0])).astype(int)
    return {
        "table": table,
        "two": two,
        "three": np.arange(60) % 3,
        "words": np.where(two == 1, "yes", "no"),
        "number": table @ np.arange(1.0, 5.0),
        "numbers": table @ source.rand(4, 2),
        "labels": np.stack([two, 1 - two], axis=1),
        "groups": [30, 30],
    }


def _frame(table: Any) -> Any:
    import pandas as pd

    frame = pd.DataFrame(table, columns=list("abcd"))
    frame["a"] = pd.Categorical(["x", "y", "z"] * 20)
    return frame


def xgboost_models() -> Iterator[tuple[str, Any]]:
    """Estimators and boosters, unfitted and fitted."""
    import xgboost

    data = _data()
    table, two, number = data["table"], data["two"], data["number"]
    small: dict[str, Any] = {"n_estimators": 3, "n_jobs": 1}
    kinds = {
        "XGBClassifier": ("two", "three", "labels"),
        "XGBRFClassifier": ("two",),
        "XGBRegressor": ("number", "numbers"),
        "XGBRFRegressor": ("number",),
    }
    for name, targets in kinds.items():
        kind = getattr(xgboost, name)
        yield from _made(kind, lambda kind=kind: kind(**small))
        for target in targets:
            yield from _made(lambda kind=kind, t=target: kind(**small).fit(table, data[t]))
    for booster in ("gblinear", "dart", "gbtree"):
        yield from _made(
            lambda b=booster: xgboost.XGBClassifier(booster=b, **small).fit(table, two),
            lambda b=booster: xgboost.XGBRegressor(booster=b, **small).fit(table, number),
        )
    yield from _made(
        xgboost.XGBModel,
        xgboost.XGBRanker,
        lambda: xgboost.XGBRanker(**small).fit(table, two, group=data["groups"]),
        lambda: xgboost.XGBRegressor(objective="reg:quantileerror", quantile_alpha=0.5, **small),
        lambda: xgboost.XGBRegressor(objective=own_objective, **small).fit(table, number),
        lambda: xgboost.XGBClassifier(enable_categorical=True, tree_method="hist", **small).fit(
            _frame(table), two
        ),
        lambda: xgboost.XGBClassifier(callbacks=[xgboost.callback.EarlyStopping(2)], **small),
        lambda: xgboost.XGBClassifier(early_stopping_rounds=2, **small).fit(
            table, two, eval_set=[(table, two)], verbose=False
        ),
        lambda: xgboost.Booster(),
    )
    for params in ({}, {"objective": "binary:logistic"}, {"booster": "gblinear"}):
        yield from _made(
            lambda params=params: xgboost.train(params, xgboost.DMatrix(table, two), 3),
        )


def lightgbm_models() -> Iterator[tuple[str, Any]]:
    """Estimators and boosters, unfitted and fitted."""
    import lightgbm

    data = _data()
    table, two, number = data["table"], data["two"], data["number"]
    small: dict[str, Any] = {
        "n_estimators": 3, "n_jobs": 1, "min_child_samples": 2, "verbose": -1,
    }  # fmt: skip
    kinds = {"LGBMClassifier": ("two", "three", "words"), "LGBMRegressor": ("number",)}
    for name, targets in kinds.items():
        kind = getattr(lightgbm, name)
        yield from _made(kind, lambda kind=kind: kind(**small))
        for target in targets:
            yield from _made(lambda kind=kind, t=target: kind(**small).fit(table, data[t]))
        for boosting in ("dart", "rf", "goss"):
            options = {"bagging_freq": 1, "bagging_fraction": 0.5} if boosting == "rf" else {}
            yield from _made(
                lambda kind=kind, b=boosting, more=options: kind(
                    boosting_type=b, **small, **more
                ).fit(table, two)
            )
    yield from _made(
        lightgbm.LGBMModel,
        lightgbm.LGBMRanker,
        lambda: lightgbm.LGBMRanker(**small).fit(table, two, group=data["groups"]),
        lambda: lightgbm.LGBMRegressor(objective=own_objective, **small).fit(table, number),
        lambda: lightgbm.LGBMRegressor(objective="quantile", alpha=0.5, **small).fit(table, number),
        lambda: lightgbm.LGBMClassifier(**small).fit(_frame(table), two),
        lambda: lightgbm.LGBMClassifier(**small).fit(
            table, two, eval_set=[(table, two)], callbacks=[lightgbm.early_stopping(2)]
        ),
    )
    params = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}
    for objective in ("binary", "regression", "lambdarank"):
        group = data["groups"] if objective == "lambdarank" else None
        yield from _made(
            lambda o=objective, g=group: lightgbm.train(
                {"objective": o, **params}, lightgbm.Dataset(table, two, group=g), 3
            ),
            lambda o=objective, g=group: lightgbm.train(
                {"objective": o, **params},
                lightgbm.Dataset(table, two, group=g),
                3,
                valid_sets=[lightgbm.Dataset(table, two, group=g)],
            ),
        )
