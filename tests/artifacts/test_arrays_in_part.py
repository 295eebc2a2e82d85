"""Arrays that are read in part are, index by index, what numpy gives."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.artifacts.arrays import LazyArray
from safehold.errors import DecodeError, Tampered, TypeNotAllowed
from tests.artifacts.test_opened import CHUNK, change

pytestmark = pytest.mark.extras


class Part:
    """A segment that tells what was read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read = 0

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, item: slice) -> memoryview:
        view = memoryview(self.data)[item]
        self.read += len(view)
        return view


def lazy(array: np.ndarray) -> LazyArray:
    order = "C" if array.flags.c_contiguous else "F"
    return LazyArray(Part(array.tobytes(order)), array.dtype, array.shape, order)


numbers = st.integers(-7, 7)
places = st.one_of(
    numbers,
    st.builds(slice, st.none() | numbers, st.none() | numbers, st.none() | numbers.filter(bool)),
)
indices = st.one_of(
    places, st.tuples(places), st.tuples(places, places), st.just(()), st.just(...), st.booleans(),
    st.just([1, 0]), st.tuples(st.just(...), places), st.none(), st.tuples(places, st.none()),
    st.builds(np.int64, numbers), st.just([True, False, True, True, False]),
)  # fmt: skip
ARRAYS = [
    np.arange(15, dtype="<i4").reshape(5, 3),
    np.asfortranarray(np.arange(15.0).reshape(5, 3)),
    np.arange(5, dtype=">i2"),
    np.zeros((5, 0)),
    np.zeros((0, 3)),
    np.arange(40, dtype="u1").reshape(5, 2, 4),
    np.array(7.5),
    np.array([(1, 2.5)] * 5, dtype=[("a", "i4"), ("b", "f8")]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
@given(index=indices)
def test_every_index_is_numpys(array, index):
    mine = lazy(array)
    try:
        expected = array[index]
    except IndexError:
        with pytest.raises(IndexError):
            mine[index]
        return
    found = mine[index]
    assert type(found) is type(expected)
    assert np.array_equal(found, expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.array_equal(np.asarray(mine), array)


def test_only_the_rows_are_read():
    array = np.arange(1000, dtype="<i8").reshape(100, 10)
    for index, rows in ((3, 1), (slice(5, 9), 4), (slice(90, 80, -5), 6), ((slice(2, 4), 1), 2),
                        (slice(5, 5), 0), (-1, 1)):  # fmt: skip
        mine = lazy(array)
        assert np.array_equal(mine[index], array[index])
        assert mine._segment.read == rows * 80


@pytest.mark.parametrize(
    ("dtype", "shape", "order"),
    [
        ("<i4", (4,), "C"),
        (np.dtype("<i4"), (5,), "C"),
        (np.dtype("<i4"), (-2, -2), "C"),
        (np.dtype("<i4"), (2**62, 4), "C"),
        (np.dtype("<i4"), [4], "C"),
        (np.dtype("<i4"), (4.0,), "C"),
        (np.dtype("<i4"), (4,), "K"),
        (np.dtype("O"), (2,), "C"),
    ],
)
def test_parts_that_do_not_fit_are_refused(dtype, shape, order):
    with pytest.raises(DecodeError, match="does not fit"):
        LazyArray(Part(bytes(16)), dtype, shape, order)


def test_arrays_of_a_file_in_plain_containers(world):
    path = world.root / "models" / "a.pkl"
    big = np.arange(600_000, dtype="<f8").reshape(-1, 4)
    frozen = np.arange(10)
    frozen.flags.writeable = False
    value = {
        "big": big,
        "list": [big[:2].copy(), 1, "text"],
        "frozen": frozen,
        "part": big[:4, ::2],
    }
    world.store.dump(value, path)
    change(path, 3 * CHUNK)
    with world.store.open(path) as opened:
        found = opened.arrays()
        assert isinstance(found["big"], LazyArray)
        assert (found["big"].shape, found["big"].dtype, len(found["big"])) == (
            big.shape, big.dtype, len(big),
        )  # fmt: skip
        assert np.array_equal(found["big"][100:200], big[100:200])
        assert not found["big"][100:200].flags.writeable
        assert np.array_equal(found["frozen"], frozen)
        assert np.array_equal(found["part"], value["part"])
        assert found["list"][1:] == [1, "text"]
        with pytest.raises(Tampered):
            found["big"][:]
        with pytest.raises(Tampered):
            np.sum(found["big"])


def test_a_single_array_is_a_value_too(world):
    path = world.root / "models" / "a.joblib"
    world.store.dump(np.arange(10.0), path)
    with world.store.open(path) as opened:
        assert np.array_equal(opened.arrays()[2:4], [2.0, 3.0])


class Other:
    """Something that is no array."""


@pytest.mark.parametrize("value", [Other(), [np.arange(3.0), Other()], print])
def test_other_names_are_not_resolved(value, world):
    path = world.root / "cache" / "a.pkl"
    world.store.dump(value, path) if value is not print else world.store.dump(len, path)
    with world.store.open(path) as opened, pytest.raises(TypeNotAllowed, match="load it instead"):
        opened.arrays()


def test_a_buffer_that_is_no_array_is_not_given_out_as_something_else(world):
    path = world.root / "cache" / "a.pkl"
    world.store.dump([pickle.PickleBuffer(b"x" * 100), np.arange(3.0)], path)
    with world.store.open(path) as opened, pytest.raises(DecodeError, match="more than arrays"):
        opened.arrays()


def test_a_plain_file_that_was_sealed_has_no_arrays_of_its_own(world):
    path = world.root / "models" / "a.pkl"
    path.write_bytes(pickle.dumps(np.arange(3.0), 2))
    world.store.seal(path)
    with world.store.open(path) as opened, pytest.raises(DecodeError, match="load it instead"):
        opened.arrays()
