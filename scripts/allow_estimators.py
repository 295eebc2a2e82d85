"""Every scikit-learn estimator, fitted where a small data set suits it.

With it come the options that bring names of their own: losses, kernels, criteria, metrics,
splitters, scorers. Part of `allow_objects.py`; runs with old versions too and leaves out what they
do not have.
"""

# ruff: noqa: S112  (what a version or a data set does not support is left out, which is the point)
# ruff: noqa: PLW0108  (a lambda puts off the lookup of a name that an old version does not have)

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

# One small value for each parameter without a default, and for those that make fitting slow.
_GIVEN = {
    "n_estimators": 2, "max_iter": 20, "n_iter": 2, "n_components": 2, "n_clusters": 2, "cv": 2,
    "random_state": 0, "n_init": 1, "min_samples_leaf": 1, "n_resampling": 2,
}  # fmt: skip


def estimators() -> Iterator[tuple[str, Any]]:
    """Yield (label, object) for estimators and for what stands beside them."""
    data = _data()
    for name, kind in _kinds():
        for made in _instances(name, kind):
            yield f"{name} unfitted", made
            yield from _fitted(name, made, data)
    yield from _options(data)
    yield from _beside()


def _kinds() -> list[tuple[str, type]]:
    try:
        from sklearn.utils import all_estimators
    except ImportError:
        from sklearn.utils.testing import all_estimators
    # Experimental estimators register themselves when these are imported.
    for module in ("enable_hist_gradient_boosting", "enable_iterative_imputer",
                   "enable_halving_search_cv"):  # fmt: skip
        _import(f"sklearn.experimental.{module}")
    return list(all_estimators())


def _import(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _data() -> dict[str, Any]:
    import numpy as np
    from scipy import sparse

    source = np.random.RandomState(0)
    table = np.abs(source.rand(60, 4)) + 0.1
    two = (table[:, 0] > np.median(table[:, 0])).astype(int)
    return {
        "table": table,
        "two": two,
        "three": np.arange(60) % 3,
        "words": np.where(two == 1, "yes", "no"),
        "number": table @ np.arange(1.0, 5.0),
        "numbers": table @ source.rand(4, 2),
        "labels": np.stack([two, 1 - two], axis=1),
        "counts": (table * 10).astype(int),
        "sparse": sparse.csr_matrix(table),
        "line": table[:, 0],
        "texts": ["one two", "two three", "three one"] * 20,
        "dicts": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}] * 30,
    }


def _instances(name: str, kind: type) -> Iterator[Any]:
    """Make an estimator, with inner ones where it needs them."""
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    parameters = inspect.signature(kind).parameters
    given = {key: value for key, value in _GIVEN.items() if key in parameters}
    inners: list[Any] = [LogisticRegression(), LinearRegression()]
    if name.startswith(("AdaBoost", "Bagging")):
        inners = [DecisionTreeClassifier(max_depth=2), DecisionTreeRegressor(max_depth=2)]
    for inner in inners:
        needed = {key: value for key, value in _inner(name, inner).items() if key in parameters}
        filled = {**given, **needed}
        try:
            yield kind(**filled)
        except Exception:  # noqa: BLE001  (an older or newer version)
            continue
        if not needed:
            return


def _inner(name: str, inner: Any) -> dict[str, Any]:
    from sklearn.preprocessing import StandardScaler

    pair = [("a", inner), ("b", inner)]
    if name == "FeatureUnion":
        pair = [("a", StandardScaler()), ("b", "passthrough")]
    return {
        "estimator": inner,
        "base_estimator": inner,
        "estimators": pair,
        "steps": [("scale", StandardScaler()), ("model", inner)],
        "transformers": [("a", StandardScaler(), [0, 1]), ("b", "passthrough", [2])],
        "transformer_list": pair,
        "regressor": inner,
        "param_grid": {"fit_intercept": [True, False]},
        "param_distributions": {"fit_intercept": [True, False]},
        "dictionary": __import__("numpy").eye(4),
    }


