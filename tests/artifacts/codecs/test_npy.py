"""The npy codec: NumPy's own file, with a header that is believed only as far as it is checked."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.artifacts.codecs import npy as codec
from safehold.errors import DecodeError, EncodeError

pytestmark = pytest.mark.extras

READING = Reading(AllowList.of(), 64)


def file_of(array: np.ndarray) -> bytes:
    return b"".join(map(bytes, codec.encode(array, 64).segments))


def decode(*segments: bytes) -> object:
    return codec.decode([memoryview(bytearray(segment)) for segment in segments], READING)


def same(one: np.ndarray, two: np.ndarray) -> bool:
    return (
        type(one) is type(two)
        and one.dtype == two.dtype
        and one.shape == two.shape
        and one.tobytes() == two.tobytes()
        and one.flags.f_contiguous == two.flags.f_contiguous
    )


ARRAYS = {
    "floats": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i4"),
    "no dimension": np.array(5.0),
    "empty": np.empty((0, 3)),
    "no bytes": np.zeros(3, "V0"),
    "bools": np.array([True, False]),
    "texts": np.array(["ab", "模"]),
    "dates": np.array(["2026-11-25"], "M8[D]"),
    "complex": np.array([1j]),
    "half": np.array([1.5], "f2"),
    "long double": np.array([1.5], "g"),
    "struct": np.zeros(2, [("a", "<i4"), ("b", ">f8", (2,))]),
    "other names": np.zeros(1, [("ü模", "<i4")]),
    "padded": np.zeros(2, {"names": ["a"], "formats": ["i1"], "offsets": [4], "itemsize": 16}),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_comes_back_and_numpy_reads_the_same(array):
    segments = codec.encode(array, 64).segments
    assert len(segments[0]) % 64 == 0
    for found in (decode(*map(bytes, segments)), decode(file_of(array))):
        assert same(found, array)
        assert found.flags.writeable
    theirs = np.load(io.BytesIO(file_of(array)))
    assert (theirs.dtype, theirs.shape) == (array.dtype, array.shape)
    assert repr(theirs) == repr(array)  # what lies between fields is anything there


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_what_numpy_writes_is_read(array):
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # format 3.0 for other names
        np.save(out, array)
    found = decode(out.getvalue())
    assert (found.dtype, repr(found)) == (array.dtype, repr(array))


@pytest.mark.parametrize(
    "array", [np.arange(10)[::2], np.arange(6).reshape(1, 2, 3).transpose(2, 0, 1)], ids=range(2)
)
def test_views_come_back_by_content(array):
    assert np.array_equal(decode(file_of(array)), array)


def test_the_array_lies_in_the_verified_memory():
    segments = [memoryview(bytearray(part)) for part in codec.encode(np.arange(9), 64).segments]
    found = codec.decode(segments, READING)
    segments[1][:8] = (77).to_bytes(8, "little")
    assert found[0] == 77


class Sub(np.ndarray):
    pass


HOMELESS = {
    "objects": np.array([None], object),
    "objects inside": np.zeros(1, [("a", "O")]),
    "subclass": np.zeros(2).view(Sub),
    "masked": np.ma.array([1], mask=[True]),
    "records": np.rec.array([(1,)], dtype=[("a", "i4")]),
    "metadata": np.zeros(1, np.dtype("i4", metadata={"a": 1})),
    "aligned": np.zeros(1, np.dtype("i1,i8", align=True)),
    "scalar": np.float64(1),
    "list": [1],
    "nothing": None,
}


@pytest.mark.parametrize("value", HOMELESS.values(), ids=HOMELESS)
def test_what_has_no_form_is_refused(value):
    with pytest.raises(EncodeError, match=r"^(npy holds|the dtype)"):
        codec.encode(value, 64)


@given(
    npst.arrays(
        npst.scalar_dtypes() | npst.unicode_string_dtypes() | npst.array_dtypes(),
        npst.array_shapes(min_dims=0, min_side=0, max_side=4),
    )
)
def test_any_array_comes_back(array):
    with contextlib.suppress(EncodeError):
        assert same(decode(file_of(array)), array)


# --- hostile -------------------------------------------------------------------------------


def header(text: str, version: tuple[int, int] = (1, 0), body: bytes = b"") -> bytes:
    raw = text.encode("latin-1")
    width = 2 if version[0] == 1 else 4
    return codec.MAGIC + bytes(version) + len(raw).to_bytes(width, "little") + raw + body


def described(descr: str, shape: str, order: str = "False", body: bytes = bytes(8)) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
    return header(text, body=body)


HOSTILE = {
    "nothing": b"",
    "magic alone": codec.MAGIC,
    "another magic": b"\x93NUMPX" + bytes(60),
    "version 0": header("{}", (0, 0)),
    "version 4": header("{}", (4, 0)),
    "version 1.1": header("{}", (1, 1)),
    "header beyond the file": codec.MAGIC + b"\x02\x00" + b"\xff\xff\xff\x7f" + b"{}",
    "longest header": codec.MAGIC + b"\x02\x00" + (70_000).to_bytes(4, "little") + b" " * 70_000,
    "longest header of an array": header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}" + " " * 70_000, (2, 0), bytes(8)
    ),
    "version 1.1 of an array": described("'<f8'", "(1,)").replace(b"Y\x01\x00", b"Y\x01\x01"),
    "text as shape": described("'V2147483647'", f"('{'x' * 9999}',)"),
    "objects": described("'|O'", "(1,)"),
    "objects inside": described("[('a', '|O')]", "(1,)"),
    "objects by number": described("'O8'", "(1,)"),
    "larger than the file": described("'<f8'", "(2,)"),
    "smaller than the file": described("'<f8'", "(0,)"),
    "huge": described("'<f8'", "(1125899906842624,)"),
    "beyond 64 bits": described("'<f8'", "(2305843009213693953,)"),
    "huge item": described("'V2147483647'", "(1,)"),
    "huge subarray": described("('<f8', (2147483647,))", "(1,)"),
    "negative": described("'<f8'", "(-1, -1)"),
    "floats as shape": described("'<f8'", "(1.0,)"),
    "truth as shape": described("'<f8'", "(True,)"),
    "list as shape": described("'<f8'", "[1]"),
    "many dimensions": described("'<f8'", "(1,) * 3"),
    "too many dimensions": described("'<f8'", f"({'1,' * 100})"),
    "call": described("__import__('os').system('true')", "(1,)"),
    "nested": header("(" * 60_000),
    "nested minus": header("-" * 60_000 + "1"),
    "other keys": header("{'descr': '<f8', 'shape': (1,)}", body=bytes(8)),
    "more keys": header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1}", body=bytes(8)
    ),
    "no dict": header("['descr', 'fortran_order', 'shape']", body=bytes(8)),
    "not a dtype": described("'<z8'", "(1,)"),
    "number as dtype": described("5", "(1,)"),
    "not text": header("\xff\xfe", (3, 0)),
    "digits": described("'<f8'", f"({'9' * 5000},)"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_lies_is_a_decode_error_and_allocates_nothing(data):
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20  # the parser's own, for 60,000 signs
    finally:
        tracemalloc.stop()


def test_segments_that_do_not_meet_are_refused():
    first, second = map(bytes, codec.encode(np.arange(3), 64).segments)
    for segments in ((first, second, b""), (first[:-1], second), (first + b"x", second)):
        with pytest.raises(DecodeError):
            decode(*segments)


@given(st.binary(max_size=80), st.integers(0, 127))
def test_any_change_of_the_header_ends_in_an_array_or_a_typed_error(noise, at):
    data = bytearray(file_of(np.arange(3)))
    data[at : at + len(noise)] = noise
    with warnings.catch_warnings(), contextlib.suppress(DecodeError):
        warnings.simplefilter("ignore")
        decode(bytes(data))
