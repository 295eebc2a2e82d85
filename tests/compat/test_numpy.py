"""The facade of NumPy: load and save over sealed files, pickles only where they may be."""

from __future__ import annotations

import inspect
import io
import pickle
import warnings

import numpy as plain  # noqa: ICN001  (beside the facade)
import pytest

from safehold import compat
from safehold.compat import numpy as np
from safehold.errors import (
    EncodeError,
    NotSealed,
    Rollback,
    Tampered,
    TypeNotAllowed,
    WrongContext,
)
from safehold.policy import DATA_CODECS, Zone

pytestmark = pytest.mark.extras

X = plain.arange(12.0).reshape(3, 4)
OBJECTS = plain.array([1, "x", None], object)


@pytest.fixture(params=["models", "data", "tables", "arrays"])
def folder(request, world):
    """Zones with and without pickle, with and without the codecs of arrays."""
    zone = Zone("arrays", ("arrays/**",), "internal", (*DATA_CODECS, "pickle"), ("numpy",))
    (world.root / "arrays").mkdir()
    compat.use(world.again(zones=(*world.hold.policy.zones, zone)).hold)
    return world.root / request.param


INTERNAL = ("models", "arrays")


@pytest.mark.parametrize("name", ["load", "save", "savez", "savez_compressed"])
def test_functions_have_the_signatures_of_the_originals(name):
    ours = inspect.signature(getattr(np, name)).parameters.values()
    theirs = inspect.signature(getattr(plain, name)).parameters.values()
    assert [(one.name, one.kind, one.default) for one in ours] == [
        (one.name, one.kind, one.default) for one in theirs
    ]


def test_every_public_name_is_there_and_most_are_the_originals():
    names: dict[str, object] = {}
    exec("from safehold.compat.numpy import *", names)  # noqa: S102
    for name in plain.__all__:
        own = name in {"load", "save", "savez", "savez_compressed"}
        assert (names[name] is getattr(plain, name)) is not own
    assert np.random.default_rng(0).integers(5) in range(5)
    assert np.__version__ == plain.__version__
    with pytest.raises(AttributeError):
        np.nothing  # noqa: B018


# --- arrays --------------------------------------------------------------------------------


def test_an_array_comes_back(folder):
    for file in (folder / "a.npy", str(folder / "a.npy"), folder / "a"):
        np.save(file, X)
        found = np.load(folder / "a.npy", mmap_mode="r")
        assert plain.array_equal(found, X)
        assert found.dtype == X.dtype
    np.save(folder / "a", [1, 2])
    assert np.load(folder / "a.npy").tolist() == [1, 2]
    assert not (folder / "a").exists()


def test_arrays_come_back_through_a_handle(folder):
    with (folder / "a.npy").open("wb") as file:
        np.save(file, X)
        np.save(file, X + 1)
    with (folder / "a.npy").open("rb") as file:
        assert plain.array_equal(np.load(file), X)
        assert plain.array_equal(np.load(file), X + 1)
        with pytest.raises(EOFError):
            np.load(file)
    buffer = io.BytesIO()
    np.save(buffer, X)
    buffer.seek(0)
    assert plain.array_equal(np.load(buffer), X)


def test_the_zone_decides_what_is_stored(folder, world):
    np.save(folder / "a.npy", X)
    np.savez(folder / "b.npz", X)
    for name, codec in (("a.npy", "npy"), ("b.npz", "npz")):
        expected = codec if folder.name in {"tables", "arrays"} else "msgpack"
        assert compat.active_store().inspect(folder / name).codec == expected


def test_subclasses_are_stored_as_numpy_stores_them(folder):
    records = plain.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = plain.asmatrix(X)
    for value in (matrix, records):
        np.save(folder / "a.npy", value)
        out = io.BytesIO()
        plain.save(out, value)
        out.seek(0)
        found, theirs = np.load(folder / "a.npy"), plain.load(out)
        assert type(found) is type(theirs) is plain.ndarray
        assert found.dtype == theirs.dtype
        assert plain.array_equal(found, theirs)
    if folder.name not in INTERNAL:
        with pytest.raises(EncodeError):
            np.save(folder / "m.npy", plain.ma.array([1], mask=[True]))


