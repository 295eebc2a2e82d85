"""skops files whose nodes do more than their types say; none reaches skops' loader.

CVE-2025-54412: an OperatorFuncNode runs `operator.methodcaller` and its like. CVE-2025-54413: a
MethodNode leads to any attribute. CVE-2024-37065: a file is trusted as a whole. CVE-2025-54886:
what is no archive is handed to joblib.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from safehold.allow import PRESETS, AllowList
from safehold.errors import DecodeError, TypeNotAllowed
from safehold.scan import scan_bytes
from tests.bypasses.skops_files import archive, literal, mapping, node, sequence

SCALER = "sklearn.preprocessing._data.StandardScaler"
PLAIN = node("ObjectNode", SCALER, content=mapping(with_mean=literal(True)))


def method(owner: dict[str, Any], name: str) -> dict[str, Any]:
    dotted = f"{owner['__module__']}.{owner['__class__']}"
    return node("MethodNode", dotted, content={"func": name, "obj": owner})


def operator(name: str, *args: Any) -> dict[str, Any]:
    attrs = sequence(*map(literal, args), kind="tuple")
    return node("OperatorFuncNode", f"operator.{name}", attrs=attrs)


def keyed(kind: dict[str, Any]) -> dict[str, Any]:
    """A dict whose key is made by calling a type with the text of the file."""
    return node(
        "DictNode", "builtins.dict", key_types=sequence(kind), content={"touch x": literal(1)}
    )


def twice() -> dict[str, Any]:
    """Two nodes of one id: skops takes the first for both, and the second looks harmless."""
    types = sequence(node("TypeNode", "sklearn.pipeline.Pipeline"))
    strings = sequence(node("TypeNode", "builtins.str"))
    return sequence(
        {**types, "__id__": 7},
        node(
            "DictNode", "builtins.dict",
            key_types={**strings, "__id__": 7}, content={"x": literal(1)},
        ),
    )  # fmt: skip


def nested_twice() -> dict[str, Any]:
    """As `twice`, with the id below a node that is written a second time."""
    inner = sequence(node("TypeNode", "builtins.str"))
    pair = [{**sequence({**inner, "__id__": child}), "__id__": 1} for child in (5, 6)]
    return sequence(*pair, {**sequence(node("TypeNode", "builtins.int")), "__id__": 6})


def of_memory() -> dict[str, Any]:
    """What NumPy asks an object for to take foreign memory as an array."""
    address = sequence(literal(4096), literal(False), kind="tuple")
    shape = sequence(literal(16), kind="tuple")
    return {"data": address, "shape": shape, "typestr": literal("|u1"), "version": literal(3)}


def masked(data: dict[str, Any]) -> dict[str, Any]:
    return node("MaskedArrayNode", "numpy.ma.MaskedArray", content={"data": data, "mask": FALSE})


def given(state: dict[str, Any], dotted: str = SCALER) -> dict[str, Any]:
    return node("ObjectNode", dotted, content=state)


def same_id(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return sequence({**first, "__id__": 7}, {**second, "__id__": 7})


FALSE = literal(False)
INTERFACE = {"__array_interface__": mapping(**of_memory())}
PAIR = sequence(literal("__array_interface__"), INTERFACE["__array_interface__"], kind="tuple")
STATES = {
    "special name": given(mapping(**INTERFACE)),
    "special name in literals": given(literal({"__array_interface__": {}})),
    "special name in pairs": given(sequence(PAIR)),
    "special name in a tuple of pairs": given(sequence(PAIR, kind="tuple")),
    "special name in literal pairs": given(sequence(literal(["__array__", 1]))),
    "special name in a pair of objects": given(
        node(
            "NdArrayNode", "numpy.ndarray", type="json",
            content=[PAIR], shape=sequence(literal(1), literal(2), kind="tuple"),
        )
    ),
    "special name beside slots": given(sequence(literal(None), mapping(**INTERFACE), kind="tuple")),
    "special name in a mapping": mapping("sklearn.utils._bunch.Bunch", **INTERFACE),
    "special name in a partial": node(
        "PartialNode", "functools.partial",
        content={
            "func": node("FunctionNode", "sklearn.utils.validation.check_array"),
            "args": sequence(kind="tuple"), "kwds": mapping(), "namespace": mapping(**INTERFACE),
        },
    ),
    "special name in a loss": node(
        "LossNode", "sklearn._loss._loss.CyHalfSquaredError", content=mapping(**INTERFACE),
        __reduce__={"args": sequence(kind="tuple")},
    ),
    "state of another object": given(PLAIN),
    "masked array of an object": masked(PLAIN),
    "method that a class calls": given(
        mapping(_build_f=node("TypeNode", "builtins.list")), "sklearn.isotonic.IsotonicRegression"
    ),
    "state of what is there": given(sequence(literal(3), kind="tuple"), "numpy.dtypes.Int64DType"),
    "two dicts of one id": same_id(mapping(file=literal(1)), mapping(file=literal(2))),
}  # fmt: skip


ATTACKS: dict[str, Callable[[], dict[str, Any]]] = {
    "CVE-2025-54412 call": lambda: operator("call", "x"),
    "CVE-2025-54412 methodcaller": lambda: operator("methodcaller", "system", "touch x"),
    "CVE-2025-54412 attrgetter": lambda: operator("attrgetter", "__globals__"),
    "CVE-2025-54412 under a trusted class": lambda: {
        **operator("methodcaller", "x"), "__class__": "StandardScaler",
        "__module__": "sklearn.preprocessing._data",
    },
    "CVE-2025-54413 method": lambda: method(PLAIN, "fit"),
    "CVE-2025-54413 dotted": lambda: method(PLAIN, "__init__.__globals__"),
    "CVE-2025-54413 other class": lambda: {**method(PLAIN, "fit"), "__class__": "MinMaxScaler"},
    "CVE-2024-37065 function": lambda: node("FunctionNode", "os.system"),
    "CVE-2024-37065 type": lambda: node("TypeNode", "subprocess.Popen"),
    "unknown function": lambda: node("FunctionNode", "shop.models.score"),
    "constructor": lambda: node(
        "ConstructorFromReduceNode", "os.system",
        content=sequence(literal("touch x"), kind="tuple"),
    ),
    "constructor of an allowed class": lambda: node(
        "ConstructorFromReduceNode", "sklearn.preprocessing._data.StandardScaler",
        content=sequence(literal("x"), kind="tuple"),
    ),
    "constructor by a codec": lambda: node(
        "ConstructorFromReduceNode", "builtins.bytearray",
        content=sequence(literal(10**11), kind="tuple"),
    ),
    "partial": lambda: node(
        "PartialNode", "functools.partial",
        content={
            "func": node("FunctionNode", "numpy.mean"), "args": sequence(kind="tuple"),
            "kwds": mapping(), "namespace": literal(None),
        },
    ),
    "list of another class": lambda: node(
        "ListNode", "sklearn.pipeline.Pipeline", content=[literal(1)]
    ),
    "set of another class": lambda: node("SetNode", "collections.deque", content=[literal(1)]),
    "scalar of another class": lambda: node(
        "NdArrayNode", "sklearn.pipeline.Pipeline", type="numpy", file="a.npy"
    ),
    "memmap": lambda: node("NdArrayNode", "numpy.memmap", type="numpy", file="a.npy"),
    "random state of another class": lambda: node(
        "RandomStateNode", "sklearn.pipeline.Pipeline", content=mapping()
    ),
    "generator of another function": lambda: node(
        "RandomGeneratorNode", "numpy.random._generator.Generator",
        content={"bit_generator": mapping(bit_generator=literal("seed")), "seed_seq": mapping()},
    ),
    "loss of another module": lambda: node(
        "LossNode", "sklearn.pipeline.Pipeline", content=mapping(),
        __reduce__={"args": sequence(kind="tuple")},
    ),
    "tree of another class": lambda: node(
        "TreeNode", "sklearn.pipeline.Pipeline", content=mapping(),
        __reduce__={"args": sequence(kind="tuple")},
    ),
    "key": lambda: keyed(node("TypeNode", "sklearn.pipeline.Pipeline")),
    "key by a function": lambda: keyed(node("FunctionNode", "numpy.mean")),
    "keys of another loader": lambda: node(
        "DictNode", "builtins.dict", content={"x": literal(1)},
        key_types=node(
            "ConstructorFromReduceNode", "builtins.frozenset", content=[literal(1)]
        ),
    ),
    "default": lambda: node(
        "DefaultDictNode", "collections.defaultdict",
        content={"main": mapping(), "default_factory": method(PLAIN, "fit")},
    ),
    "instance of a function": lambda: node("ObjectNode", "numpy.mean", content=mapping()),
    "reference": lambda: node("CachedNode", "builtins.dict", __id__=1),
    "two nodes of one id": twice,
    "two nodes of one id, nested": nested_twice,
    "other loader": lambda: node("QuantileForestNode", SCALER, content=mapping()),
    "booster's address": lambda: node(
        "ObjectNode", "xgboost.core.Booster", content=mapping(handle=literal(4096))
    ),
    "booster's state": lambda: node(
        "ObjectNode", "lightgbm.basic.Booster", content=mapping("collections.OrderedDict")
    ),
    "distribution": lambda: node(
        "ObjectNode", "scipy.stats._continuous_distns.norm_gen",
        content=mapping(_parse_arg_template=literal("import os")),
    ),
    **{name: partial(copy.deepcopy, tree) for name, tree in STATES.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_the_scanner_reports_it(name: str) -> None:
    report = scan_bytes(archive(ATTACKS[name](), ("a.npy", b"")), "m.skops")
    assert report.format == "skops"
    ids = {finding.rule.id for finding in report.findings}
    assert ids & {"SH101", "SH102", "SH104"}, report.findings


# With "*" any class may be made; these are no danger that the table knows.
PERMITTED = {"constructor of an allowed class", "instance of a function", "distribution"}


@pytest.mark.extras
@pytest.mark.parametrize(
    ("name", "names"),
    [(name, PRESETS) for name in ATTACKS]
    + [(name, ("*",)) for name in ATTACKS if name not in PERMITTED],
)
def test_it_is_refused_before_skops_sees_it(
    name: str, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skops")
    from safehold.artifacts.codecs import Reading
    from safehold.artifacts.codecs import skops as codec

    def reached(*args: Any, **options: Any) -> Any:
        raise AssertionError("reached")

    monkeypatch.setattr(codec.skops_io, "loads", reached)
    monkeypatch.setattr(codec.skops_io, "get_untrusted_types", reached)
    data = memoryview(archive(ATTACKS[name](), ("a.npy", b"")))
    with pytest.raises((TypeNotAllowed, DecodeError)) as caught:
        codec.decode([data], Reading(AllowList.of(names), 64))
    if isinstance(caught.value, DecodeError):
        assert name == "keys of another loader"


@pytest.mark.parametrize("protocol", [0, -1, 3, True, "2", None, 1.0])
def test_another_protocol_has_other_loaders(protocol: Any) -> None:
    """In protocol 0 a function's name stands where protocol 2 does not look."""
    function = node(
        "FunctionNode", "numpy.mean", content={"module_path": "os", "function": "system"}
    )
    report = scan_bytes(archive(function, protocol=protocol), "m.skops")
    assert report.verdict == "suspicious"
    assert scan_bytes(archive(function), "m.skops").verdict == "clean"


