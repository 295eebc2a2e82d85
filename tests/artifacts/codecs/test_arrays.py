"""NumPy values in both data codecs."""

from __future__ import annotations

import contextlib
import warnings
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.artifacts.codecs import msgpack as msgpack_codec
from safehold.artifacts.codecs.values import rebuild
from safehold.errors import DecodeError, EncodeError

pytestmark = pytest.mark.extras

NAMES = ("json", "msgpack")
CODECS = [import_module(f"safehold.artifacts.codecs.{name}") for name in NAMES]
READING = Reading(AllowList.of(), 64)


@pytest.fixture(params=CODECS, ids=NAMES)
def codec(request):
    return request.param


def there_and_back(codec, value: object) -> object:
    (segment,) = codec.encode(value, 64).segments
    return codec.decode([memoryview(bytes(segment))], READING)


def same_dtype(one: np.dtype, two: np.dtype) -> bool:
    return (
        one == two
        and one.type is two.type
        and one.isalignedstruct == two.isalignedstruct
        and one.char == two.char
        and repr(one) == repr(two)
    )


def same_array(one: object, two: object) -> bool:
    return (
        type(one) is type(two)
        and same_dtype(one.dtype, two.dtype)
        and one.shape == two.shape
        and one.tobytes() == two.tobytes()
        and one.flags.f_contiguous == two.flags.f_contiguous
        and one.flags.c_contiguous == two.flags.c_contiguous
    )


def values_of(text: str) -> np.ndarray:
    return np.frombuffer(bytes(range(240)), np.uint8)[: np.dtype(text).itemsize * 3].view(text)


DTYPES = [
    "?", "b", "B", "<i2", ">i2", "<u4", ">u4", "<i8", ">i8", "q", ">q", "Q", "l", "<f2", ">f2",
    "<f4", "<f8", ">f8", "g", "<c8", ">c16", "G", "S3", "<U2", ">U2", "V5", "<M8[ns]", ">M8[D]",
    "<M8[25us]", "<M8", "<m8[s]", "<m8",
]  # fmt: skip


@pytest.mark.parametrize("text", DTYPES)
def test_every_dtype_comes_back(text, codec):
    if text == "?":
        array = np.array([True, False, True])
    elif np.dtype(text).kind == "U":
        array = np.array(["ab", "模", ""], text)
    else:
        array = values_of(text)
    assert same_array(there_and_back(codec, array), array)
    assert same_dtype(there_and_back(codec, array.dtype), array.dtype)


@pytest.mark.parametrize("text", [text for text in DTYPES if text[0] != ">"])
def test_every_scalar_comes_back(text, codec):
    scalar = np.array(["ab"], text)[0] if "U" in text else values_of(text)[1]
    if text == "?":
        scalar = np.True_
    found = there_and_back(codec, scalar)
    assert type(found) is type(scalar)
    assert found.tobytes() == scalar.tobytes()
    assert same_dtype(found.dtype, scalar.dtype)


@pytest.mark.parametrize(
    "scalar",
    [np.str_(""), np.str_("a\0"), np.str_("\0"), np.bytes_(b""), np.bytes_(b"a\0\0"),
     np.float64("nan"), np.float64(-0.0), np.datetime64("NaT"), np.timedelta64("NaT", "D"),
     np.longlong(5), np.intc(5), np.void(b"abc")],
    ids=repr,
)  # fmt: skip
def test_scalars_at_the_edge(scalar, codec):
    found = there_and_back(codec, {"k": [scalar]})["k"][0]
    assert type(found) is type(scalar)
    assert found.tobytes() == scalar.tobytes()
    assert same_dtype(found.dtype, scalar.dtype)


STRUCTURES = {
    "flat": np.dtype([("a", "<i4"), ("b", ">f8")]),
    "nested": np.dtype([("a", [("b", "<i2"), ("c", "S3")]), ("d", "<M8[ns]")]),
    "subarrays": np.dtype([("a", "<f4", (2, 3)), ("b", "?")]),
    "padded": np.dtype({"names": ["a", "b"], "formats": ["i1", "i8"], "offsets": [0, 16]}),
    "larger": np.dtype({"names": ["a"], "formats": ["i1"], "itemsize": 24}),
    "titles": np.dtype([(("title", "a"), "<i4")]),
    "unicode": np.dtype([("ü", "<i4")]),
    "no fields": np.dtype([]),
}


@pytest.mark.parametrize("dtype", STRUCTURES.values(), ids=STRUCTURES)
def test_a_structure_comes_back_or_is_refused(dtype, codec):
    array = np.zeros(3, dtype)
    try:
        found = there_and_back(codec, array)
    except EncodeError:
        assert dtype.names == ()
        return
    assert same_array(found, array)
    assert found.dtype.fields == array.dtype.fields
    item = array[0]
    assert there_and_back(codec, item) == item
    assert type(there_and_back(codec, item)) is np.void


SHAPES = {
    "no dimension": np.array(5.0),
    "empty": np.empty(0),
    "empty matrix": np.empty((0, 3), np.int32),
    "empty inside": np.empty((2, 0, 3)),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "row and column": np.arange(3.0).reshape(1, 3),
    "no bytes": np.zeros(3, "V0"),
    "empty texts": np.ndarray((2,), "<U0", b""),
}


