"""Arrays over a mapped file are numpy's own, and the numbers that were sealed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from safehold.artifacts.arrays import LazyArray
from safehold.errors import Tampered
from tests.artifacts.test_mapped import CHUNK, change, counted, mapped_world, maps

pytestmark = pytest.mark.extras

BIG = np.arange(400_000, dtype="<f8").reshape(-1, 4)
ARRAYS = {
    "big": BIG,
    "fortran": np.asfortranarray(BIG[:100]),
    "bytes": np.arange(3, dtype="u1"),
    "swapped": np.arange(5, dtype=">i2"),
    "empty": np.zeros((0, 3)),
    "scalar": np.array(7.5),
    "struct": np.array([(1, 2.5)] * 5, dtype=[("a", "i4"), ("b", "f8")]),
}


@pytest.fixture
def world(tmp_path):
    world = mapped_world(tmp_path, "GMAC")
    yield world
    world.hold.close()


def dumped(world, value, name):
    path = world.root / name
    world.store.dump(value, path)
    path.chmod(0o644)
    return path


def in_map(array, path) -> bool:
    start = array.ctypes.data
    return any(low <= start and start + array.nbytes <= high for low, high, _ in maps(path))


@pytest.mark.parametrize("mode", ["r", "c"])
@pytest.mark.parametrize("name", ["models/a.pkl", "models/a.joblib"])
def test_arrays_of_a_pickle_lie_in_the_map(world, name, mode):
    path = dumped(world, ARRAYS, name)
    found = world.store.load(path, mmap_mode=mode)
    for key, array in ARRAYS.items():
        assert np.array_equal(found[key], array)
        assert (found[key].dtype, found[key].flags.f_contiguous) == (
            array.dtype,
            array.flags.f_contiguous,
        )
        assert type(found[key]) is np.ndarray
        if array.nbytes:
            assert in_map(found[key], path)
            assert found[key].flags.writeable is (mode == "c")
    for array in world.store.load(path).values():
        assert not array.nbytes or (array.flags.writeable and not in_map(array, path))


@pytest.mark.parametrize("mode", ["r", "c"])
@pytest.mark.parametrize("key", ARRAYS)
def test_npy(world, key, mode):
    path = dumped(world, ARRAYS[key], "tables/a.npy")
    found = world.store.load(path, mmap_mode=mode)
    assert np.array_equal(found, ARRAYS[key])
    assert found.dtype == ARRAYS[key].dtype
    if found.nbytes:
        assert in_map(found, path)
        assert found.flags.writeable is (mode == "c")


def test_a_plain_npy_file_that_was_sealed(world):
    path = world.root / "tables" / "a.npy"
    np.save(path, BIG)
    world.store.seal(path)
    path.chmod(0o644)
    found = world.store.load(path, mmap_mode="r")
    assert np.array_equal(found, BIG)
    assert in_map(found, path)


def test_safetensors(world):
    value = {"a": BIG, "b": np.arange(5, dtype="i4")}
    path = dumped(world, value, "tables/a.safetensors")
    found = world.store.load(path, mmap_mode="r")
    for key, array in value.items():
        assert np.array_equal(found[key], array)
        assert in_map(found[key], path)
        assert not found[key].flags.writeable


def test_arrays_that_are_packed_are_private(world):
    path = dumped(world, {"a": BIG}, "tables/a.npz")
    found = world.store.load(path, mmap_mode="r")
    assert np.array_equal(found["a"], BIG)
    assert found["a"].flags.writeable
    assert not in_map(found["a"], path)


def test_what_is_written_to_a_copy_stays_there(world):
    path = dumped(world, BIG, "models/a.pkl")
    before = path.read_bytes()
    found = world.store.load(path, mmap_mode="c")
    found[:] = 0
    assert path.read_bytes() == before
    assert np.array_equal(world.store.load(path), BIG)
    with pytest.raises(ValueError, match="read-only"):
        world.store.load(path, mmap_mode="r")[0] = 0


def test_a_model_over_the_map_predicts_the_same(world):
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 4)), rng.integers(0, 3, 200)
    model = RandomForestClassifier(10, random_state=0).fit(x, y)
    path = dumped(world, model, "models/a.joblib")
    found = world.store.load(path, mmap_mode="r")
    assert np.array_equal(found.predict_proba(x), model.predict_proba(x))


def test_rows_verify_their_chunks_and_the_whole_verifies_all(world):
    path = dumped(world, {"big": BIG}, "models/a.pkl")
    change(path, 2 * CHUNK)
    with world.store.open(path, mmap=True) as opened:
        big = opened.arrays()["big"]
        assert isinstance(big, LazyArray)
        rows = big[:10]
        assert np.array_equal(rows, BIG[:10])
        assert in_map(rows, path)
        assert not rows.flags.writeable
        for whole in (lambda: np.sum(big), lambda: big[:], lambda: np.asarray(big)):
            with pytest.raises(Tampered):
                whole()
    assert np.array_equal(rows, BIG[:10])
    change(path, 2 * CHUNK)
    with world.store.open(path, mmap=True) as opened:
        whole = np.asarray(opened.arrays()["big"])
    assert np.array_equal(whole, BIG)
    assert in_map(whole, path)


def test_a_load_copies_nothing(world):
    """All that it adds to this process's own memory is small."""
    path = dumped(world, np.arange(2**21, dtype="<f8"), "models/a.pkl")

    def own() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[5])  # data and stack
        return pages * os.sysconf("SC_PAGE_SIZE")

    world.store.load(path, mmap_mode="r")
    before = own()
    found = world.store.load(path, mmap_mode="r")
    assert own() - before < found.nbytes / 4
    figures = counted(path)
    assert figures["Private_Dirty:"] == 0
    assert figures["Rss:"] * 1024 >= found.nbytes


def test_what_is_written_into_the_file_shows(world):
    """The limit of a map: whoever can write the file writes into what was verified."""
    path = dumped(world, BIG, "models/a.pkl")
    found = world.store.load(path, mmap_mode="r")
    last = found[-1].copy()
    with world.store.open(path) as opened:
        payload = opened._opened.shape.payload
    change(path, payload - 1)
    assert not np.array_equal(found[-1], last)
    with pytest.raises(Tampered):
        world.store.load(path, mmap_mode="r")
