"""Harmless files as real libraries write them: ``python harmless.py DIRECTORY``.

It imports nothing of safehold, so that it also runs where other versions of the libraries are
installed. What a library that is missing would write is left out, and said. File names tell
family, object, protocol and compression; the same versions write the same objects.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime as dt
import decimal
import fractions
import functools
import io
import ipaddress
import pathlib
import pickle
import statistics
import sys
import time
import uuid
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

Objects = Iterator[tuple[str, Any]]
FAMILIES: dict[str, Callable[[], Objects]] = {}
# Objects that are written once at each protocol and in each compression; the others in a few.
_COMPRESSIONS = (("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3))


def family(make: Callable[[], Objects]) -> Callable[[], Objects]:
    """Register the objects of one library."""
    FAMILIES[make.__name__] = make
    return make


@family
def plain() -> Objects:
    """Python's own data, as caches and configurations hold it."""
    yield "config", {"name": "fraud", "ratio": 0.5, "layers": [64, 32], "on": True, "none": None}
    yield "numbers", [2**70, -(2**40), 255, 256, 65536, 1e300, float("inf"), 3 + 4j]
    yield "texts", ["", "é" * 300, "\n\\\x00", "x" * 70000, b"", b"y" * 300, bytearray(b"z" * 9)]
    yield "nested", {"a": [({"b": (1, (2, (3,)))},)] * 3, "set": {1, 2}, "frozen": frozenset("ab")}
    yield "collections", (
        collections.OrderedDict(a=1), collections.Counter("abca"), collections.deque([1, 2], 5),
        collections.defaultdict(list, a=[1]), collections.ChainMap({"a": 1}),
    )  # fmt: skip
    yield "times", [
        dt.datetime(2024, 5, 6, 7, 8, 9, 10, dt.UTC), dt.date(2024, 1, 1), dt.time(1),
        dt.timedelta(1, 2, 3), dt.timezone(dt.timedelta(hours=1)),
    ]  # fmt: skip
    yield "values", [decimal.Decimal("1.50"), fractions.Fraction(1, 3), uuid.UUID(int=7)]
    yield "options", [argparse.Namespace(rate=0.1, layers=[64]), time.gmtime(0)]
    yield "normal", statistics.NormalDist(0, 1)
    yield "paths", [pathlib.PurePosixPath("a/b"), ipaddress.ip_address("127.0.0.1")]
    shared: list[Any] = ["shared"]
    shared.append(shared)
    yield "cycle", [shared, shared]
    yield "records", [{"id": i, "text": f"row {i}", "score": i / 7} for i in range(500)]
    yield "many", list(range(30000))


@family
def numpy() -> Objects:
    """Arrays of every kind of dtype, scalars, generators."""
    import numpy as np

    for code in "?bBhHiIqQefdFD":
        yield f"array-{code}", np.arange(6).astype(code).reshape(2, 3)
    yield "fortran", np.asfortranarray(np.ones((3, 4)))
    yield "text", np.array(["a", "bc", ""])
    yield "bytes", np.array([b"a", b"bc"])
    yield "objects", np.array([1, "x", None, (2, 3)], dtype=object)
    yield "records", np.array([(1, 2.5, "x")], dtype=[("a", "<i4"), ("b", ">f8"), ("c", "U3")])
    yield "dates", np.array(["2024-01-01", "NaT"], dtype="datetime64[ns]")
    yield "spans", np.array([1, 2], dtype="timedelta64[s]")
    yield "empty", np.zeros((0, 3))
    yield "scalar", [np.float64(1.5), np.int8(1), np.bool_(True), np.str_("x"), np.float32(2)]
    yield "zero-dim", np.array(3.0)
    yield "masked", np.ma.masked_array([1, 2, 3], [True, False, True])
    yield "dtype", [np.dtype("f8"), np.dtype([("a", "i4")]), np.float64]
    yield "generator", np.random.default_rng(0)
    yield "random-state", np.random.RandomState(0)
    yield "large", np.arange(50000.0)
    yield "view", np.arange(100)[::3]
    yield "matrix", np.asmatrix([[1, 2], [3, 4]])
    yield "recarray", np.rec.array([(1, "x")], dtype=[("a", "i4"), ("b", "U2")])