@pytest.mark.extras
def test_what_is_no_archive_is_not_loaded_otherwise(tmp_path: Path) -> None:
    """CVE-2025-54886: there, joblib takes it."""
    pytest.importorskip("skops")
    from safehold.artifacts.codecs import Reading
    from safehold.artifacts.codecs import skops as codec

    marker = tmp_path / "ran"

    class Touch:
        def __reduce__(self) -> Any:
            return Path.touch, (marker,)

    with pytest.raises(DecodeError, match="not a zip"):
        codec.decode([memoryview(pickle.dumps(Touch()))], Reading(AllowList.of(["*"]), 64))
    assert not marker.exists()


@pytest.mark.parametrize(
    "schema",
    [
        "", "[]", "1", "{", '{"protocol": 2}', json.dumps({"protocol": 2, "__loader__": "X"}),
        '{"protocol":2,"__loader__":"ListNode","__module__":"builtins","__class__":"list",'
        '"content":' + "[" * 100_000,
        json.dumps({**literal(1), "protocol": 2, "__id__": "1"}),
        json.dumps({**literal(1), "protocol": 2, "__module__": None}),
        json.dumps({**literal(1), "protocol": 2, "__module__": ["os"]}),
        json.dumps({**node("DictNode", "builtins.dict", key_types=sequence(), content=[]),
                    "protocol": 2}),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_broken_schema_is_never_clean(schema: str) -> None:
    assert scan_bytes(archive(schema), "m.skops").verdict == "suspicious"


def test_nodes_nested_deeper_than_skops_recurses_are_a_limit() -> None:
    tree = literal(1)
    for _ in range(200):
        tree = sequence(tree)
    report = scan_bytes(archive(tree), "m.skops")
    assert {finding.rule.id for finding in report.findings} == {"SH105"}


def test_harmless_nodes_are_clean() -> None:
    report = scan_bytes(archive(sequence(PLAIN, literal([1, 2]), mapping(a=PLAIN))), "m.skops")
    assert report.verdict == "clean", report.findings
    assert {use.name for use in report.globals} == {SCALER, "builtins.str"}


@pytest.mark.parametrize("name", ["__array_interface__", "__array_struct__", "__array__"])
def test_a_class_of_the_policy_s_own_gives_numpy_no_memory_either(name: str) -> None:
    allow = AllowList.of(["shop.models.Model"])

    def verdict(**state: dict[str, Any]) -> str:
        data = archive(given(mapping(**state), "shop.models.Model"))
        return scan_bytes(data, "m.skops", allow=allow).verdict

    assert verdict(**{name: mapping(**of_memory())}) == "malicious"
    assert verdict(weights=literal(1), __version__=literal(2)) == "clean"


@pytest.mark.extras
def test_states_that_real_classes_have_are_taken() -> None:
    """A tree of neighbours has a tuple; a link of a loss, a truth value."""
    skops_io = pytest.importorskip("skops.io")
    import numpy as np
    from sklearn.linear_model import PoissonRegressor
    from sklearn.neighbors import KNeighborsClassifier

    table = np.random.RandomState(0).rand(30, 3)
    two = np.arange(30) % 2
    models = [
        KNeighborsClassifier(algorithm="kd_tree").fit(table, two),
        PoissonRegressor().fit(table, two),
        np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2]),
        np.array([[PoissonRegressor(), 1], [None, "x"]], dtype=object),
    ]  # fmt: skip
    for model in models:
        report = scan_bytes(skops_io.dumps(model), "m.skops")
        assert report.verdict == "clean", report.findings
