"""The safetensors codec against the library itself, and against headers that lie."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy as library
from hypothesis import given
from hypothesis import strategies as st

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.artifacts.codecs import safetensors as codec
from safehold.errors import DecodeError, EncodeError, LimitExceeded
from safehold.policy import Limits

pytestmark = pytest.mark.extras

READING = Reading(AllowList.of(), 64)


def encoded(value: object) -> bytes:
    (segment,) = codec.encode(value, 64).segments
    return bytes(segment)


def decode(data: bytes, reading: Reading = READING) -> dict[str, np.ndarray]:
    return codec.decode([memoryview(bytearray(data))], reading)


VALUE = {
    "z": np.array([True, False, True]),
    "a": np.arange(6, dtype="f4").reshape(2, 3),
    "ü模": np.array(5.0),
    "empty": np.empty((0, 3), "i2"),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "": np.array([2**64 - 1], "u8"),
}


def same(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
    return one.keys() == two.keys() and all(
        one[key].dtype == two[key].dtype
        and one[key].shape == two[key].shape
        and np.array_equal(one[key], two[key])
        for key in one
    )


def test_tensors_come_back_in_order():
    found = decode(encoded(VALUE))
    assert same(found, VALUE)
    assert list(found) == list(VALUE)
    assert all(array.flags.writeable and array.flags.aligned for array in found.values())
    assert decode(encoded({})) == {}


def test_the_library_reads_what_is_written_and_writes_what_is_read():
    assert same(library.load(encoded(VALUE)), VALUE)
    plain = {key: np.array(array, order="C") for key, array in VALUE.items()}
    assert same(decode(library.save(plain, {"format": "np"})), VALUE)


@pytest.mark.parametrize("name", codec.DTYPES)
def test_every_dtype(name):
    array = np.zeros(3, codec.DTYPES[name])
    assert same(decode(encoded({"a": array})), {"a": array})
    if name != "C64":  # newer than some versions of the library
        assert same(library.load(encoded({"a": array})), {"a": array})


@pytest.mark.parametrize(
    "value",
    [np.arange(3), {1: np.arange(3)}, {"__metadata__": np.arange(3)}, {"\ud800": np.arange(3)},
     {"a": [1]}, {"a": np.float64(1)}, {"a": np.arange(3, dtype=">i4")}, {"a": np.array(["x"])},
     {"a": np.array([None], object)}, {"a": np.ma.array([1])}, {"a": np.array([1j])},
     {"a": np.array([1], "g")}, {"a": np.array(["2026"], "M8[s]")}],
    ids=range(13),
)  # fmt: skip
def test_what_has_no_form_is_refused(value):
    with pytest.raises(EncodeError, match="safetensors"):
        codec.encode(value, 64)


# --- hostile -------------------------------------------------------------------------------


def made(header: object, body: bytes = bytes(8)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def row(
    shape: object = (1,), offsets: object = (0, 8), dtype: object = "F64", **more: object
) -> object:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}}


HOSTILE = {
    "nothing": b"",
    "cut": b"\x02\0\0\0",
    "longest": b"\xff" * 8 + b"{}",
    "2^63": (2**63).to_bytes(8, "little") + b"{}",
    "no JSON": made(b"nul"),
    "no object": made([]),
    "deep": made(b"[" * 200_000),
    "not text": made(b'{"\xff":1}'),
    "huge shape": made(row((2**62,))),
    "shape that wraps": made(row((2**32, 2**32, 1))),
    "shape that is too small": made(row((1,), (0, 16)), bytes(16)),
    "beyond 64 bits": made(row((2**70,))),
    "negative": made(row((-1, -1))),
    "no list": made(row(1)),
    "floats": made(row((1.5,))),
    "dimensions": made(row((1,) * 100)),
    "another dtype": made(row(dtype="BF16", shape=(4,))),
    "dtype of objects": made(row(dtype="O")),
    "one offset": made(row(offsets=(0,))),
    "beyond the file": made(row((2,), (0, 16))),
    "before the file": made(row((1,), (-8, 0)), b""),
    "backwards": made(row((1,), (8, 0))),
    "hole before": made(row((1,), (8, 16)), bytes(16)),
    "bytes behind": made(row(), bytes(9)),
    "overlap": made({**row(), "b": row((1,), (4, 12))["a"]}, bytes(12)),
    "more keys": made(row(extra=1)),
    "metadata of numbers": made({**row(), "__metadata__": {"a": 1}}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_lies_is_a_decode_error(data):
    with pytest.raises(DecodeError):
        decode(data)


@pytest.mark.parametrize("name", ["2^63", "hole before", "bytes behind", "overlap", "huge shape"])
def test_the_library_refuses_the_same(name):
    with pytest.raises(safetensors.SafetensorError):
        library.load(HOSTILE[name])


def test_limits():
    many = encoded({str(n): np.zeros(1) for n in range(10)})
    with pytest.raises(LimitExceeded, match="10 tensors"):
        decode(many, Reading(AllowList.of(), 64, limits=Limits(members=9)))
    with pytest.raises(LimitExceeded, match="header"):
        decode((2**24 + 1).to_bytes(8, "little") + bytes(2**24 + 1))


@given(st.binary(min_size=1, max_size=8), st.integers(0, 100))
def test_any_change_ends_in_arrays_or_a_typed_error(noise, at):
    data = bytearray(encoded({"a": np.arange(3)}))
    data[at : at + len(noise)] = noise
    with contextlib.suppress(DecodeError, LimitExceeded):
        decode(bytes(data))