@family
def pandas() -> Objects:
    """Frames, series and indexes."""
    import numpy as np
    import pandas as pd

    yield "frame", pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [1.5, None]})
    yield (
        "kinds",
        pd.DataFrame({"t": pd.date_range("2024", periods=3), "k": pd.Categorical(["a", "b", "a"])}),
    )
    yield "zoned", pd.DataFrame({"t": pd.date_range("2024", periods=3, tz="Europe/Berlin")})
    yield "nullable", pd.DataFrame({"i": pd.array([1, None], "Int64"), "b": pd.array([True, None])})
    yield "strings", pd.DataFrame({"s": pd.array(["a", None], dtype="string")})
    yield "multi", pd.Series([1, 2], index=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]))
    yield (
        "columns",
        pd.DataFrame(np.ones((2, 4)), columns=pd.MultiIndex.from_product([[1, 2], ["a", "b"]])),
    )
    yield "series", pd.Series([1.0, 2.0], name="x")
    yield "timestamp", [pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1D"), pd.NaT]
    yield "interval", pd.cut(pd.Series([1, 5, 9]), 3)
    yield "period", pd.period_range("2024-01", periods=3, freq="M")
    yield "sparse", pd.Series(pd.arrays.SparseArray([0, 0, 1]))
    yield "range", pd.RangeIndex(5)
    yield "wide", pd.DataFrame(np.random.default_rng(0).random((500, 20)))
    yield "mixed", pd.DataFrame({"o": [1, "x", None, (1, 2)]})


def _fitted() -> Iterator[tuple[str, Any]]:
    import numpy as np
    from sklearn import (
        cluster,
        decomposition,
        discriminant_analysis,
        ensemble,
        feature_extraction,
        feature_selection,
        gaussian_process,
        impute,
        isotonic,
        linear_model,
        manifold,
        mixture,
        naive_bayes,
        neighbors,
        neural_network,
        preprocessing,
        svm,
        tree,
    )  # fmt: skip
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.datasets import make_classification
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.pipeline import FeatureUnion, make_pipeline

    x, y = make_classification(60, 5, random_state=0)
    for model in (
        ensemble.RandomForestClassifier(5, random_state=0), ensemble.RandomForestRegressor(5),
        ensemble.ExtraTreesClassifier(5), ensemble.GradientBoostingClassifier(n_estimators=3),
        ensemble.GradientBoostingRegressor(n_estimators=3),
        ensemble.AdaBoostClassifier(n_estimators=3),
        ensemble.HistGradientBoostingClassifier(max_iter=3),
        ensemble.HistGradientBoostingRegressor(max_iter=3),
        ensemble.BaggingClassifier(n_estimators=3),
        ensemble.IsolationForest(n_estimators=5),
        ensemble.VotingClassifier([("a", naive_bayes.GaussianNB()),
        ("b", tree.DecisionTreeClassifier())]),
        ensemble.StackingClassifier([("a", naive_bayes.GaussianNB())], cv=2),
        linear_model.LogisticRegression(), linear_model.LinearRegression(), linear_model.Ridge(),
        linear_model.Lasso(), linear_model.ElasticNet(), linear_model.SGDClassifier(),
        linear_model.SGDRegressor(), linear_model.Perceptron(), linear_model.RidgeClassifier(),
        linear_model.BayesianRidge(), linear_model.HuberRegressor(),
        linear_model.LogisticRegressionCV(cv=2),
        linear_model.PoissonRegressor(), linear_model.QuantileRegressor(),
        tree.DecisionTreeClassifier(), tree.DecisionTreeRegressor(), tree.ExtraTreeClassifier(),
        svm.SVC(), svm.SVR(), svm.LinearSVC(), svm.OneClassSVM(), svm.NuSVC(),
        neighbors.KNeighborsClassifier(), neighbors.KNeighborsRegressor(),
        neighbors.KNeighborsClassifier(algorithm="ball_tree"), neighbors.LocalOutlierFactor(),
        neighbors.KernelDensity(), neighbors.NearestNeighbors(algorithm="kd_tree"),
        neighbors.NearestCentroid(),
        naive_bayes.GaussianNB(), naive_bayes.BernoulliNB(),
        neural_network.MLPClassifier((3,), max_iter=5), neural_network.MLPRegressor((3,),
        max_iter=5),
        discriminant_analysis.LinearDiscriminantAnalysis(),
        discriminant_analysis.QuadraticDiscriminantAnalysis(),
        gaussian_process.GaussianProcessClassifier(), gaussian_process.GaussianProcessRegressor(),
        KernelRidge(), isotonic.IsotonicRegression(),
        cluster.KMeans(2, n_init=1), cluster.MiniBatchKMeans(2, n_init=1), cluster.DBSCAN(),
        cluster.AgglomerativeClustering(), cluster.Birch(), cluster.MeanShift(),
        cluster.SpectralClustering(2, n_init=1), cluster.OPTICS(),
        mixture.GaussianMixture(2), mixture.BayesianGaussianMixture(),
        decomposition.PCA(2), decomposition.TruncatedSVD(2), decomposition.FastICA(2),
        decomposition.KernelPCA(2), decomposition.FactorAnalysis(2),
        decomposition.IncrementalPCA(2),
        manifold.Isomap(n_neighbors=3), manifold.TSNE(perplexity=5, init="random"),
        preprocessing.StandardScaler(), preprocessing.MinMaxScaler(), preprocessing.RobustScaler(),
        preprocessing.MaxAbsScaler(), preprocessing.Normalizer(), preprocessing.PowerTransformer(),
        preprocessing.QuantileTransformer(n_quantiles=10), preprocessing.KBinsDiscretizer(2),
        preprocessing.PolynomialFeatures(), preprocessing.SplineTransformer(),
        preprocessing.OneHotEncoder(handle_unknown="ignore"), preprocessing.OrdinalEncoder(),
        preprocessing.Binarizer(), preprocessing.FunctionTransformer(np.log1p),
        impute.SimpleImputer(), impute.KNNImputer(),
        feature_selection.SelectKBest(k=2), feature_selection.VarianceThreshold(),
        feature_selection.RFE(linear_model.LogisticRegression()),
        feature_selection.SelectFromModel(tree.DecisionTreeClassifier()),
        CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=2),
        OneVsRestClassifier(linear_model.LogisticRegression()),
        TransformedTargetRegressor(linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1),
        GridSearchCV(linear_model.LogisticRegression(), {"C": [1, 2]}, cv=2),
        RandomizedSearchCV(linear_model.Ridge(), {"alpha": [1, 2]}, n_iter=2, cv=KFold(2)),
        make_pipeline(preprocessing.StandardScaler(), decomposition.PCA(2), svm.SVC()),
        ColumnTransformer([("n", preprocessing.StandardScaler(), [0]), ("p", "passthrough", [1])]),
        FeatureUnion([("a", decomposition.PCA(2)), ("b", feature_selection.SelectKBest(k=2))]),
    ):  # fmt: skip
        with contextlib.suppress(ValueError):  # some take no such target
            target = abs(x[:, 0]) if "Isotonic" in type(model).__name__ else y
            data = abs(x[:, :1]) if "Isotonic" in type(model).__name__ else x
            yield type(model).__name__, model.fit(data, target)
    yield "MultiOutput", MultiOutputRegressor(linear_model.Ridge()).fit(x, np.c_[y, y])
    text = feature_extraction.text
    yield "Tfidf", text.TfidfVectorizer().fit(["one two", "two three"])
    yield "Count", text.CountVectorizer(ngram_range=(1, 2)).fit(["one two", "two three"])
    yield "Hashing", text.HashingVectorizer(n_features=8)
    yield "DictVectorizer", feature_extraction.DictVectorizer().fit([{"a": 1}, {"b": 2}])
    yield "LabelEncoder", preprocessing.LabelEncoder().fit(["a", "b"])
    yield "LabelBinarizer", preprocessing.LabelBinarizer().fit(["a", "b", "c"])


