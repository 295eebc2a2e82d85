"""Fifty-two common values, each exactly as it went in or a typed error, in json and msgpack.

What `json.dumps(default=str)` keeps of them is counted too, since that is what such codecs
replace.
"""

from __future__ import annotations

import enum
import json
import math
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from pathlib import Path, PureWindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.errors import EncodeError
from tests.exact import same

pytestmark = pytest.mark.extras

BERLIN = ZoneInfo("Europe/Berlin")


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Unknown:
    pass


DAYS = pd.date_range("2026-01-01", periods=2, freq="D", tz="Europe/Berlin")
TABLE = {
    "none": None,
    "truth": True,
    "int": 7,
    "int beyond 64 bits": 2**64,
    "negative beyond 64 bits": -(2**63) - 1,
    "float": 0.1,
    "minus zero": -0.0,
    "nan": math.nan,
    "infinity": -math.inf,
    "complex": 1.5 - 0.0j,
    "text": "naïve 模 \0",
    "lone surrogate": "\udcff",
    "bytes": bytes(range(256)),
    "bytearray": bytearray(b"ab"),
    "list": [1, [2]],
    "tuple": (1, (2,)),
    "set": {1, 2},
    "frozenset": frozenset({"a"}),
    "dict": {"b": 1, "a": 2},
    "number as key": {1: "a", "1": "b"},
    "tuple as key": {(1, 2): None, None: 1, True: 2},
    "dict like a tag": {"$tuple": [1, 2]},
    "OrderedDict": OrderedDict([("b", 1), ("a", 2)]),
    "defaultdict": defaultdict(list, {"a": [1]}),
    "Counter": Counter("abca"),
    "deque": deque([1, 2], maxlen=3),
    "datetime": datetime(2026, 11, 25, 1, 2, 3, 4),  # noqa: DTZ001  (naive values exist)
    "datetime in UTC": datetime(2026, 1, 1, tzinfo=UTC),
    "datetime with an offset": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3.5))),
    "datetime in a zone, second time": datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    "date": date(2026, 11, 25),
    "time": time(2, 30, fold=1, tzinfo=UTC),
    "timedelta": timedelta(days=-1, microseconds=1),
    "Decimal": Decimal("1.10"),
    "Fraction": Fraction(1, 3),
    "UUID": UUID(int=5),
    "Path": Path("a/../b"),
    "PureWindowsPath": PureWindowsPath("C:\\a"),
    "range": range(10, 0, -3),
    "slice": slice(None, 5, 2),
    "Enum": Colour.RED,
    "IntEnum": Level.LOW,
    "class of one's own": Unknown(),
    "numpy scalar": np.float32(0.1),
    "numpy date": np.datetime64("2026-11-25", "D"),
    "array": np.arange(6, dtype=np.int16).reshape(2, 3),
    "array in Fortran order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "array of the other byte order": np.arange(3, dtype=">f8"),
    "array of structures": np.array([(1, 2.5)], [("a", "<i4"), ("b", ">f8")]),
    "Series": pd.Series([1.5, None], index=DAYS, name="s"),
    "DataFrame": pd.DataFrame({"a": pd.Categorical(["x", "y"], ["y", "x"]), "b": [1, 2]}, DAYS),
    "Index": pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None]),
}  # fmt: skip
REFUSED = {"class of one's own"}
ALLOW = AllowList.of([f"{__name__}.Colour", f"{__name__}.Level"])


def is_exact(one: object, two: object) -> bool:
    if isinstance(one, np.ndarray | np.generic):
        return (
            type(one) is type(two)
            and one.dtype == two.dtype
            and one.dtype.str == two.dtype.str
            and one.shape == two.shape
            and one.strides == two.strides
            and one.tobytes("A") == two.tobytes("A")
        )
    if type(one) is not type(two):
        return False
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, two, check_exact=True, check_freq=True)
        return one["a"].cat.categories.tolist() == two["a"].cat.categories.tolist()
    if isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, two, check_exact=True, check_freq=True)
        return True
    if isinstance(one, pd.Index):
        pd.testing.assert_index_equal(one, two, exact=True)
        return one.names == two.names
    return same(one, two)


def test_the_table_has_52_values():
    assert len(TABLE) == 52
    assert set(TABLE) >= REFUSED


@pytest.mark.parametrize("name", ["json", "msgpack"])
@pytest.mark.parametrize("label", TABLE)
def test_a_value_comes_back_exactly_or_is_refused(label, name):
    codec, value = import_module(f"safehold.artifacts.codecs.{name}"), TABLE[label]
    if label in REFUSED:
        with pytest.raises(EncodeError, match=rf"^value\['k'\] is a .*{type(value).__name__}"):
            codec.encode({"k": value}, 64, ALLOW)
        return
    for outer in (value, [value], {"k": value}):
        (segment,) = codec.encode(outer, 64, ALLOW).segments
        found = codec.decode([memoryview(bytes(segment))], Reading(ALLOW, 64))
        inner = found if outer is value else found[0] if type(outer) is list else found["k"]
        assert is_exact(value, inner)


def test_the_control_keeps_few():
    kept = set()
    for label, value in TABLE.items():
        try:
            found = json.loads(json.dumps(value, default=str))
        except (TypeError, ValueError):
            continue
        if type(found) is type(value) and is_exact(value, found):
            kept.add(label)
    assert len(kept) < 20
    assert "tuple" not in kept
