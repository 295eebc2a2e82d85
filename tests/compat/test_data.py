"""The facade for plain data: pickle's calls, and nothing that it reads can name a class."""

from __future__ import annotations

import inspect
import io
import os
import pickle as plain
from decimal import Decimal

import pytest

import safehold.compat.pickle as sealed_pickle
from safehold.compat import data
from safehold.errors import ConfigError, EncodeError, NotSealed, WrongContext

VALUE = {"a": [1, (2.5,)], 3: {Decimal("1.5")}}


@pytest.mark.parametrize("name", ["dump", "dumps", "load", "loads"])
def test_functions_have_the_signatures_of_pickle(name):
    ours = inspect.signature(getattr(data, name)).parameters.values()
    theirs = inspect.signature(getattr(plain, name)).parameters.values()
    assert [(one.name, one.kind, one.default) for one in ours] == [
        (one.name, one.kind, one.default) for one in theirs
    ]


def test_every_public_name_is_there():
    for name in data.__all__:
        assert getattr(data, name) is not None
        assert hasattr(plain, name)


@pytest.mark.parametrize("zone", ["data", "models", "outside"])
def test_values_come_back_from_paths_and_handles(zone, world):
    path = world.root / zone / "a.pkl"
    data.dump(VALUE, path)
    assert data.load(path) == VALUE
    assert world.store.inspect(path).codec == "msgpack"
    with path.open("wb") as file:
        data.dump(VALUE, file, 2, fix_imports=False)
        data.dump(1, file)
    with path.open("rb") as file:
        assert data.load(file, encoding="latin1") == VALUE
        assert data.load(file) == 1
        with pytest.raises(EOFError):
            data.load(file)


def test_values_come_back_from_bytes(world):
    assert data.loads(data.dumps(VALUE, protocol=4)) == VALUE
    stream = io.BytesIO(data.dumps(VALUE))
    assert data.load(stream) == VALUE
    with pytest.raises(EOFError):
        data.loads(b"")


def test_what_has_no_plain_form_is_refused(world):
    for value in (object(), lambda: 1, os.stat("/"), ValueError()):
        with pytest.raises(EncodeError, match="without loss"):
            data.dumps(value)
    assert issubclass(EncodeError, plain.PicklingError)
    assert issubclass(EncodeError, TypeError)


def test_a_sealed_pickle_is_not_taken_for_data(world, monkeypatch):
    monkeypatch.setattr("safehold.allow.AllowList.resolve", lambda *_: pytest.fail("resolved"))
    path = world.root / "models" / "a.pkl"
    sealed_pickle.dump(VALUE, path)
    with pytest.raises(WrongContext, match=r"use safehold\.compat\.pickle"):
        data.load(path)
    with pytest.raises(WrongContext):
        data.loads(sealed_pickle.dumps(VALUE))
    assert [event.reason for event in world.events.refused] == ["WrongContext"] * 2


def test_a_plain_pickle_is_refused(world, tmp_path):
    marker = tmp_path / "ran"
    path = world.root / "data" / "a.pkl"
    path.write_bytes(b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(marker))
    with pytest.raises(NotSealed):
        data.load(path)
    with pytest.raises(NotSealed):
        data.loads(path.read_bytes())
    assert not marker.exists()


def test_json_written_by_the_store_is_data_too(world):
    path = world.root / "data" / "a.json"
    world.store.dump(VALUE, path)
    assert world.store.inspect(path).codec == "json"
    assert data.load(path) == VALUE


def test_a_zone_without_msgpack_is_a_configuration_error(world):
    from dataclasses import replace

    from safehold.compat import use

    zones = tuple(replace(zone, codecs=("json",)) for zone in world.hold.policy.zones)
    use(world.again(zones=zones).hold)
    with pytest.raises(ConfigError, match="msgpack"):
        data.dump(1, world.root / "data" / "a.pkl")