@functools.cache
def _estimators() -> list[tuple[str, Any]]:
    return list(_fitted())


@family
def sklearn() -> Objects:
    """Fitted estimators of most modules."""
    yield from _estimators()


@family
def columns() -> Objects:
    """Pipelines that choose their columns by kind."""
    import numpy as np
    import pandas as pd
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", "x"]})
    chosen = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include=np.number)),
        (OneHotEncoder(), make_column_selector(dtype_exclude=np.number)),
    )
    yield "by-kind", chosen.fit(table)


@family
def scipy() -> Objects:
    """Sparse matrices and interpolators."""
    import numpy as np
    from scipy import sparse, spatial, stats
    from scipy.cluster import hierarchy
    from scipy.interpolate import CubicSpline

    for form in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr"):
        yield form, sparse.eye(4, format=form)
    yield "spline", CubicSpline(np.arange(4.0), np.arange(4.0) ** 2)
    yield "kdtree", spatial.cKDTree(np.arange(12.0).reshape(6, 2))
    cloud = np.random.default_rng(0).random((12, 2))
    yield "hull", spatial.ConvexHull(cloud)
    yield "tree", hierarchy.to_tree(hierarchy.linkage(cloud))
    yield "slopes", stats.theilslopes(cloud[:, 0], cloud[:, 1])