@pytest.mark.parametrize("array", SHAPES.values(), ids=SHAPES)
def test_every_shape_comes_back(array, codec):
    assert same_array(there_and_back(codec, array), array)


@pytest.mark.parametrize(
    "array",
    [np.arange(10)[::2], np.arange(10)[::-1], np.arange(12).reshape(3, 4).T[1:, :2],
     np.broadcast_to(np.arange(3), (2, 3)), np.arange(6).reshape(1, 2, 3).transpose(2, 0, 1)],
    ids=range(5),
)  # fmt: skip
def test_views_come_back_by_content(array, codec):
    found = there_and_back(codec, array)
    assert np.array_equal(found, array)
    assert same_dtype(found.dtype, array.dtype)


def test_what_comes_back_can_be_written_to_and_owns_its_memory(codec):
    found = there_and_back(codec, [np.arange(3), np.arange(3)])
    found[0][0] = 9
    assert found[1][0] == 0


class Sub(np.ndarray):
    pass


HOMELESS = {
    "objects": np.array([1, None], object),
    "objects inside": np.zeros(1, [("a", "O")]),
    "object dtype": np.dtype(object),
    "masked": np.ma.array([1], mask=[True]),
    "record array": np.rec.array([(1,)], dtype=[("a", "i4")]),
    "record dtype": np.dtype((np.record, [("a", "i4")])),
    "subclass": np.zeros(2).view(Sub),
    "metadata": np.zeros(1, np.dtype("i4", metadata={"a": 1})),
    "metadata inside": np.zeros(1, [("a", np.dtype("i4", metadata={"a": 1}))]),
    "metadata in a subarray": np.zeros(1, [("a", np.dtype("i4", metadata={"a": 1}), (2,))]),
    "aligned": np.zeros(1, np.dtype("i1,i8", align=True)),
    "ufunc": np.add,
    "function": np.linalg.norm,
    "type": np.float64,
    "generator": np.random.default_rng(0),
    "subarray dtype": np.dtype(("f4", (2,))),
}
if hasattr(np, "dtypes") and hasattr(np.dtypes, "StringDType"):
    HOMELESS["string dtype"] = np.array(["a"], np.dtypes.StringDType())


@pytest.mark.parametrize("value", HOMELESS.values(), ids=HOMELESS)
def test_what_would_lose_something_is_refused_and_named(value, codec):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        with pytest.raises(EncodeError, match=r"^value\['k'\]\[1\] (is a|has the dtype)"):
            codec.encode({"k": [1, value]}, 64)


def test_other_pandas_objects_are_refused(codec):
    pd = pytest.importorskip("pandas")
    for value in (pd.Timestamp(0), pd.NaT, pd.NA, pd.Timedelta(1), pd.Categorical(["a"]),
                  pd.array([1]), pd.Period("2026"), pd.DataFrame({"a": [1j]})):  # fmt: skip
        with pytest.raises(EncodeError, match="pandas"):
            codec.encode(value, 64)


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
@given(
    array=npst.arrays(
        npst.scalar_dtypes() | npst.unicode_string_dtypes() | npst.array_dtypes(),
        npst.array_shapes(min_dims=0, min_side=0, max_side=4),
    )
)
def test_any_array_comes_back_exactly(codec, array):
    if array.dtype.hasobject:
        return
    assert same_array(there_and_back(codec, array), array)


# --- hostile -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plain",
    [
        ["O", [1], "C", b"\0" * 8],
        ["<f8", [1], "C", 10**11],
        ["<f8", [2], "C", b"\0" * 8],
        ["<f8", [10**15], "C", b"\0" * 8],
        ["<f8", [2**70], "C", b"\0" * 8],
        ["<f8", [1] * 1000, "C", b"\0" * 8],
        ["<f8", 5, "C", b"\0" * 8],
        ["<f8", [1], "X", b"\0" * 8],
        ["<f8", [1], "C"],
        ["(", [1], "C", b"\0" * 8],
        [[("a", "O")], [1], "C", b"\0" * 8],
        [["a"], [1], "C", b"\0" * 8],
        ["<f8", [1], "C", "text"],
        [],
        None,
        5,
    ],
    ids=range(16),
)
def test_an_array_that_cannot_be_is_a_decode_error(plain):
    with pytest.raises(DecodeError):
        rebuild("ndarray", plain)


@pytest.mark.parametrize(
    "plain", [["O", b"\0" * 8], ["<f8", b""], ["<U1", 5], ["<f8"], [], None, "x"]
)
def test_a_scalar_that_cannot_be_is_a_decode_error(plain):
    with pytest.raises(DecodeError):
        rebuild("npscalar", plain)


@given(st.binary(max_size=40))
def test_any_description_ends_in_a_typed_error_or_a_value(data):
    text = data.decode("latin-1")
    for plain in (text, [text, [1], "C", data], [[(text, text)], [1], "C", data]):
        for tag in ("ndarray", "npscalar", "npdtype"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with contextlib.suppress(DecodeError):
                    rebuild(tag, plain)


def test_no_object_comes_out_of_bytes():
    (data,) = msgpack_codec.encode(np.arange(3), 64).segments
    hostile = bytes(data).replace(b"<i8", b"|O8")
    assert hostile != bytes(data)
    with pytest.raises(DecodeError):
        msgpack_codec.decode([memoryview(hostile)], READING)
