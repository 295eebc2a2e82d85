"""The facade of pandas: pickles sealed where they may be, data elsewhere."""

from __future__ import annotations

import gzip
import inspect
import io
import os
from pathlib import Path

import pandas as plain  # noqa: ICN001  (beside the facade)
import pytest

from safehold.compat import pandas as pd
from safehold.errors import EncodeError, NotSealed, Rollback, Tampered, WrongContext

pytestmark = pytest.mark.extras

FRAME = plain.DataFrame({"a": [1, 2], "b": ["x", None]}, index=plain.date_range("2026", periods=2))


@pytest.fixture(params=["models", "data", "tables"])
def folder(request, world):
    return world.root / request.param


@pytest.mark.parametrize("name", ["read_pickle", "to_pickle"])
def test_functions_have_the_signatures_of_the_originals(name):
    original = getattr(plain, name, None) or plain.io.pickle.to_pickle
    ours = inspect.signature(getattr(pd, name)).parameters.values()
    theirs = inspect.signature(original).parameters.values()
    assert [(one.name, one.kind, one.default) for one in ours] == [
        (one.name, one.kind, one.default) for one in theirs
    ]


def test_every_public_name_is_there_and_most_are_the_originals():
    names: dict[str, object] = {}
    exec("from safehold.compat.pandas import *", names)  # noqa: S102
    for name in plain.__all__:
        own = name in {"read_pickle", "to_pickle"}
        assert (names[name] is getattr(plain, name)) is not own
    assert pd.DataFrame is plain.DataFrame
    with pytest.raises(AttributeError):
        pd.nothing  # noqa: B018


@pytest.mark.parametrize("name", ["a.pkl", "a", "a.pkl.gz", "a.pkl.bz2", "a.pkl.xz", "a.GZ"])
def test_a_table_comes_back(name, folder):
    for path in (folder / name, str(folder / name)):
        pd.to_pickle(FRAME, path)
        plain.testing.assert_frame_equal(pd.read_pickle(path), FRAME, check_freq=True)


@pytest.mark.parametrize("value", [FRAME["a"], FRAME.index, {"k": [FRAME, 1]}, (1, "x")])
def test_other_values_come_back(value, folder):
    pd.to_pickle(value, folder / "a.pkl")
    found = pd.read_pickle(folder / "a.pkl")
    assert type(found) is type(value)
    assert str(found) == str(value)


def test_an_external_zone_stores_data(world):
    pd.to_pickle(FRAME, world.root / "data" / "a.pkl")
    assert world.store.inspect(world.root / "data" / "a.pkl").codec == "msgpack"
    pd.to_pickle(FRAME, world.root / "models" / "a.pkl")
    assert world.store.inspect(world.root / "models" / "a.pkl").codec == "pickle"
    with pytest.raises(EncodeError):
        pd.to_pickle(plain.DataFrame({"a": [1j]}), world.root / "data" / "b.pkl")


def test_handles(folder):
    with (folder / "a.pkl").open("wb") as file:
        pd.to_pickle(FRAME, file)
        pd.to_pickle(FRAME["a"], file)
    with (folder / "a.pkl").open("rb") as file:
        plain.testing.assert_frame_equal(pd.read_pickle(file), FRAME)
        plain.testing.assert_series_equal(pd.read_pickle(file), FRAME["a"])
    buffer = io.BytesIO()
    pd.to_pickle([1], buffer)
    buffer.seek(0)
    assert pd.read_pickle(buffer) == [1]


@pytest.mark.parametrize(
    ("compression", "is_gzip"),
    [("gzip", True), ({"method": "gzip", "mtime": 1}, True), (None, False), ("infer", False)],
)
def test_compression_that_is_named(compression, is_gzip, folder):
    pd.to_pickle(FRAME, folder / "a.pkl", compression)
    data = (folder / "a.pkl").read_bytes()
    assert (data[:2] == b"\x1f\x8b") is is_gzip
    assert (gzip.decompress(data) if is_gzip else data).startswith(b"SFH1")
    plain.testing.assert_frame_equal(pd.read_pickle(folder / "a.pkl", compression), FRAME)


@pytest.mark.parametrize(
    ("name", "compression"), [("a.zip", "infer"), ("a.pkl", "zstd"), ("a.tar", "infer"), ("a", "x")]
)
def test_other_compressions_are_refused(name, compression, folder):
    for call in (lambda path: pd.to_pickle(FRAME, path, compression),
                 lambda path: pd.read_pickle(path, compression)):  # fmt: skip
        with pytest.raises(ValueError, match="has no sealed form"):
            call(folder / name)
    assert not list(folder.iterdir())


def test_options_of_remote_storage_are_refused(world):
    with pytest.raises(ValueError, match="storage_options"):
        pd.to_pickle(FRAME, world.root / "data" / "a", storage_options={"k": "v"})
    with pytest.raises(ValueError, match="storage_options"):
        pd.read_pickle(world.root / "data" / "a", storage_options={"k": "v"})


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("name", ["a.pkl", "a.pkl.gz"])
def test_a_planted_file_is_refused_and_runs_nothing(name, folder, tmp_path):
    marker = tmp_path / "ran"
    plain.to_pickle(Hostile(marker), folder / name)
    with pytest.raises(NotSealed):
        pd.read_pickle(folder / name)
    assert not marker.exists()
    plain.read_pickle(folder / name)
    assert marker.exists(), "the control"


def test_errors_are_those_that_callers_catch(folder):
    for name in ("none.pkl", "none.pkl.gz"):
        with pytest.raises(FileNotFoundError):
            pd.read_pickle(folder / name)
    (folder / "empty").touch()
    with pytest.raises(EOFError):
        pd.read_pickle(folder / "empty")


def test_changed_swapped_and_older_files_are_refused(folder):
    one, two = folder / "a.pkl", folder / "b.pkl"
    pd.to_pickle(FRAME, one)
    old = one.read_bytes()
    pd.to_pickle(FRAME, one)
    pd.to_pickle(FRAME, two)
    damaged = bytearray(one.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    for data, error in ((damaged, Tampered), (two.read_bytes(), WrongContext), (old, Rollback)):
        one.write_bytes(data)
        with pytest.raises(error):
            pd.read_pickle(one)