@family
def xgboost() -> Objects:
    """Boosters and their scikit-learn faces."""
    import numpy as np
    import xgboost as xgb

    x = np.random.default_rng(0).random((40, 4))
    y = (x[:, 0] > 0.5).astype(int)
    yield "classifier", xgb.XGBClassifier(n_estimators=3).fit(x, y)
    yield "regressor", xgb.XGBRegressor(n_estimators=3).fit(x, y)
    yield "ranker", xgb.XGBRanker(n_estimators=3).fit(x, y, group=[20, 20])
    yield "forest", xgb.XGBRFClassifier(n_estimators=3).fit(x, y)
    yield "linear", xgb.XGBRegressor(n_estimators=3, booster="gblinear").fit(x, y)
    yield "dart", xgb.XGBClassifier(n_estimators=3, booster="dart").fit(x, y)
    yield "booster", xgb.train({"max_depth": 2}, xgb.DMatrix(x, label=y), 3)


@family
def lightgbm() -> Objects:
    """Boosters and their scikit-learn faces."""
    import lightgbm as lgb
    import numpy as np

    x = np.random.default_rng(0).random((60, 4))
    y = (x[:, 0] > 0.5).astype(int)
    quiet = {"verbose": -1, "min_child_samples": 2, "n_jobs": 1}
    groups = np.array([30, 30], np.int32)
    yield "classifier", lgb.LGBMClassifier(n_estimators=3, **quiet).fit(x, y)
    yield "regressor", lgb.LGBMRegressor(n_estimators=3, **quiet).fit(x, y)
    yield "ranker", lgb.LGBMRanker(n_estimators=3, **quiet).fit(x, y, group=groups)
    yield "dart", lgb.LGBMClassifier(n_estimators=3, boosting_type="dart", **quiet).fit(x, y)
    yield "booster", lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(x, label=y), 3)


def _tensors() -> Objects:
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 4)).sum().backward()
    optimiser.step()
    yield "state", model.state_dict()
    yield "conv", nn.Conv2d(1, 2, 3).state_dict()
    yield "lstm", nn.LSTM(3, 4).state_dict()
    yield "transformer", nn.TransformerEncoderLayer(8, 2).state_dict()
    yield "optimiser", optimiser.state_dict()
    yield "checkpoint", {"epoch": 3, "model": model.state_dict(), "best": 0.5, "lr": [1e-3]}
    for kind in ("float16", "bfloat16", "float64", "int8", "int64", "bool", "complex64"):
        yield kind, torch.ones(3).to(getattr(torch, kind))
    yield "parameter", nn.Parameter(torch.ones(2))
    yield "views", {"a": (base := torch.arange(10.0)), "b": base[2:5], "c": base.view(2, 5).t()}
    yield "shape", [torch.Size([1, 2]), torch.float32, torch.device("cpu")]


