"""The skops codec: models come back under the zone's allow-list, and nothing is read unbounded."""

from __future__ import annotations

import collections
import io
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.errors import (
    ConfigError,
    DecodeError,
    EncodeError,
    LimitExceeded,
    TypeNotAllowed,
)
from safehold.policy import Limits
from safehold.scan import scan_bytes
from tests.bypasses.skops_files import archive, literal, mapping, node, sequence
from tests.holding import ZONES, World, make_world

pytestmark = pytest.mark.extras

skops_io = pytest.importorskip("skops.io")

from safehold.artifacts.codecs import skops as codec  # noqa: E402

TABLE = np.random.RandomState(0).rand(60, 4)
TWO = (TABLE[:, 0] > 0.5).astype(int)
MODELS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(5, random_state=0).fit(TABLE, TWO),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=3).fit(TABLE, TWO),
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(TABLE, TWO),
    "search": lambda: GridSearchCV(LogisticRegression(), {"C": [1.0, 2.0]}, cv=2).fit(TABLE, TWO),
}


@pytest.fixture
def world(tmp_path: Path) -> Any:
    zones = (replace(ZONES[0], codecs=(*ZONES[0].codecs, "skops")), *ZONES[1:])
    made = make_world(tmp_path, zones=zones)
    yield made
    made.hold.close()


def decode(data: bytes, *names: str, **limits: int) -> Any:
    reading = Reading(AllowList.of(names), 64, limits=Limits(**limits))
    return codec.decode([memoryview(data)], reading)


@pytest.mark.parametrize("name", MODELS)
def test_models_come_back(name: str, world: World) -> None:
    model = MODELS[name]()
    path = world.root / "models" / "m.skops"
    world.store.dump(model, path)
    copy = world.store.load(path)
    assert type(copy) is type(model)
    np.testing.assert_array_equal(copy.predict(TABLE), model.predict(TABLE))
    info = world.store.inspect(path)
    assert info.codec == "skops"
    assert info.libs.keys() == {"skops"}
    name = f"{type(model).__module__}.{type(model).__qualname__}"
    assert name in info.globals


def test_a_plain_file_is_sealed_as_it_stands_and_comes_back(world: World) -> None:
    model = MODELS["pipeline"]()
    path = world.root / "models" / "m.skops"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        data = skops_io.dumps(model, compression=method)
        path.write_bytes(data)
        assert scan_bytes(data, "m.skops").verdict == "clean"
        world.store.seal(path)
        np.testing.assert_array_equal(world.store.load(path).predict(TABLE), model.predict(TABLE))
        world.store.unseal(path)
        assert path.read_bytes() == data


def test_values_of_other_kinds_come_back() -> None:
    value = {
        "a": [1, 2.5, None, "x", True], "b": (1, {2, 3}), "c": b"\0\1", "d": bytearray(b"x"),
        "e": np.arange(6).reshape(2, 3), "f": np.float32(1.5), "g": OrderedDict(x=1),
        "h": slice(1, None, 2), "i": np.array([1, None, "a"], object), "j": np.dtype("f4"),
        "k": {1: "a", 2.5: "b"}, "l": np.random.RandomState(3),
    }  # fmt: skip
    copy = decode(bytes(codec.encode(value, 64).segments[0]), "numpy")
    assert copy.pop("l").rand() == value.pop("l").rand()
    for key, item in value.items():
        assert type(copy[key]) is type(item)
        assert np.array_equal(copy[key], item) if key in "eij" else copy[key] == item


# --- what is allowed ------------------------------------------------------------------------


def test_each_type_must_be_allowed_also_those_that_skops_trusts() -> None:
    data = bytes(codec.encode(MODELS["pipeline"](), 64).segments[0])
    with pytest.raises(TypeNotAllowed) as caught:
        decode(data, "numpy")
    assert caught.value.name.startswith("sklearn.")
    assert not skops_io.get_untrusted_types(data=data)
    decode(data, "sklearn")


def test_a_type_that_skops_alone_sees_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(codec.encode(MODELS["pipeline"](), 64).segments[0])
    monkeypatch.setattr(codec.skops_io, "get_untrusted_types", lambda data: ["os.system"])
    with pytest.raises(TypeNotAllowed, match=r"os\.system"):
        decode(data, "sklearn")


def test_an_alias_of_another_module_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """skops would import it under any name that leads there."""
    monkeypatch.setitem(sys.modules, "shop_alias", collections)
    with pytest.raises(TypeNotAllowed, match="alias"):
        decode(archive(node("TypeNode", "shop_alias.ChainMap")), "*")
    assert decode(archive(node("TypeNode", "collections.ChainMap")), "*") is collections.ChainMap


