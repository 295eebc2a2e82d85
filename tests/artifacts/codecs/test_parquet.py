"""Tables of pandas in the parquet codec and within other values: exactly the same, or refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import tracemalloc
from decimal import Decimal
from importlib import import_module

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading, frames
from safehold.artifacts.codecs import parquet as codec
from safehold.errors import DecodeError, EncodeError, LimitExceeded
from safehold.policy import Limits

pytestmark = pytest.mark.extras

READING = Reading(AllowList.of(), 64)
CODECS = [import_module(f"safehold.artifacts.codecs.{n}") for n in ("parquet", "json", "msgpack")]


@pytest.fixture(params=CODECS, ids=("parquet", "json", "msgpack"))
def each(request):
    return request.param


def encoded(value: object) -> bytes:
    (segment,) = codec.encode(value, 64).segments
    return bytes(segment)


def decode(data: bytes, **limits: int) -> object:
    reading = Reading(AllowList.of(), 64, limits=Limits(**limits))
    return codec.decode([memoryview(data)], reading)


def there_and_back(each, value: object) -> object:
    (segment,) = each.encode(value, 64).segments
    return each.decode([memoryview(bytes(segment))], READING)


def objects(*items: object) -> pd.Series:
    return pd.Series(list(items), dtype=object)


def check_same(one: object, two: object) -> None:
    """Pandas' own strict comparison, and what it does not look at."""
    assert type(one) is type(two)
    if isinstance(one, pd.Index):
        pd.testing.assert_index_equal(one, two, exact=True)
        assert getattr(one, "freq", None) == getattr(two, "freq", None)
        return
    compare = pd.testing.assert_frame_equal
    if isinstance(one, pd.Series):
        compare = pd.testing.assert_series_equal
        assert type(one.name) is type(two.name)
    compare(one, two, check_exact=True, check_freq=True)
    assert one.attrs == two.attrs
    check_same(one.index, two.index)
    if isinstance(one, pd.DataFrame):
        check_same(one.columns, two.columns)


def with_attrs(series: pd.Series) -> pd.Series:
    series.attrs = {"unit": ["kg"]}
    return series


days = pd.date_range("2026-03-28", periods=3, freq="D")
TABLES = {
    "frame": pd.DataFrame({"a": [1, 2], "b": [1.5, np.nan], "c": ["x", None], "d": [True, False]}),
    "array": pd.DataFrame(np.arange(6).reshape(2, 3)),
    "one column of a number": pd.DataFrame({7: [1]}),
    "no columns": pd.DataFrame(index=["a", "b"]),
    "nothing": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="i4")}),
    "index": pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 5], name="key")),
    "frequency": pd.DataFrame({"a": [1, 2, 3]}, index=days.tz_localize("Europe/Berlin")),
    "without frequency": pd.DataFrame({"a": [1, 2]}, index=pd.DatetimeIndex(["2026", "2025"])),
    "two levels": pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["x", None])
    ),
    "two levels of columns": pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])
    ),
    "dates as columns": pd.DataFrame([[1, 2, 3]], columns=days),
    "named columns": pd.DataFrame({"a": [1]}).rename_axis(columns="axis"),
    "only": pd.DataFrame({"0": [1]}),
    "small numbers": pd.DataFrame(
        {kind: np.array([1], kind) for kind in ("i1", "u1", "i2", "u2", "u4", "u8", "f2", "f4")}
    ),
    "nullable": pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": pd.array([True, None])}),
    "text": pd.DataFrame({"a": pd.array(["x", None], "string")}),
    "arrow": pd.DataFrame({"a": pd.array([1], "int64[pyarrow]")}),
    "objects of text": pd.DataFrame({"a": objects("x", None), "b": objects("x", np.nan)}),
    "objects of bytes": pd.DataFrame({"a": objects(b"x", b"")}),
    "objects of decimals": pd.DataFrame({"a": objects(Decimal("1.10"), Decimal("2.20"))}),
    "objects of dates": pd.DataFrame({"a": objects(dt.date(2026, 1, 1))}),
    "categories": pd.DataFrame({"a": pd.Categorical(["b", None], ["c", "b", "a"], ordered=True)}),
    "categories of numbers": pd.DataFrame({"a": pd.Categorical([2, 1, None], [3, 2, 1])}),
    "categories of dates": pd.DataFrame({"a": pd.Categorical(days)}),
    "seconds": pd.DataFrame({"a": np.array(["2026"], "M8[s]"), "b": np.array([5], "m8[s]")}),
    "seconds of a zone": pd.DataFrame(
        {"a": pd.DatetimeIndex(np.array(["2026"], "M8[s]")).tz_localize("Asia/Tokyo")}
    ),
    "fold": pd.DataFrame(
        {"a": pd.to_datetime(["2026-10-25 02:30"]).tz_localize("Europe/Berlin", ambiguous=[False])}
    ),
    "durations": pd.DataFrame({"a": pd.to_timedelta([1, None], "us")}),
    "periods": pd.DataFrame({"a": pd.period_range("2026", periods=2, freq="M")}),
    "intervals": pd.DataFrame({"a": pd.interval_range(0, 2, closed="left")}),
    "series": pd.Series([1, 2], name="x"),
    "series without a name": pd.Series([1.5, -0.0]),
    "series named by a number": pd.Series(["x"], name=3),
    "series named by two": pd.Series([1], name=("a", "b")),
    "series with notes": with_attrs(pd.Series([1], index=["k"])),
    "series of floats": pd.Series(pd.array([1.0, None], "Float64")),
    "range": pd.RangeIndex(1, 9, 2, name="k"),
    "numbers": pd.Index([3, 1, 3]),
    "texts": pd.Index(["a", None], name="k"),
    "days": pd.date_range("2026", periods=3, freq="2h", tz="UTC"),
    "lengths": pd.timedelta_range("1s", periods=3, freq="s"),
    "months": pd.period_range("2026", periods=3, freq="M"),
    "levels": pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", "y"]),
    "category index": pd.CategoricalIndex(["a", "b"], ["b", "a"]),
    "interval index": pd.interval_range(0, 3),
}  # fmt: skip