# --- archives ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["savez", "savez_compressed"])
def test_an_archive_comes_back(name, folder):
    getattr(np, name)(folder / "a", X, [1, 2], file_=plain.array(5), x=X + 1)
    with np.load(folder / "a.npz") as found:
        assert isinstance(found, plain.lib.npyio.NpzFile)
        assert sorted(found.files) == sorted(found) == ["arr_0", "arr_1", "file_", "x"]
        assert len(found) == 4
        assert "x" in found
        assert "x.npy" in found
        assert "y" not in found
        for one in (found["x"], found["x.npy"], found.f.x, found.get("x")):
            assert plain.array_equal(one, X + 1)
        assert {key: value.shape for key, value in found.items()}["arr_0"] == (3, 4)
        assert "with keys: " in repr(found)
        assert "x" in dir(found.f)
        with pytest.raises(KeyError, match="not a file in the archive"):
            found["y"]
        with pytest.raises(AttributeError):
            found.f.y  # noqa: B018
    with pytest.raises(ValueError, match="closed"):
        found["x"]


def test_compression_saves_space(world):
    for name in ("savez", "savez_compressed"):
        getattr(np, name)(world.root / "tables" / name, plain.zeros(100_000))
    sizes = [
        (world.root / "tables" / f"{n}.npz").stat().st_size for n in ("savez", "savez_compressed")
    ]
    assert sizes[1] < sizes[0] / 50


def test_names_that_collide_are_refused(world):
    with pytest.raises(ValueError, match="keyword arr_0"):
        np.savez(world.root / "tables" / "a", X, arr_0=X)


# --- objects -------------------------------------------------------------------------------


def test_objects_exist_in_internal_zones_and_where_they_are_asked_for(folder):
    file = folder / "a.npy"
    if folder.name not in INTERNAL:
        with pytest.raises(EncodeError):
            np.save(file, OBJECTS)
        with pytest.raises(EncodeError):
            np.savez(folder / "a.npz", OBJECTS)
        assert not list(folder.iterdir())
        return
    np.save(file, OBJECTS)
    np.savez(folder / "a.npz", OBJECTS, x=X)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.load(file)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.load(folder / "a.npz")
    assert np.load(file, allow_pickle=True).tolist() == OBJECTS.tolist()
    assert np.load(folder / "a.npz", allow_pickle=True)["arr_0"].tolist() == OBJECTS.tolist()


def test_objects_are_refused_where_the_caller_refuses_them(folder):
    for save in (np.save, np.savez, np.savez_compressed):
        with pytest.raises(ValueError, match="allow_pickle=False"):
            save(folder / "a", OBJECTS, allow_pickle=False)
    assert not list(folder.iterdir())


class Other:
    pass


def test_objects_of_other_types_are_not_stored(world):
    with pytest.raises((EncodeError, TypeNotAllowed)):
        np.save(world.root / "models" / "a.npy", plain.array([Other()], object))


class Hostile:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> object:
        import os

        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("allow_pickle", [False, True])
def test_a_planted_file_is_refused_and_runs_nothing(allow_pickle, world, tmp_path):
    marker = tmp_path / "ran"
    for folder in ("models", "tables"):
        path = world.root / folder / "a.npy"
        plain.save(path, plain.array([Hostile(str(marker))], object))
        with pytest.raises(NotSealed):
            np.load(path, allow_pickle=allow_pickle)
        path.write_bytes(pickle.dumps(Hostile(str(marker))))
        with pytest.raises(NotSealed):
            np.load(path, allow_pickle=allow_pickle)
    assert not marker.exists()
    plain.save(path, plain.array([Hostile(str(marker))], object))
    plain.load(path, allow_pickle=True)
    assert marker.exists(), "the control"


def test_errors_are_those_that_callers_catch(world):
    with pytest.raises(FileNotFoundError):
        np.load(world.root / "tables" / "none.npy")
    (world.root / "tables" / "empty.npy").touch()
    with pytest.raises(EOFError):
        np.load(world.root / "tables" / "empty.npy")


def test_changed_swapped_and_older_files_are_refused(folder):
    one, two = folder / "a.npy", folder / "b.npy"
    np.save(one, X)
    old = one.read_bytes()
    np.save(one, X)
    np.save(two, X)
    damaged = bytearray(one.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    for data, error in ((damaged, Tampered), (two.read_bytes(), WrongContext), (old, Rollback)):
        one.write_bytes(data)
        with pytest.raises(error):
            np.load(one)