def _written(directory: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Write everything; yield (family, what is missing) for what cannot be imported."""
    for name, make in FAMILIES.items():
        try:
            for label, value in make():
                _pickles(directory, f"{name}-{label}", value)
        except ImportError as error:
            yield name, str(error)
    for name, write in (
        ("npy", _arrays),
        ("torch", _torch),
        ("models", _models),
        ("boosters", _boosters),
    ):
        try:
            write(directory)
        except ImportError as error:
            yield name, str(error)


def _pickles(directory: pathlib.Path, stem: str, value: Any) -> None:
    for protocol in (0, 2, 4, 5):
        try:
            data = pickle.dumps(value, protocol)
        except TypeError:  # slots have no protocol 0
            if protocol >= 2:
                raise
        else:
            (directory / f"{stem}.p{protocol}.pkl").write_bytes(data)
    try:
        import joblib
    except ImportError:
        return
    joblib.dump(value, directory / f"{stem}.joblib")
    # Each object in one compression, so that all meet all without five files for each.
    kind, level = _COMPRESSIONS[sum(stem.encode()) % len(_COMPRESSIONS)]
    joblib.dump(value, directory / f"{stem}.{kind}.joblib", compress=(kind, level))


def _arrays(directory: pathlib.Path) -> None:
    import numpy as np

    found = dict(FAMILIES["numpy"]())
    for label, value in found.items():
        if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
            np.save(directory / f"npy-{label}.npy", value)
    data = {key: value for key, value in found.items() if key.startswith("array")}
    np.savez(directory / "npz-plain.npz", **data)
    np.savez_compressed(directory / "npz-packed.npz", **data)
    np.savez(directory / "npz-objects.npz", o=found["objects"])


def _torch(directory: pathlib.Path) -> None:
    import torch

    for label, value in _tensors():
        torch.save(value, directory / f"torch-{label}.pt")
        torch.save(value, directory / f"torch-{label}.pth", pickle_protocol=4)
        torch.save(
            value, directory / f"torch-{label}.legacy.pt", _use_new_zipfile_serialization=False
        )
    # As a service does that keeps everything in pickles or with joblib.
    _pickles(directory, "torch-plain-tensor", torch.arange(6.0).reshape(2, 3))
    _pickles(directory, "torch-plain-states", torch.nn.Linear(3, 2).state_dict())
    layer = directory / "torch-layer.legacy.pt"
    torch.save(torch.nn.Linear(3, 2), layer, _use_new_zipfile_serialization=False)


def _models(directory: pathlib.Path) -> None:
    """Files of the libraries' own formats, and archives of dumps."""
    with zipfile.ZipFile(directory / "zip-dumps.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.pkl", pickle.dumps({"a": 1}))
        archive.writestr("notes.txt", "text " * 500)
    buffer = io.BytesIO()
    for number in range(3):
        pickle.dump({"epoch": number}, buffer)
    (directory / "plain-several.pkl").write_bytes(buffer.getvalue())
    import safetensors.numpy
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    tensors = {f"t{key}": value for key, value in FAMILIES["numpy"]() if key.startswith("array-f")}
    safetensors.numpy.save_file(tensors, directory / "safetensors-plain.safetensors")
    for label, value in _estimators():
        with contextlib.suppress(UnsupportedTypeException):
            skops.io.dump(value, directory / f"skops-{label}.skops")


def _boosters(directory: pathlib.Path) -> None:
    """Models of xgboost and lightgbm in their own formats."""
    import lightgbm
    import xgboost

    for label, value in FAMILIES["xgboost"]():
        booster = value if isinstance(value, xgboost.Booster) else value.get_booster()
        for suffix in ("json", "ubj"):
            value.save_model(directory / f"xgboost-{label}.{suffix}")
        # Up to 2.1; later versions write UBJSON under any other suffix.
        with contextlib.suppress(ValueError, xgboost.core.XGBoostError):
            (directory / f"xgboost-{label}.model").write_bytes(booster.save_raw("deprecated"))
    for label, value in FAMILIES["lightgbm"]():
        booster = value if isinstance(value, lightgbm.Booster) else value.booster_
        booster.save_model(str(directory / f"lightgbm-{label}.txt"))


def write(directory: pathlib.Path) -> dict[str, str]:
    """Write all files and return what was left out, with the reason."""
    directory.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(_written(directory))


if __name__ == "__main__":
    for left, reason in write(pathlib.Path(sys.argv[1])).items():
        print(f"left out: {left}: {reason}")  # noqa: T201