def _fitted(name: str, made: Any, data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Fit copies on each kind of data that works."""
    from sklearn.base import clone

    pairs = [
        ("table", "two"), ("table", "words"), ("table", "three"), ("table", "number"),
        ("table", "numbers"), ("table", "labels"), ("table", None), ("counts", "two"),
        ("sparse", "two"), ("sparse", "number"), ("texts", None), ("texts", "two"),
        ("dicts", None), ("line", "number"), ("words", None), ("labels", None),
    ]  # fmt: skip
    seen = 0
    for inputs, target in pairs:
        try:
            copy = clone(made)
            if target is None:
                copy.fit(data[inputs])
            else:
                copy.fit(data[inputs], data[target])
        except Exception:  # noqa: BLE001  (this data does not suit the estimator)
            continue
        seen += 1
        yield f"{name} {inputs} {target}", copy
        if seen == 6:
            return


def _made(*makers: Any) -> Iterator[tuple[str, Any]]:
    for maker in makers:
        try:
            thing = maker()
        except Exception:  # noqa: BLE001  (an older or newer version)
            continue
        yield repr(maker), thing


# Parameter -> values to try, for every estimator that has the parameter.
_VALUES: dict[str, tuple[Any, ...]] = {
    "loss": (
        "log_loss", "log", "deviance", "exponential", "squared_error", "ls", "lad", "huber",
        "quantile", "absolute_error", "poisson", "gamma", "hinge", "modified_huber",
        "squared_hinge", "perceptron", "epsilon_insensitive", "squared_epsilon_insensitive",
        "least_squares", "least_absolute_deviation", "squared_loss", "binary_crossentropy",
        "categorical_crossentropy", "linear", "square",
    ),
    "criterion": (
        "gini", "entropy", "log_loss", "squared_error", "friedman_mse", "absolute_error",
        "poisson", "mse", "mae",
    ),
    "splitter": ("best", "random"),
    "metric": (
        "euclidean", "manhattan", "chebyshev", "minkowski", "cosine", "haversine", "hamming",
        "canberra", "braycurtis", "jaccard", "dice", "rogerstanimoto", "russellrao", "seuclidean",
        "sokalmichener", "sokalsneath", "mahalanobis", "l1", "l2", "matching", "kulsinski",
        "wminkowski", "precomputed",
    ),
    "algorithm": (
        "auto", "ball_tree", "kd_tree", "brute", "lloyd", "elkan", "SAMME", "SAMME.R", "arpack",
        "randomized",
    ),
    "kernel": ("rbf", "poly", "linear", "sigmoid", "gaussian", "tophat", "epanechnikov", "cosine"),
    "solver": (
        "lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga", "svd", "eigen",
        "lsqr", "adam", "sgd", "cd", "mu", "highs", "full", "arpack", "covariance_eigh",
    ),
    "learning_rate": ("invscaling", "adaptive", "optimal", "constant"),
    "linkage": ("ward", "average", "complete", "single"),
    "strategy": (
        "mean", "median", "most_frequent", "constant", "prior", "stratified", "uniform", "quantile",
        "kmeans", "quantile_averaged",
    ),
    "covariance_type": ("full", "tied", "diag", "spherical"),
    "method": ("sigmoid", "isotonic", "temperature", "yeo-johnson", "box-cox", "predict_proba",
               "exact", "barnes_hut", "lars", "cd", "standard", "modified", "ltsa", "hessian"),
    "early_stopping": (True,), "monotonic_cst": ([1, 0, 0, 0],), "oob_score": (True,),
    "warm_start": (True,), "probability": (True,), "bootstrap": (True,), "positive": (True,),
    "categorical_features": ([0],), "scoring": ("r2", "accuracy", "neg_log_loss", "f1_macro"),
    "n_iter_no_change": (2,), "max_features": ("sqrt", 2), "sparse_output": (True,),
    "handle_unknown": ("ignore", "infrequent_if_exist"), "weights": ("distance",),
    "interaction_cst": ("pairwise",), "extrapolation": ("periodic", "linear"),
    "store_cv_results": (True,), "add_indicator": (True,), "class_weight": ("balanced",),
    "dtype": (float,), "refit": (True,), "store_precision": (False,), "average": (True,),
}  # fmt: skip


def _options(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Fit estimators once for each value of their choices."""
    for name, kind in _kinds():
        parameters = inspect.signature(kind).parameters
        for key, values in _VALUES.items():
            if key not in parameters:
                continue
            for value in values:
                for made in _instances(name, kind):
                    try:
                        made.set_params(**{key: value})
                    except Exception:  # noqa: BLE001  (an older or newer version)
                        continue
                    yield f"{name} {key}={value!r}", made
                    yield from list(_fitted(name, made, data))[:3]


def _beside() -> Iterator[tuple[str, Any]]:
    """Kernels, metrics, trees, splitters, scorers and nested pipelines."""
    import numpy as np
    from sklearn import (
        compose,
        ensemble,
        gaussian_process,
        linear_model,
        metrics,
        model_selection,
        neighbors,
        pipeline,
        preprocessing,
        svm,
        utils,
    )  # fmt: skip

    kernels = gaussian_process.kernels
    cloud = np.random.RandomState(0).rand(30, 3)
    target = (cloud[:, 0] > 0.5).astype(int)
    forest = ensemble.RandomForestClassifier(n_estimators=3, random_state=0)
    scaled = pipeline.make_pipeline(preprocessing.StandardScaler(), forest)

    def columns() -> Any:
        return compose.make_column_transformer(
            (preprocessing.OneHotEncoder(), compose.make_column_selector(dtype_include=object)),
            (preprocessing.FunctionTransformer(np.log1p), [0]),
            remainder="passthrough",
        )

    grid = {"C": [0.1, 1.0]}
    yield from _made(
        lambda: kernels.RBF() + kernels.WhiteKernel() * kernels.ConstantKernel(),
        lambda: kernels.Matern() ** 2, lambda: kernels.RationalQuadratic(),
        lambda: kernels.ExpSineSquared(), lambda: kernels.DotProduct(),
        lambda: kernels.CompoundKernel([kernels.RBF()]), lambda: kernels.PairwiseKernel(),
        lambda: gaussian_process.GaussianProcessRegressor(kernels.RBF()).fit(cloud, target),
        lambda: gaussian_process.GaussianProcessClassifier().fit(cloud, target),
        lambda: scaled.fit(cloud, target), columns, lambda: columns().fit(cloud),
        lambda: preprocessing.FunctionTransformer(np.mean, inverse_func=np.exp),
        lambda: model_selection.GridSearchCV(svm.SVC(), grid, cv=2).fit(cloud, target),
        lambda: model_selection.GridSearchCV(
            linear_model.LogisticRegression(), grid, cv=2, scoring=["accuracy", "roc_auc"],
            refit="accuracy",
        ).fit(cloud, target),
        lambda: model_selection.RandomizedSearchCV(scaled, {"randomforestclassifier__max_depth":
            [1, 2]}, n_iter=2, cv=model_selection.KFold(2)).fit(cloud, target),
        lambda: utils.Bunch(a=1), lambda: utils.validation.check_array,
        lambda: metrics.make_scorer(metrics.f1_score, average="macro"),
        lambda: metrics.check_scoring(forest), lambda: metrics.check_scoring(forest, "roc_auc"),
        lambda: scaled.set_params().set_output(transform="pandas"),
        lambda: forest.set_fit_request(sample_weight=True),
    )  # fmt: skip
    for kind in ("BallTree", "KDTree", "BallTree32", "KDTree32", "BallTree64", "KDTree64"):
        for module in ("_ball_tree", "_kd_tree"):
            yield from _made(
                lambda kind=kind, module=module: getattr(
                    __import__(f"sklearn.neighbors.{module}", fromlist=["x"]), kind
                )(cloud)
            )
    extra: dict[str, dict[str, Any]] = {
        "seuclidean": {"V": np.ones(3)}, "mahalanobis": {"V": np.eye(3)}, "minkowski": {"p": 3},
        "wminkowski": {"p": 3, "w": np.ones(3)},
    }  # fmt: skip
    for name in _VALUES["metric"]:
        for dtype in (np.float64, np.float32):
            yield from _made(
                lambda name=name, dtype=dtype: metrics.DistanceMetric.get_metric(
                    name, dtype, **extra.get(name, {})
                ),
                lambda name=name: neighbors.DistanceMetric.get_metric(name, **extra.get(name, {})),
            )
    for name in sorted(
        metrics.get_scorer_names() if hasattr(metrics, "get_scorer_names") else metrics.SCORERS
    ):
        yield from _made(lambda name=name: metrics.get_scorer(name))
    for name in sorted(vars(model_selection)):
        if inspect.isclass(getattr(model_selection, name)) and "Search" not in name:
            yield from _made(
                lambda name=name: getattr(model_selection, name)(),
                lambda name=name: getattr(model_selection, name)(2),
                lambda name=name: getattr(model_selection, name)([0, 1]),
                lambda name=name: getattr(model_selection, name)({"a": [1]}),
                lambda name=name: getattr(model_selection, name)([(np.arange(3), np.arange(3))]),
            )
    # Functions that scorers and selectors hold by name.
    for module in ("metrics", "metrics.pairwise", "feature_selection"):
        home = __import__(f"sklearn.{module}", fromlist=["x"])
        for name in sorted(getattr(home, "__all__", ())):
            function = getattr(home, name, None)
            if inspect.isfunction(function) and _scores(function):
                yield f"{module}.{name}", function


def _scores(function: Any) -> bool:
    """Whether a function takes data and returns scores, and nothing that it would call."""
    parameters = list(inspect.signature(function).parameters)
    if "metric" in parameters or "scoring" in parameters:
        return False
    return parameters[:1] in (["y_true"], ["labels_true"]) or parameters[:2] == ["X", "y"]
