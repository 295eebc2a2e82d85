"""The facades of dill and cloudpickle: values are sealed, code is refused when it is written."""

from __future__ import annotations

import io
import os
import pickle as plain
from decimal import Decimal
from importlib import import_module

import pytest

from safehold.errors import EncodeError, NotSealed, Tampered, TypeNotAllowed

pytestmark = pytest.mark.extras
VALUE = {"a": [1, 2.5, "three"], "b": (None, {4}), "d": Decimal("1.5")}


@pytest.fixture(params=["dill", "cloudpickle"])
def library(request):
    pytest.importorskip(request.param)
    return import_module(f"safehold.compat.{request.param}")


def test_a_value_comes_back_from_a_handle_a_path_and_bytes(world, library):
    path = world.root / "models" / "m.pkl"
    with open(path, "wb") as file:
        library.dump(VALUE, file)
    with open(path, "rb") as file:
        assert library.load(file) == VALUE
    assert path.read_bytes().startswith(b"SFH1")
    library.dump(VALUE, world.root / "models" / "n.pkl")
    assert library.load(world.root / "models" / "n.pkl") == VALUE
    assert library.loads(library.dumps(VALUE)) == VALUE


def test_a_pickler_seals_each_value(world, library):
    with open(world.root / "models" / "m.pkl", "wb") as file:
        pickler = library.Pickler(file)
        pickler.dump(VALUE)
        pickler.dump(VALUE)
    with open(world.root / "models" / "m.pkl", "rb") as file:
        assert [library.load(file), library.load(file)] == [VALUE, VALUE]


def test_a_plain_pickle_and_a_flipped_byte_are_refused(world, library, tmp_path):
    marker = tmp_path / "ran"
    path = world.root / "models" / "m.pkl"
    path.write_bytes(b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(marker))
    with pytest.raises(NotSealed), open(path, "rb") as file:
        library.load(file)
    with pytest.raises(NotSealed):
        library.loads(path.read_bytes())
    assert not marker.exists()
    sealed = bytearray(library.dumps(VALUE))
    sealed[len(sealed) // 2] ^= 1
    with pytest.raises(Tampered):
        library.loads(bytes(sealed))


def test_code_is_refused_when_it_is_written_and_the_old_file_stays(world, library):
    path = world.root / "cache" / "f.pkl"
    library.dump(VALUE, path)
    with pytest.raises((TypeNotAllowed, EncodeError)):
        library.dump(lambda: 1, path)
    assert library.load(path) == VALUE


def test_what_has_no_sealed_form_is_not_offered(library):
    name = "dump_session" if library.__name__.endswith("dill") else "cloudpickle"
    with pytest.raises(AttributeError, match="sealed form"):
        getattr(library, name)


def test_dills_unpickler_takes_its_argument(world):
    dill = import_module("safehold.compat.dill")
    file = io.BytesIO(dill.dumps([1]))
    assert dill.Unpickler(file, ignore=True).load() == [1]
    assert dill.loads(dill.dumps([1]), ignore=False) == [1]
    with pytest.raises(NotSealed):
        dill.Unpickler(io.BytesIO(plain.dumps([1]))).load()
