"""The list that is suggested loads the files, and no entry of it could be left out."""

from __future__ import annotations

import io
import os
import pickle

import joblib
import pytest

from safehold.allow import AllowList
from safehold.artifacts.suggesting import suggest_allow
from safehold.errors import ConfigError, Tampered, TypeNotAllowed
from scripts import allow_estimators, allow_objects
from tests.allow.test_libraries import _KEYWORDS, KINDS, load
from tests.scan.test_harmless import OBJECTS

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]


class Own:
    """Of the service."""

    def __init__(self, value=None):
        self.value = value


class Runs:
    def __reduce__(self):
        return os.system, ("true",)


def load_joblib(data, names):
    from safehold.artifacts.codecs import Reading
    from safehold.artifacts.codecs import joblib as codec

    allow = AllowList.of(names.names, "joblib")
    return codec.decode([memoryview(data)], Reading(allow, 64, raw=True))


def assert_smallest(data, path, load=load):
    """Return the list, once it was seen to be enough and to have nothing to spare."""
    path.write_bytes(data)
    found = suggest_allow([str(path)])
    assert found.suffices, found
    load(data, AllowList.of(found.allow))
    for entry in found.allow:
        with pytest.raises(TypeNotAllowed):
            load(data, AllowList.of(set(found.allow) - {entry}))
    return found.allow


@pytest.mark.parametrize("obj", OBJECTS)
def test_samples_of_the_scanner(obj, tmp_path):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert_smallest(pickle.dumps(obj, protocol), tmp_path / "a.pkl")
    buffer = io.BytesIO()
    joblib.dump(obj, buffer)
    assert_smallest(buffer.getvalue(), tmp_path / "a.joblib", load_joblib)


@pytest.mark.parametrize(
    "source",
    [
        allow_objects.plain,
        allow_objects.numpy_objects,
        allow_objects.scipy_objects,
        allow_objects.pandas_objects,
    ],
)
def test_samples_of_the_presets(source, tmp_path):
    lists = set()
    for _, thing in source():
        try:
            data = pickle.dumps(thing, 4)
            pickle.loads(data)
        except Exception:  # noqa: BLE001, S112  (a few cannot be pickled or loaded at all)
            continue
        if _KEYWORDS in data:
            continue
        path = tmp_path / "a.pkl"
        path.write_bytes(data)
        if suggest_allow([str(path)]).suffices:
            lists.add(assert_smallest(data, path))
    assert len(lists) <= 8
    assert source is allow_objects.plain or len(lists) > 1, lists


@pytest.fixture(scope="module")
def data():
    return allow_estimators._data()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_estimators(name, data, tmp_path):
    for made in allow_estimators._instances(name, KINDS[name]):
        fitted = next(allow_estimators._fitted(name, made, data), (name, made))[1]
        allow = assert_smallest(pickle.dumps(fitted, 5), tmp_path / "a.pkl")
        assert "sklearn" in allow
        return
    pytest.fail("no instance could be made")


def test_own_classes_stand_beside_presets(tmp_path):
    import numpy as np

    allow = assert_smallest(pickle.dumps(Own(np.arange(3))), tmp_path / "a.pkl")
    assert allow == ("numpy", f"{__name__}.Own")


def test_one_list_for_several_files(tmp_path):
    import numpy as np
    import pandas as pd

    for index, value in enumerate([np.arange(3), pd.Series([1]), Own(), [1]]):
        (tmp_path / f"{index}.pkl").write_bytes(pickle.dumps(value))
    found = suggest_allow(sorted(map(str, tmp_path.iterdir())))
    assert found.allow == ("pandas", f"{__name__}.Own")
    assert [bool(file.names) for file in found.files] == [True, True, True, False]


def test_what_runs_code_is_not_proposed(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([Own(), Runs()]))
    found = suggest_allow([str(path)])
    assert not found.suffices
    assert found.allow == (f"{__name__}.Own",)
    assert list(found.refused) == ["posix.system"]
    assert any("posix.system" in finding for finding in found.files[0].findings)


def test_a_hostile_use_of_allowed_names_does_not_suffice(world, tmp_path, monkeypatch):
    class Pretends:
        def __reduce__(self):
            return getattr, (set, "__class__")

    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(Pretends()))
    sealed = world.root / "cache" / "a.pkl"
    monkeypatch.setattr(world.store._writer, "checked", lambda draft, target: draft)
    world.store.dump(Pretends(), sealed)
    for file in (path, sealed):
        found = suggest_allow([str(file)], world.store)
        assert (found.allow, dict(found.refused)) == ((), {})
        assert not found.suffices


@pytest.mark.parametrize("codec", ["pickle", "joblib"])
def test_sealed_files_are_verified_and_their_payload_scanned(world, codec, tmp_path):
    import numpy as np

    path = world.root / "cache" / "a.x"
    world.store.dump(Own(np.arange(300)), path, codec=codec)
    found = suggest_allow([str(path)], world.store)
    assert found.allow == ("numpy", f"{__name__}.Own")
    assert found.suffices
    assert found.files[0].is_sealed
    assert isinstance(world.store.load(path, allow=found.allow), Own)
    for entry in found.allow:
        with pytest.raises(TypeNotAllowed):
            world.store.load(path, allow=set(found.allow) - {entry})
    plain = world.root / "cache" / "b.x"
    plain.write_bytes(pickle.dumps(Own()))
    world.store.seal(plain, codec="pickle")
    assert suggest_allow([str(plain)], world.store).allow == (f"{__name__}.Own",)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(Tampered):
        suggest_allow([str(path)], world.store)
    with pytest.raises(ConfigError, match="needs a policy"):
        suggest_allow([str(path)])


def test_what_the_header_leaves_out_is_found_in_the_payload(world, monkeypatch):
    monkeypatch.setattr(world.store._writer, "checked", lambda draft, target: draft)
    path = world.root / "cache" / "a.pkl"
    world.store.dump([Own(), Runs()], path)
    found = suggest_allow([str(path)], world.store)
    assert found.allow == (f"{__name__}.Own",)
    assert list(found.refused) == ["posix.system"]
    assert not found.suffices


def test_what_the_header_declares_alone_counts_too(world, monkeypatch):
    import dataclasses

    names = ["os.system", "shop.Order"]
    declaring = lambda draft, target: dataclasses.replace(draft, globals=names)  # noqa: E731
    monkeypatch.setattr(world.store._writer, "checked", declaring)
    path = world.root / "cache" / "a.pkl"
    world.store.dump([1], path)
    found = suggest_allow([str(path)], world.store)
    assert found.allow == ("shop.Order",)
    assert list(found.refused) == ["os.system"]
    assert not found.suffices


def test_data_needs_no_names(world, tmp_path):
    path = world.root / "data" / "a.msgpack"
    world.store.dump({"a": (1, 2)}, path)
    plain = tmp_path / "a.json"
    plain.write_text("{}")
    found = suggest_allow([str(path), str(plain)], world.store)
    assert (found.allow, found.suffices) == ((), True)


def test_nothing_is_loaded(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(Own()))
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, pytest.fail)
    monkeypatch.setattr(AllowList, "resolve", pytest.fail)
    assert suggest_allow([str(path)]).allow == (f"{__name__}.Own",)


def test_a_file_that_is_not_there_or_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        suggest_allow([str(tmp_path / "none.pkl")])
    os.mkfifo(tmp_path / "a.pkl")
    assert not suggest_allow([str(tmp_path / "a.pkl")]).suffices
