from __future__ import annotations

import base64
import io
import json
import marshal
import zipfile

import pytest

from safehold.scan import scan_bytes, scan_path
from tests.bypasses.payloads import named, stream


def rules(report):
    return {finding.rule.id for finding in report.findings}


def layer(name, config=None, module="keras.layers", **more):
    return {
        "module": module, "class_name": name, "config": config or {}, "registered_name": None,
        **more,
    }  # fmt: skip


def model(*layers):
    config = {"name": "functional", "trainable": True, "layers": list(layers)}
    return {
        "module": "keras.src.models.functional", "class_name": "Functional", "config": config,
        "registered_name": "Functional", "build_config": {"input_shape": None},
        "compile_config": {"optimizer": layer("Adam", module="keras.optimizers"), "loss": "mse"},
    }  # fmt: skip


def archive(tree):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("metadata.json", '{"keras_version": "3.8.0"}')
        made.writestr("config.json", json.dumps(tree))
    return buffer.getvalue()


def code(function):
    return base64.b64encode(marshal.dumps(function.__code__)).decode()


DENSE = layer(
    "Dense",
    {
        "units": 4, "activation": "relu", "dtype": layer("DTypePolicy", {"name": "f4"}, "keras"),
        "kernel_initializer": layer("GlorotUniform", {"seed": None}, "keras.initializers"),
    },
)  # fmt: skip
HARMLESS = [
    layer("InputLayer", {"batch_shape": [None, 4]}),
    DENSE,
    layer("Functional", model(DENSE)["config"], "keras.src.models.functional"),
    layer("Add", {"name": "add"}, "keras.src.ops.numpy"),
    layer("StringLookup", {"vocabulary": ["a", "b"], "mask_token": None}),
    layer("TextVectorization", {"vocabulary": None, "standardize": "lower"}),
    {"class_name": "Own", "module": None, "config": {}, "registered_name": "shop>Own"},
    {"class_name": "function", "config": "relu", "module": "keras.activations"},
    {"class_name": "function", "config": "own_loss", "module": "builtins"},
    {"class_name": "TFOpLambda", "config": {"function": "math.add"}},
    {"class_name": "__tensor__", "config": {"value": [1.0], "dtype": "float32"}},
]


@pytest.mark.parametrize("one", HARMLESS, ids=lambda one: one["class_name"])
def test_layers_of_real_models_are_clean(one):
    report = scan_bytes(archive(model(DENSE, one)), "a.keras")
    assert (report.format, report.verdict) == ("keras", "clean"), report.findings


def function(name, module, **more):
    return {"class_name": "function", "config": name, "module": module, **more}


CALL = [{"args": [["touch", "marker"]], "kwargs": {"bufsize": -1}}]
MALICIOUS = [
    function("Popen", "subprocess", inbound_nodes=CALL),  # CVE-2025-1550
    function("system", "os", registered_name="harmless"),
    function("eval", "builtins"),
    function("get_file", "keras.utils"),  # CVE-2025-8747
    function("get_file", "keras.src.utils.file_utils"),
    function("enable_unsafe_deserialization", "keras.config"),  # CVE-2025-9906
    function("load_model", "keras.models"),
    function("load_op_library", "tensorflow"),
    function("write_file", "tensorflow.io"),
    {"class_name": "system", "module": "os", "config": {}},
    {"class_name": "__typespec__", "spec_name": "system", "module": "os", "config": {}},
    {"class_name": "Popen", "module": "multiprocessing.util.subprocess", "config": {}},
]


@pytest.mark.parametrize("bad", MALICIOUS, ids=lambda one: str(one["config"] or one["class_name"]))
@pytest.mark.parametrize("deep", [False, True])
def test_names_that_reach_the_system_are_malicious(bad, deep):
    one = layer("Wrapper", {"layer": {"x": [bad]}}) if deep else bad
    report = scan_bytes(archive(model(DENSE, one)), "a.keras")
    assert report.verdict == "malicious"
    assert rules(report) == {"SH101"}


