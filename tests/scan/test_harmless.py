"""Real dumps of real libraries, at every protocol and compression: clean."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import io
import pickle
import uuid
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from safehold.scan import scan_bytes

pytestmark = pytest.mark.extras


def fitted():
    x, y = make_classification(60, 5, random_state=0)
    yield RandomForestClassifier(5, random_state=0).fit(x, y)
    yield GradientBoostingClassifier(n_estimators=3).fit(x, y)
    yield make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    yield GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2).fit(x, y)
    yield ColumnTransformer([("n", StandardScaler(), [0]), ("c", OneHotEncoder(), [1])]).fit(
        np.array([[1, 0], [2, 1], [3, 0]])
    )


def arrays():
    yield np.arange(10.0)
    yield np.zeros((3, 4), order="F")
    yield np.array(["a", "bc"])
    yield np.array([1, "x", None], dtype=object)
    yield np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")])
    yield np.array(["2024-01-01"], dtype="datetime64[D]")
    yield np.float64(1.5)
    yield np.ma.masked_array([1, 2], [True, False])
    yield np.random.default_rng(0)
    yield {"a": np.zeros(0), "b": [np.int8(1), np.bool_(True)]}


def frames():
    yield pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [1.5, None]})
    yield pd.DataFrame(
        {"t": pd.date_range("2024", periods=3), "k": pd.Categorical(["a", "b", "a"])}
    )
    yield pd.Series([1, 2, 3], index=pd.MultiIndex.from_tuples([(1, 2), (1, 3), (2, 2)]))
    yield pd.Timestamp("2024-01-01", tz="UTC")


def plain():
    yield {"a": [1, 2.5, None, True, 10**40], "b": ("x" * 300, b"y" * 300)}
    yield collections.OrderedDict(a=1), collections.Counter("abc"), collections.deque([1])
    yield dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.timedelta(1)
    yield decimal.Decimal("1.5"), uuid.UUID(int=5)


MAKERS = [fitted, arrays, frames, plain]
OBJECTS = [
    pytest.param(obj, id=f"{make.__name__}-{i}") for make in MAKERS for i, obj in enumerate(make())
]
COMPRESS = [0, "zlib", "gzip", "bz2", "lzma", "xz"]


def assert_clean(data, name, form):
    report = scan_bytes(data, name)
    assert report.verdict == "clean", [finding.message for finding in report.findings]
    assert report.format.endswith(form)


@pytest.mark.parametrize("obj", OBJECTS)
def test_pickle(obj):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert_clean(pickle.dumps(obj, protocol), "a.pkl", "pickle")


@pytest.mark.parametrize("obj", OBJECTS)
def test_joblib(obj):
    for compress in COMPRESS:
        buffer = io.BytesIO()
        joblib.dump(obj, buffer, compress=compress)
        assert_clean(buffer.getvalue(), "a.joblib", "")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_joblib_at_each_protocol(protocol):
    buffer = io.BytesIO()
    joblib.dump(next(fitted()), buffer, protocol=protocol)
    assert_clean(buffer.getvalue(), "a.joblib", "joblib")


def test_joblib_with_large_arrays_of_every_kind():
    obj = [np.arange(1000, dtype=code) for code in "bBhHiIqQefdFD"] + [np.zeros(1000, "U7")]
    buffer = io.BytesIO()
    joblib.dump(obj, buffer)
    assert_clean(buffer.getvalue(), "a.joblib", "joblib")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(save):
    buffer = io.BytesIO()
    save(buffer, a=np.arange(5), b=np.array([1, "x"], dtype=object))
    assert_clean(buffer.getvalue(), "a.npz", "npz")


def test_npy():
    for array in (np.arange(5), np.zeros((2, 3)), np.array(["x"]), np.zeros(3, "i4,f8")):
        buffer = io.BytesIO()
        np.save(buffer, array)
        assert_clean(buffer.getvalue(), "a.npy", "npy")


def test_zip_of_dumps():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.pkl", pickle.dumps(np.arange(5)))
        with archive.open("b.txt", "w") as member:  # sizes follow the data
            member.write(b"text" * 1000)
    assert_clean(buffer.getvalue(), "a.zip", "zip")


def test_several_dumps_in_one_file():
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer)
    shared = ["shared", collections.OrderedDict(a=1)]
    for obj in (shared, [shared, 1], {"a": shared}):
        pickler.dump(obj)
    assert_clean(buffer.getvalue(), "a.pkl", "pickle")
    separate = b"".join(pickle.dumps([collections.OrderedDict(a=i), "x"]) for i in range(5))
    assert_clean(separate, "a.pkl", "pickle")
