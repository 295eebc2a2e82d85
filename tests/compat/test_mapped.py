"""The facades' ``mmap_mode``: a map where the policy has one, private memory elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from safehold import compat
from safehold.compat import joblib
from safehold.compat import numpy as facade
from safehold.errors import ConfigError, DecodeError
from tests.artifacts.test_mapped import mapped_world
from tests.artifacts.test_mapped_arrays import in_map

pytestmark = pytest.mark.extras

X = np.arange(200_000.0).reshape(-1, 4)
MODES = ["r", "c", "r+", "w+", None]


@pytest.fixture
def world(tmp_path):
    world = mapped_world(tmp_path, "GMAC")
    compat.use(world.hold)
    yield world
    compat.use(None)
    world.hold.close()


def check(found, path, mode, *, maps: bool) -> None:
    assert np.array_equal(found, X)
    assert type(found) is np.ndarray
    assert in_map(found, path) is (maps and mode in ("r", "c"))
    assert found.flags.writeable is not (maps and mode == "r")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("folder", ["models", "second"])
def test_joblib(world, folder, mode):
    path = world.root / folder / "a.joblib"
    joblib.dump(X, path)
    path.chmod(0o644)
    for name in (path, str(path)):
        check(joblib.load(name, mmap_mode=mode), path, mode, maps=folder == "models")
    with path.open("rb") as file:
        check(joblib.load(file, mmap_mode=mode), path, mode, maps=False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("maps", [True, False])
def test_numpy(world, maps, mode):
    path = world.root / "tables" / "a.npy"
    facade.save(path, X)
    path.chmod(0o644)
    if not maps:
        compat.use(world.again(keyring=world.hold.keyring).hold)
    check(facade.load(path, mmap_mode=mode), path, mode, maps=maps)
    with path.open("rb") as file:
        check(facade.load(file, mmap_mode=mode), path, mode, maps=False)


def test_an_archive_is_private_memory(world):
    path = world.root / "tables" / "a.npz"
    facade.savez(path, x=X)
    path.chmod(0o644)
    check(facade.load(path, mmap_mode="r")["x"], path, "r", maps=False)


def test_pickled_arrays_still_have_to_be_asked_for(world):
    path = world.root / "models" / "a.npy"
    facade.save(path, np.array([1, "x"], object))
    path.chmod(0o644)
    with pytest.raises(DecodeError, match="allow_pickle=False"):
        facade.load(path, mmap_mode="r")
    assert facade.load(path, mmap_mode="r", allow_pickle=True).tolist() == [1, "x"]


def test_compressed_files_are_private_memory(world):
    path = world.root / "models" / "a.joblib"
    joblib.dump(X, path, compress=3)
    path.chmod(0o644)
    check(joblib.load(path, mmap_mode="r"), path, "r", maps=False)


def test_a_file_that_others_can_write_is_refused_and_not_read_instead(world):
    path = world.root / "models" / "a.joblib"
    joblib.dump(X, path)
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="chmod go-w"):
        joblib.load(path, mmap_mode="r")
    check(joblib.load(path), path, None, maps=True)


def test_a_file_that_is_not_there_is_the_same_error(world):
    for load in (joblib.load, facade.load):
        with pytest.raises(FileNotFoundError):
            load(world.root / "models" / "none", mmap_mode="r")


CALLS: list[int] = []


def slow(number: int) -> np.ndarray:
    CALLS.append(number)
    return X * number


def test_results_of_memory_are_mapped(world):
    CALLS.clear()
    memory = joblib.Memory(str(world.root / "cache"), mmap_mode="r", verbose=0)
    cached = memory.cache(slow)
    cached(1)
    (path,) = (world.root / "cache").rglob("output.pkl")
    for part in (path, *path.parents):
        part.chmod(0o755)
        if part.parent == world.root:
            break
    found = cached(1)
    assert CALLS == [1]
    assert in_map(found, path)
    assert not found.flags.writeable
