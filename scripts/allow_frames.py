"""Frames, series, indexes, scalars and types of pandas, of every kind.

Part of `allow_objects.py`; runs with old versions too and leaves out what they do not have.
"""

# ruff: noqa: S112  (what a version does not have is left out, which is the point)
# ruff: noqa: PLW0108  (a lambda puts off the lookup of a name that an old version does not have)

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any


def _made(*makers: Any) -> Iterator[tuple[str, Any]]:
    for maker in makers:
        try:
            thing = maker()
        except Exception:  # noqa: BLE001  (an older or newer version)
            continue
        yield repr(maker), thing


def frames() -> Iterator[tuple[str, Any]]:
    """Frames, series, indexes, scalars and types of every kind."""
    import numpy as np
    import pandas as pd

    dates = pd.date_range("2020-01-01", periods=3)
    # One block each: types, values as pandas would hold them.
    columns: dict[str, Any] = {
        "int": [1, 2, 3], "float": [1.0, np.nan, 3], "bool": [True, False, True],
        "text": ["a", "b", None], "mixed": [1, "a", {1: 2}], "date": dates,
        "zoned": dates.tz_localize("UTC"), "delta": dates - dates[0],
        "complex": [1j, 2j, 3j], "small": np.ones(3, "int8"),
    }  # fmt: skip
    yield from _made(lambda: pd.DataFrame(columns))
    for values in columns.values():
        yield from _made(
            lambda values=values: pd.Series(values, name="x"),
            lambda values=values: pd.Index(values, name="x"),
            lambda values=values: pd.DataFrame({"a": values, "b": values}),
            lambda values=values: pd.Categorical(values),
            lambda values=values: pd.Series(values).astype("category"),
            lambda values=values: pd.array(values),
            lambda values=values: pd.MultiIndex.from_arrays([values, [1, 2, 3]]),
        )
    kinds = (
        "Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Float32 Float64 boolean string "
        "string[python] string[pyarrow] str category Sparse[int] Sparse[float] period[D] "
        "interval[int64,right] int64[pyarrow] double[pyarrow] bool[pyarrow] datetime64[ns,UTC] "
        "datetime64[s] timedelta64[s] object"
    ).split()
    for kind in kinds:
        yield from _made(
            lambda kind=kind: pd.array([1, 0, 1], dtype=kind),
            lambda kind=kind: pd.Series([1, 0, 1]).astype(kind),
            lambda kind=kind: pd.Index([1, 0, 1], dtype=kind),
            lambda kind=kind: pd.DataFrame({"a": pd.Series([1, 0, 1]).astype(kind)}),
            lambda kind=kind: pd.api.types.pandas_dtype(kind),
            lambda kind=kind: type(pd.api.types.pandas_dtype(kind)),
            lambda kind=kind: pd.array(["a", "b", None], dtype=kind),
            lambda kind=kind: pd.Series(["a", "b", None]).astype(kind),
        )
    for rule in (
        "D B W M ME Q QE Y YE A MS QS YS h min s ms us ns SM SMS BM BME BMS BQ BQE BQS BY BYE BYS "
        "C CBM CBME CBMS WOM-1MON LWOM-MON REQ-LAST-MON-1 RE-N-JAN-MON H T S BH CBH"
    ).split():
        yield from _made(
            lambda rule=rule: pd.tseries.frequencies.to_offset(rule),
            lambda rule=rule: pd.date_range("2020-01-01", periods=3, freq=rule),
            lambda rule=rule: pd.period_range("2020-01-01", periods=3, freq=rule),
        )
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"]})
    yield from _made(
        lambda: pd.Timestamp("2020-01-01"), lambda: pd.Timestamp("2020-01-01", tz="UTC"),
        lambda: pd.Timestamp("2020-01-01", tz="Europe/Paris"), lambda: pd.Timedelta(1, "D"),
        lambda: pd.Timestamp("2020-01-01", tz=dt.timezone(dt.timedelta(hours=1))),
        lambda: pd.Period("2020-01", "M"), lambda: pd.Interval(0, 1), lambda: pd.NaT,
        lambda: pd.NA, lambda: pd.RangeIndex(3), lambda: pd.CategoricalIndex(["a", "b"]),
        lambda: pd.IntervalIndex.from_breaks([0, 1, 2]), lambda: pd.DateOffset(months=1),
        lambda: pd.PeriodIndex(["2020-01", "2020-02"], freq="M"), lambda: pd.offsets.Easter(),
        lambda: pd.TimedeltaIndex([1, 2], unit="D"), lambda: pd.Index([1, 2], dtype="int32"),
        lambda: pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["x", "y"]),
        lambda: frame.set_index("b"), lambda: frame.set_index(["a", "b"]), lambda: frame.T,
        lambda: frame.describe(), lambda: frame[["a"]], lambda: frame.iloc[:0],
        lambda: pd.DataFrame(np.ones((3, 2))), lambda: pd.DataFrame(), lambda: pd.Series(dtype="O"),
        lambda: pd.get_dummies(frame), lambda: frame.copy().rename_axis("x"),
        lambda: pd.DataFrame(np.eye(3)).astype(pd.SparseDtype(float)),
        lambda: pd.CategoricalDtype(["a"], ordered=True), lambda: pd.DatetimeTZDtype(tz="UTC"),
        lambda: pd.PeriodDtype("D"), lambda: pd.IntervalDtype("int64"), lambda: pd.SparseDtype(int),
        lambda: pd.StringDtype(), lambda: pd.StringDtype("python"), lambda: pd.ArrowDtype("int64"),
        lambda: pd.NamedAgg("a", "sum"), lambda: pd.Flags(frame, allows_duplicate_labels=True),
        lambda: pd.core.indexes.frozen.FrozenList([1]), lambda: pd.Index([1.5, 2.5]),
        lambda: pd.Index([1, 2], dtype="uint64"), lambda: pd.tseries.offsets.BDay(2),
        lambda: pd.tseries.offsets.CustomBusinessDay(holidays=["2020-01-01"]),
        lambda: pd.tseries.holiday.USFederalHolidayCalendar(),
        lambda: pd.tseries.holiday.Holiday("x", month=1, day=1),
    )  # fmt: skip