def test_modules_outside_keras_are_suspicious():
    assert rules(scan_bytes(archive(model(layer("A", module="shop.nets"))), "a.keras")) == {"SH102"}


@pytest.mark.parametrize("called", ["io.write_file", "raw_ops.PyFunc", "numpy_function"])
def test_calls_of_tensorflow_that_reach_files(called):
    one = {"class_name": "TFOpLambda", "config": {"function": called}}
    assert rules(scan_bytes(archive(model(one)), "a.keras")) == {"SH123"}


def lambdas(text):
    return [
        layer("Lambda", {"function": [text, None, None], "function_type": "lambda"}),
        layer("Lambda", {"function": {"class_name": "__tuple__", "items": [text, None, None]}}),
        layer("Lambda", {"function": {"class_name": "__lambda__", "config": {"value": text}}}),
        layer("Lambda", {"function": {"class_name": "__lambda__",
                                      "config": {"code": text, "defaults": None}}}),
    ]  # fmt: skip


def _runs(x):
    import os

    return os.system("/bin/true") or x  # noqa: S605  never called


BAD = {"exec": lambda x: exec("pass") or x, "import": lambda x: __import__("os"), "system": _runs}  # noqa: S102


@pytest.mark.parametrize("name", BAD)
def test_bytecode_that_reaches_the_system_is_malicious(name):
    for one in lambdas(code(BAD[name])):
        report = scan_bytes(archive(model(one)), "a.keras")
        assert report.verdict == "malicious"
        assert rules(report) == {"SH101", "SH109"}


def test_bytecode_that_computes_is_suspicious():
    for one in lambdas(code(lambda x: x.signal.os_names + 1)):
        assert rules(scan_bytes(archive(model(one)), "a.keras")) == {"SH109"}


def test_files_that_layers_read():
    # CVE-2025-12058
    for path, found in (("/etc/passwd", "SH121"), ("../x", "SH121"), ("v.txt", "SH103")):
        one = layer("StringLookup", {"vocabulary": path})
        assert rules(scan_bytes(archive(model(one)), "a.keras")) == {found}


def test_pickle_in_a_wrapped_torch_module():
    # CVE-2025-49655
    raw = stream(named("os", "system"))
    for text in (base64.b64encode(raw + bytes(16)).decode(), raw.decode("latin-1") + "\0" * 16):
        one = layer("TorchModuleWrapper", {"module": text})
        report = scan_bytes(archive(model(one)), "a.keras")
        assert report.verdict == "malicious"
        assert "SH101" in rules(report)


@pytest.mark.parametrize("name", ["config.json", "model.json", "x"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_configuration_in_a_file_of_its_own(name, encoding, tmp_path):
    text = json.dumps(model(MALICIOUS[0]))
    (tmp_path / name).write_bytes(text.encode(encoding))
    (only,) = scan_path(tmp_path).files
    assert only.verdict == "malicious"


def test_keys_written_with_escapes():
    text = json.dumps(model(MALICIOUS[0])).replace("class_name", "\\u0063lass_name")
    report = scan_bytes(text.encode(), "model.json")
    assert report.verdict == "malicious"


def test_other_json_of_a_directory_is_left_out(tmp_path):
    (tmp_path / "a.json").write_text('{"class_name": "x"}')
    (tmp_path / "config.json").write_text('{"config": {}}')
    assert not scan_path(tmp_path).files


def test_configuration_is_bounded(monkeypatch):
    monkeypatch.setattr("safehold.scan.configuration._MOST_NODES", 10)
    assert rules(scan_bytes(archive(model(DENSE)), "a.keras")) == {"SH105"}


def test_bytecode_behind_more_nodes_than_are_read_is_told():
    filling = "[]," * 1_100_000
    config = f'{{"function": ["AAAA"], "arguments": [{filling}0]}}'
    text = f'{{"module": "keras.layers", "class_name": "Lambda", "config": {config}}}'
    assert {"SH105", "SH109"} <= rules(scan_bytes(text.encode(), "config.json"))