@pytest.mark.parametrize("value", TABLES.values(), ids=TABLES)
def test_a_table_comes_back_exactly(value, each):
    check_same(there_and_back(each, value), value)


def test_tables_stand_within_other_values():
    msgpack = CODECS[2]
    found = there_and_back(msgpack, {"k": [TABLES["frame"], (TABLES["series"],)]})
    check_same(found["k"][0], TABLES["frame"])
    check_same(found["k"][1][0], TABLES["series"])


def test_pandas_reads_what_is_written_and_writes_what_is_read():
    frame = TABLES["frame"]
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(encoded(frame))), frame)
    pd.testing.assert_frame_equal(decode(frame.to_parquet()), frame)


class MyFrame(pd.DataFrame):
    pass


def flagged() -> pd.DataFrame:
    return pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)


def noted(value: object) -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"k": value}
    return frame


HOMELESS = {
    "complex": pd.DataFrame({"a": [1j]}),
    "big endian": pd.DataFrame({"a": np.array([1], ">f8")}),
    "lists": pd.DataFrame({"a": objects([1, 2])}),
    "dicts": pd.DataFrame({"a": objects({"k": 1})}),
    "sets": pd.DataFrame({"a": objects({1})}),
    "mixed objects": pd.DataFrame({"a": objects(1, "x")}),
    "objects of truth and numbers": pd.DataFrame({"a": objects(1, True)}),
    "two kinds of nothing": pd.DataFrame({"a": objects("x", None, np.nan)}),
    "two columns of one name": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "labels of two types": pd.DataFrame([[1, 2]], columns=["a", 1]),
    "index of two types": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["a", 1], dtype=object)),
    "sparse": pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}),
    "flag": flagged(),
    "tuple in attrs": noted((1,)),
    "object in attrs": noted(object()),
}


@pytest.mark.parametrize("value", HOMELESS.values(), ids=HOMELESS)
def test_what_would_come_back_otherwise_is_refused(value, each):
    with pytest.raises(EncodeError, match=r"^value is a pandas DataFrame that "):
        each.encode(value, 64)


@pytest.mark.parametrize("value", [MyFrame({"a": [1]}), [1], None, pd.Timestamp(0), np.arange(3)])
def test_what_is_no_table_is_refused(value):
    with pytest.raises(EncodeError, match="parquet holds"):
        codec.encode(value, 64)


columns = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
    st.lists(st.floats(allow_nan=False), min_size=3, max_size=3),
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=3, max_size=3),
    st.lists(st.booleans() | st.none() | st.text(max_size=2), min_size=3, max_size=3),
)
labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.integers(0, 5)


@settings(max_examples=50)
@given(st.dictionaries(labels, columns, max_size=3))
def test_any_table_comes_back_or_is_refused(value):
    frame = pd.DataFrame(value)
    with contextlib.suppress(EncodeError):
        check_same(decode(encoded(frame)), frame)


# --- hostile -------------------------------------------------------------------------------