def test_a_zone_without_the_type_refuses_to_store_it(tmp_path: Path) -> None:
    zone = replace(ZONES[0], codecs=("skops",), allow=("numpy",))
    world = make_world(tmp_path, zones=(zone, *ZONES[1:]))
    with pytest.raises(EncodeError, match=r"sklearn\."):
        world.store.dump(MODELS["pipeline"](), tmp_path / "models" / "m.skops")
    world.hold.close()


def test_a_hostile_file_is_not_sealed(world: World) -> None:
    path = world.root / "models" / "m.skops"
    path.write_bytes(archive(node("FunctionNode", "os.system")))
    with pytest.raises(TypeNotAllowed, match="malicious"):
        world.store.seal(path)


def test_external_zones_have_no_such_codec(world: World) -> None:
    with pytest.raises(ConfigError):
        world.store.dump({"a": 1}, world.root / "data" / "m.skops", codec="skops")


def test_a_pickle_in_skops_name_is_not_sealed_as_one(world: World) -> None:
    import pickle

    path = world.root / "models" / "m.skops"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(TypeNotAllowed, match="not one of codec skops"):
        world.store.seal(path)


@pytest.mark.parametrize(
    "value",
    [lambda: 1, {1: "a", "1": "b"}, [].append, __import__("operator").itemgetter(1)],
    ids=["function", "keys that are one as text", "method", "operator"],
)
def test_what_does_not_come_back_is_not_stored(value: Any, world: World) -> None:
    with pytest.raises(EncodeError):
        world.store.dump(value, world.root / "models" / "m.skops")


# --- limits ---------------------------------------------------------------------------------


def array_file(shape: tuple[int, ...], data: bytes) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return out.getvalue() + data


def array_node(name: str = "a.npy") -> dict[str, Any]:
    return node("NdArrayNode", "numpy.ndarray", type="numpy", file=name)


def peak(data: bytes, error: type[Exception], **limits: int) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(error):
            decode(data, "scipy", **limits)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_member_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    bomb = archive(array_node(), ("a.npy", bytes(2**27)), method=zipfile.ZIP_DEFLATED)
    assert peak(bomb, LimitExceeded) < 2**21


def test_a_directory_that_says_less_than_a_member_unpacks_to_is_cut_there() -> None:
    size = (0x7654321).to_bytes(4, "little")
    bomb = archive(array_node(), ("a.npy", bytes(0x7654321)), method=zipfile.ZIP_DEFLATED)
    assert bomb.count(size) == 2
    assert peak(bomb.replace(size, (64).to_bytes(4, "little")), DecodeError) < 2**23


def test_a_member_that_nodes_read_again_and_again_is_counted_each_time() -> None:
    array = array_file((2**18,), bytes(2**21))
    one = archive(sequence(*[array_node()] * 3), ("a.npy", array))
    assert len(decode(one, "numpy")) == 3
    many = archive(sequence(*[array_node()] * 100), ("a.npy", array))
    assert peak(many, LimitExceeded, artifact=2**26) < 2**24


def test_a_header_cannot_ask_for_memory() -> None:
    hostile = archive(array_node(), ("a.npy", array_file((10**11,), b"")))
    assert peak(hostile, DecodeError) < 2**21


def test_a_sparse_matrix_cannot_ask_for_memory() -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("data.npy", bytes(2**27))
    tree = node("SparseMatrixNode", "scipy.sparse._csr.csr_matrix", type="scipy", file="a.npz")
    assert peak(archive(tree, ("a.npz", inner.getvalue())), LimitExceeded) < 2**21


def test_a_member_that_is_missing_or_stands_twice_is_refused() -> None:
    with pytest.raises(DecodeError, match="does not have"):
        decode(archive(array_node()), "numpy")
    with pytest.warns(UserWarning, match="Duplicate"):
        data = archive(array_node(), ("a.npy", b"1"), ("a.npy", b"2"))
    with pytest.raises(DecodeError, match="one of its own"):
        decode(data, "numpy")


def test_too_many_members_and_levels_are_limits() -> None:
    members = [(f"{number}.bin", b"") for number in range(20)]
    with pytest.raises(LimitExceeded, match="21 members"):
        decode(archive(literal(1), *members), members=10)
    tree = literal(1)
    for _ in range(200):
        tree = mapping(a=tree)
    with pytest.raises(LimitExceeded, match="nested"):
        decode(archive(tree))


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x04N.", archive("{"), archive("[]")])
def test_what_is_no_skops_file_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


def test_every_cut_of_a_file_is_refused() -> None:
    data = bytes(codec.encode(StandardScaler().fit(TABLE), 64).segments[0])
    for end in range(0, len(data), 97):
        with pytest.raises(DecodeError):
            decode(data[:end], "sklearn")
