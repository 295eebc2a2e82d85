"""The npz codec: an archive is unpacked only as far as the limits and its directory allow."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.artifacts.codecs import npz as codec
from safehold.errors import DecodeError, EncodeError, LimitExceeded
from safehold.policy import Limits

pytestmark = pytest.mark.extras

READING = Reading(AllowList.of(), 64)


def encoded(value: object) -> bytes:
    (segment,) = codec.encode(value, 64).segments
    return bytes(segment)


def decode(data: bytes, **limits: int) -> object:
    reading = Reading(AllowList.of(), 64, limits=Limits(**limits))
    return codec.decode([memoryview(data)], reading)


def saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, data in members:
            made.writestr(name, data)
    return out.getvalue()


VALUE = {
    "a": np.arange(6).reshape(2, 3),
    "b/ü": np.array(["x"]),
    "file": np.empty((0, 2)),
    "": np.array(1),
}


def test_arrays_come_back_and_numpy_reads_the_same():
    found = decode(encoded(VALUE))
    with np.load(io.BytesIO(encoded(VALUE))) as theirs:
        assert list(found) == list(VALUE) == theirs.files
        for name, array in VALUE.items():
            for other in (found[name], theirs[name]):
                assert (other.dtype, other.shape) == (array.dtype, array.shape)
                assert np.array_equal(other, array)
            assert found[name].flags.writeable
    assert decode(encoded({})) == {}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(save):
    out = io.BytesIO()
    save(out, np.arange(3), x=np.ones((2, 2)))
    found = decode(out.getvalue())
    assert sorted(found) == ["arr_0", "x"]
    assert np.array_equal(found["arr_0"], np.arange(3))


@pytest.mark.parametrize(
    "value",
    [np.arange(3), [1], None, {1: np.arange(3)}, {"\ud800": np.arange(3)}, {"a\0b": np.arange(3)},
     {"a\\b": np.arange(3)}, {"x" * 70_000: np.arange(3)}],
    ids=range(8),
)  # fmt: skip
def test_what_has_no_form_is_refused(value):
    with pytest.raises(EncodeError, match=r"^npz "):
        codec.encode(value, 64)


def test_the_error_names_the_key():
    for value in ([1], np.array([None], object)):
        with pytest.raises(EncodeError, match=r"^value\['k'\]: "):
            codec.encode({"k": value}, 64)


# --- hostile -------------------------------------------------------------------------------

BOMB = archive(("a.npy", saved(np.zeros(2**24))))  # 128 MiB of zeros


def test_a_bomb_is_refused_before_it_is_unpacked():
    assert len(BOMB) < 2**18
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded, match="unpacks to"):
            decode(BOMB, expansion=100)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert decode(BOMB, expansion=2000)["a"].shape == (2**24,)


def test_the_limit_of_artifacts_holds_for_all_members_together():
    data = archive(*((f"{n}.npy", saved(np.arange(100))) for n in range(10)))
    with pytest.raises(LimitExceeded):
        decode(data, artifact=5000)
    assert len(decode(data, artifact=10_000)) == 10
    with pytest.raises(LimitExceeded, match="10 members"):
        decode(data, members=9)


def test_a_member_that_says_less_than_it_unpacks_to_is_cut_there():
    real = saved(np.zeros(2**22))
    data = bytearray(archive(("a.npy", real)))
    small = (256).to_bytes(4, "little")
    data = data.replace(len(real).to_bytes(4, "little"), small)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="cannot be unpacked"):
            decode(bytes(data), artifact=2**20)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_a_member_whose_array_is_larger_than_its_bytes_is_refused():
    lying = saved(np.zeros(3)).replace(b"(3,)", b"(3000000000,)").replace(b" " * 9 + b"\n", b"\n")
    with pytest.raises(DecodeError, match="speaks of"):
        decode(archive(("a.npy", lying)))


HOSTILE = {
    "nothing": b"",
    "no archive": b"PK\x03\x04" + bytes(40),
    "objects": archive(("a.npy", saved(np.array([1, None], object)))),
    "another member": archive(("a.npy", saved(np.arange(3))), ("b.pkl", b"x")),
    "a folder": archive(("a/", b"")),
    "no array": archive(("a.npy", b"x" * 100)),
    "bzip2": archive(("a.npy", saved(np.arange(3))), method=zipfile.ZIP_BZIP2),
    "lzma": archive(("a.npy", saved(np.arange(3))), method=zipfile.ZIP_LZMA),
    "encrypted": archive(("a.npy", saved(np.arange(3)))).replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    ),
    "wrong sum": archive(("a.npy", saved(np.arange(3))), method=zipfile.ZIP_STORED).replace(
        bytes(7) + b"\x01" + bytes(7), bytes(7) + b"\x09" + bytes(7)
    ),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_an_archive_of_arrays_is_a_decode_error(data):
    with pytest.raises(DecodeError):
        decode(data)


def test_two_members_of_one_name_are_refused():
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = archive(("a.npy", saved(np.arange(3))), ("a.npy", saved(np.arange(4))))
    with pytest.raises(DecodeError, match="of its own"):
        decode(data)


@given(st.binary(min_size=1, max_size=8), st.integers(0, 400))
def test_any_change_ends_in_arrays_or_a_typed_error(noise, at):
    data = bytearray(encoded({"a": np.arange(3)}))
    at %= len(data)
    data[at : at + len(noise)] = noise
    with contextlib.suppress(DecodeError, LimitExceeded):
        decode(bytes(data))