def written(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def noting(note: bytes) -> bytes:
    table = pa.table({"a": [1], "0": [2]})
    return written(table.replace_schema_metadata({b"safehold": note}))


HOSTILE = {
    "nothing": b"",
    "magic": b"PAR1PAR1",
    "footer beyond the file": b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1",
    "footer of zeros": b"PAR1" + bytes(100) + (100).to_bytes(4, "little") + b"PAR1",
    "cut": encoded(TABLES["frame"])[:-1],
    "lists": written(pa.table({"a": [[1, 2]]})),
    "structs": written(pa.table({"a": [{"x": 1}]})),
    "no note": noting(b"x"),
    "unknown note": noting(b'{"call":"os.system"}'),
    "note of another kind": noting(b'{"kind":"panel"}'),
    "note beyond the columns": noting(b'{"objects":{"9":"nan"}}'),
    "note of a frequency": noting(b'{"freq":"D"}'),
    "note of no frequency": noting(b'{"freq":"__import__"}'),
    "note of a type": noting(b'{"seconds":{"0":"os.system"}}'),
    "note of categories": noting(b'{"categories":{"0":["YWJj",true]}}'),
    "note of columns": noting(b'{"columns":[0,9,1]}'),
    "huge note": noting(b'{"columns":[0,99999999999999999999999,1]}'),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_table_is_a_decode_error(data):
    with pytest.raises(DecodeError):
        decode(data)


@pytest.mark.parametrize("plain", [b"", b"PAR1", "text", None, 5, []])
def test_a_tag_that_holds_no_table_is_a_decode_error(plain):
    values = import_module("safehold.artifacts.codecs.values")
    with pytest.raises(DecodeError):
        values.rebuild(frames.TAG, plain)


class Ran(pa.ExtensionType):
    """An extension type as a library could register it."""

    def __init__(self) -> None:
        super().__init__(pa.int64(), "tests.ran")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: object, serialized: bytes) -> Ran:
        return cls()


def test_extension_types_of_others_are_refused():
    data = written(pa.table({"a": pa.ExtensionArray.from_storage(Ran(), pa.array([1]))}))
    assert decode(data)["a"].tolist() == [1]  # not registered: it is read as what it stores
    pa.register_extension_type(Ran())
    try:
        with pytest.raises(DecodeError, match="column 'a'"):
            decode(data)
    finally:
        pa.unregister_extension_type("tests.ran")


def constant(value: object, count: int) -> pa.Array:
    return pa.array([value]).take(pa.array(np.zeros(count, np.int32)))


NUMBERS = written(pa.table({"a": constant(7, 2**24)}))  # 128 MiB in a few KB
NOTHING = written(pa.table({"a": pa.nulls(2**24)}))
TEXTS = written(
    pa.table({"a": pa.DictionaryArray.from_arrays(np.zeros(2**14, np.int32), ["x" * 2**14])}).cast(
        pa.schema({"a": pa.dictionary(pa.int32(), pa.string())})
    ),
    store_schema=False,
)  # 256 MiB


@pytest.mark.parametrize("data", [NUMBERS, NOTHING, TEXTS], ids=["numbers", "nothing", "texts"])
def test_a_bomb_is_refused_before_it_unfolds(data):
    assert len(data) < 2**17
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    peak = pool.max_memory()
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded, match="unpacks to"):
            decode(data, expansion=10)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()
    assert pa.total_allocated_bytes() <= before + 2**20
    assert pool.max_memory() <= max(peak, before + 2**24)


def test_texts_that_many_rows_share_are_read_within_the_limits():
    found = decode(TEXTS, expansion=1_000_000)
    assert found["a"].iloc[-1] == "x" * 2**14
    many = pd.DataFrame({"a": ["word" * 100] * 2**16, "b": [None, "y"] * 2**15})
    check_same(decode(encoded(many), expansion=10_000), many)


def test_texts_stored_by_their_differences_are_refused_where_they_could_be_a_bomb():
    words = pa.table({"a": ["x" * n for n in range(4000)]})
    data = written(words, column_encoding="DELTA_BYTE_ARRAY", use_dictionary=False)
    assert len(decode(data)) == 4000
    with pytest.raises(DecodeError, match="differences"):
        decode(data, artifact=2**20)


@settings(max_examples=200)
@given(st.binary(min_size=1, max_size=8), st.integers(0, 4000))
def test_any_change_ends_in_a_table_or_a_typed_error(noise, at):
    data = bytearray(SMALL)
    at %= len(data)
    data[at : at + len(noise)] = noise
    with contextlib.suppress(DecodeError, LimitExceeded):
        decode(bytes(data))


SMALL = encoded(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
