"""The facades over plain files with a sidecar, which the replaced libraries read as well."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras

import joblib as plain_joblib  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from safehold import compat  # noqa: E402
from safehold.compat import data as compat_data  # noqa: E402
from safehold.compat import joblib, numpy, pandas  # noqa: E402
from safehold.compat import pickle as compat_pickle  # noqa: E402
from safehold.errors import NotSealed, SafeholdError, Tampered  # noqa: E402
from safehold.policy import DATA_CODECS  # noqa: E402
from tests.holding import World  # noqa: E402

ARRAY = np.arange(300_000, dtype="<f8").reshape(1000, 300)


@pytest.fixture
def shared(world) -> Iterator[World]:
    """Zones in which everything stays plain."""
    zones = tuple(
        replace(
            zone,
            sidecar=True,
            codecs=(*zone.codecs, *DATA_CODECS) if zone.name == "models" else zone.codecs,
        )
        for zone in world.hold.policy.zones
    )
    again = world.again(zones=zones)
    compat.use(again.hold)
    yield again
    again.hold.close()


def flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def beside(path: Path) -> Path:
    return path.with_name(path.name + ".sfh")


@pytest.mark.parametrize("compress", [0, 3, ("lzma", 2)])
def test_joblib(shared, compress):
    path = shared.root / "models/m.joblib"
    assert joblib.dump({"a": ARRAY}, path, compress=compress) == [str(path)]
    assert beside(path).exists()
    assert (plain_joblib.load(path)["a"] == ARRAY).all()
    for load in (lambda: joblib.load(path), lambda: joblib.load(path, mmap_mode="r")):
        assert (load()["a"] == ARRAY).all()
    with path.open("rb") as file:
        assert (joblib.load(file)["a"] == ARRAY).all()
    flip(path)
    with pytest.raises(Tampered):
        joblib.load(path)


def test_a_file_that_joblib_wrote_is_sealed_beside(shared):
    path = shared.root / "models/m.joblib"
    plain_joblib.dump({"a": ARRAY}, path)
    with pytest.raises(NotSealed):
        joblib.load(path)
    shared.store.seal(path)
    assert (joblib.load(path)["a"] == ARRAY).all()
    assert (plain_joblib.load(path)["a"] == ARRAY).all()


def test_joblib_memory_keeps_its_results_in_pairs(shared):
    memory = joblib.Memory(shared.root / "cache", verbose=0)
    calls = []

    @memory.cache(ignore=["seen"])
    def double(number, seen):
        seen.append(number)
        return [number * 2]

    assert double(3, calls) == double(3, calls) == [6]
    assert calls == [3]
    (result,) = (shared.root / "cache").rglob("output.pkl")
    flip(result)
    assert double(3, calls) == [6]  # computed again
    assert calls == [3, 3]


def test_pickle(shared):
    path = shared.root / "models/m.pkl"
    shared.store.dump({"a": [1, 2]}, path)
    assert pickle.loads(path.read_bytes()) == {"a": [1, 2]}
    with path.open("rb") as file:
        assert compat_pickle.load(file) == {"a": [1, 2]}
        with pytest.raises(EOFError):
            compat_pickle.load(file)
    with path.open("rb") as file:
        assert compat_pickle.Unpickler(file).load() == {"a": [1, 2]}
    flip(path, 10)
    with path.open("rb") as file, pytest.raises(pickle.UnpicklingError):
        compat_pickle.load(file)


@pytest.mark.parametrize("name", ["models/a.npy", "tables/a.npy"])
def test_numpy_arrays(shared, name):
    path = shared.root / name
    numpy.save(path, ARRAY)
    assert (np.load(path) == ARRAY).all()
    for mode in (None, "r"):
        assert (numpy.load(path, mmap_mode=mode) == ARRAY).all()
    with path.open("rb") as file:
        assert (numpy.load(file) == ARRAY).all()
    flip(path, ARRAY.nbytes // 2)
    with pytest.raises(Tampered):
        numpy.load(path)


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
def test_numpy_archives(shared, save):
    path = shared.root / "tables/a.npz"
    save(path, a=ARRAY, b=ARRAY[:2])
    with np.load(path) as archive:
        assert (archive["b"] == ARRAY[:2]).all()
    with numpy.load(path) as archive:
        assert archive.files == ["a", "b"]
        assert (archive["a"] == ARRAY).all()
    flip(path, 500)
    with pytest.raises(Tampered):
        numpy.load(path)


def test_pandas(shared):
    frame = pd.DataFrame({"a": [1, 2, 3], "b": list("xyz")})
    path = shared.root / "models/t.pkl"
    pandas.to_pickle(frame, path)
    pd.testing.assert_frame_equal(pandas.read_pickle(path), frame)
    pd.testing.assert_frame_equal(pickle.loads(path.read_bytes()), frame)
    table = shared.root / "tables/t.parquet"
    shared.store.dump(frame, table)
    pd.testing.assert_frame_equal(pd.read_parquet(table), frame)
    pd.testing.assert_frame_equal(shared.store.load(table), frame)
    flip(path, 40)
    with pytest.raises(Tampered):
        pandas.read_pickle(path)


def test_plain_data(shared):
    path = shared.root / "data/d.json"
    shared.store.dump({"a": [1, None]}, path)
    assert json.loads(path.read_text()) == {"a": [1, None]}
    assert compat_data.load(path) == {"a": [1, None]}
    with path.open("rb") as file:
        assert compat_data.load(file) == {"a": [1, None]}


def test_safetensors(shared):
    library = pytest.importorskip("safetensors.numpy")
    path = shared.root / "tables/m.safetensors"
    shared.store.dump({"w": ARRAY}, path)
    assert (library.load_file(path)["w"] == ARRAY).all()
    assert (library.load(bytes(shared.store.read(path)))["w"] == ARRAY).all()
    library.save_file({"w": ARRAY[:3]}, path)  # by another tool, on purpose
    with pytest.raises(Tampered):
        shared.store.read(path)
    shared.store.seal(path)
    assert (library.load(bytes(shared.store.read(path)))["w"] == ARRAY[:3]).all()


def test_skops(shared):
    library = pytest.importorskip("skops.io")
    sklearn = pytest.importorskip("sklearn.linear_model")
    model = sklearn.LinearRegression().fit(ARRAY[:10, :2], ARRAY[:10, 0])
    path = shared.root / "models/m.skops"
    zones = tuple(
        replace(zone, codecs=(*zone.codecs, "skops")) if zone.name == "models" else zone
        for zone in shared.hold.policy.zones
    )
    world = shared.again(zones=zones)
    world.store.dump(model, path)
    assert (library.load(path).coef_ == model.coef_).all()
    assert (world.store.load(path).coef_ == model.coef_).all()
    flip(path, 100)
    with pytest.raises(Tampered):
        world.store.load(path)
    world.hold.close()


def test_torch(shared):
    plain_torch = pytest.importorskip("torch")
    from safehold.compat import torch

    path = shared.root / "models/m.pt"
    weights = {"w": plain_torch.arange(12.0).reshape(3, 4)}
    torch.save(weights, path)
    assert beside(path).exists()
    assert plain_torch.equal(plain_torch.load(path, weights_only=True)["w"], weights["w"])
    assert plain_torch.equal(torch.load(path)["w"], weights["w"])
    verified = io.BytesIO(shared.store.read(path))
    assert plain_torch.equal(plain_torch.load(verified, weights_only=True)["w"], weights["w"])
    other = shared.root / "models/o.pt"
    plain_torch.save(weights, other)
    shared.store.seal(other, codec="pickle")
    assert plain_torch.equal(torch.load(other)["w"], weights["w"])
    flip(other, os.path.getsize(other) // 2)
    with pytest.raises(Tampered):
        torch.load(other)


def test_a_handle_that_writes_seals_in_the_file(shared):
    """A handle cannot be replaced in one step with the file beside it."""
    path = shared.root / "models/m.pkl"
    with path.open("wb") as file:
        compat_pickle.dump([1], file)
    assert not beside(path).exists()
    with path.open("rb") as file:
        assert compat_pickle.load(file) == [1]


def test_a_mapped_zone_reads_files_with_a_sidecar(shared):
    zones = tuple(replace(zone, mmap=True) for zone in shared.hold.policy.zones)
    world = shared.again(zones=zones)
    compat.use(world.hold)
    path = world.root / "tables/a.npy"
    numpy.save(path, ARRAY)
    assert (numpy.load(path, mmap_mode="r") == ARRAY).all()
    with pytest.raises(SafeholdError):
        world.store.load(path, mmap_mode="r")
    world.hold.close()
