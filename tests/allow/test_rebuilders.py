"""Functions that rebuild an object of a class they are given."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from safehold.allow import AllowList

ALL = AllowList.of(["sklearn", "numpy", "scipy", "pandas"])


def a_class(module, name):
    return SimpleNamespace(module=module, name=name)


class Mapping:
    """What the scanner knows of a dict."""

    kind = "dict"

    def __init__(self, whole=True, **items):
        self.whole = whole
        self.get = items.get


MADE = SimpleNamespace(maker=a_class("types", "SimpleNamespace"))
LIST = SimpleNamespace(kind="list")
LONG = SimpleNamespace(kind="str")
INDEX = a_class("pandas.core.indexes.datetimes", "DatetimeIndex")
WRAPPER = a_class("joblib.numpy_pickle", "NumpyArrayWrapper")
STAMPS = ("pandas._libs.tslibs.timestamps", "_unpickle_timestamp")
TIMES = ("pandas.core.indexes.datetimes", "_new_DatetimeIndex")
FROZEN = ("pandas.core.indexes.frozen", "FrozenList")
OFFSET = ("pandas._libs.tslibs.offsets", "CustomBusinessDay")


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        (TIMES, (INDEX, Mapping()), True),
        (TIMES, (INDEX, Mapping(tz="Europe/Berlin")), True),
        (TIMES, (INDEX, Mapping(tz="dateutil//etc/passwd")), False),
        (TIMES, (INDEX, Mapping(dtype="datetime64[ns, dateutil//etc/passwd]")), False),
        (TIMES, (INDEX, Mapping(tz=LONG)), False),
        (TIMES, (INDEX, Mapping(whole=False)), False),
        (TIMES, (INDEX, LIST), False),
        (TIMES, (INDEX,), False),
        (TIMES, (MADE, Mapping()), False),
        (TIMES, (a_class("pandas.core.frame", "DataFrame"), Mapping()), False),
        (("pandas.core.indexes.base", "_new_Index"), (WRAPPER, Mapping()), False),
        (("sklearn.neighbors._kd_tree", "newObj"), (MADE,), False),
        (("sklearn.neighbors._kd_tree", "newObj"), (WRAPPER,), False),
        (("sklearn.neighbors._kd_tree", "newObj"), (), False),
        (
            ("sklearn.neighbors._kd_tree", "newObj"),
            (a_class("sklearn.neighbors._kd_tree", "KDTree"),),
            True,
        ),
        (("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"), (MADE, 1, None), False),
        (
            ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
            (a_class("pandas", "Categorical"), 1, None),
            True,
        ),
        (("numpy.ma.core", "_mareconstruct"), (MADE, MADE, (0,), "b"), False),
        (
            ("numpy.ma.core", "_mareconstruct"),
            (WRAPPER, a_class("numpy", "ndarray"), (0,), "b"),
            False,
        ),
        (("numpy._core", "_DType_reconstruct"), (a_class("numpy", "float64"),), True),
        (("numpy._core", "_DType_reconstruct"), (MADE,), False),
        (STAMPS, (0, None, None, 10), True),
        (STAMPS, (0, None, "UTC", 10), True),
        (STAMPS, (0, None, "America/Argentina/Buenos_Aires", 10), True),
        (STAMPS, (0, None, "dateutil/UTC", 10), False),
        (STAMPS, (0, None, "/etc/passwd", 10), False),
        (STAMPS, (0, None, "", 10), False),
        (OFFSET, (1, False, "Mon", (), None), True),
        (OFFSET, (1, False, "Mon", (), MADE), False),
        (("collections", "UserString"), ("text",), True),
        (("collections", "UserString"), (MADE,), False),
        (("collections", "defaultdict"), (), True),
        (("collections", "defaultdict"), (None,), True),
        (("collections", "defaultdict"), (list,), True),
        (("collections", "defaultdict"), (MADE,), False),
        (FROZEN, (LIST,), True),
        (FROZEN, ([1],), True),
        (FROZEN, (MADE,), False),
    ],
)
def test_arguments(name, args, expected):
    assert ALL.arguments_ok(*name, args) is expected
