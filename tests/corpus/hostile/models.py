"""Files of torch, Keras, YAML, and the mixtures that pass for them."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.bypasses.payloads import Raw, call, named, source, stream, system, value
from tests.corpus.cases import Case
from tests.corpus.hostile.packed import STAMP, tarred, zipped

MAGIC = 0x1950A86A20F9469CFC6C


def storage(view: bytes) -> bytes:
    text = value(("storage",))[:-1] + named("torch", "FloatStorage").opcodes
    return text + value("0") + value("cpu") + value(4) + view + b"tQ"


def tensor(view: bytes = b"") -> bytes:
    """Opcodes of a tensor; the legacy format has a view, which may be none."""
    rebuild = named("torch._utils", "_rebuild_tensor_v2").opcodes
    hooks = named("collections", "OrderedDict").opcodes + b")R"
    shape = value(0) + value((2, 2)) + value((2, 1)) + b"\x89"
    return rebuild + b"(" + storage(view) + shape + hooks + b"tR"


def beside_tensor(canary: Path, view: bytes = b"") -> Raw:
    """A state dict whose second entry runs."""
    items = value("w") + tensor(view) + value("x") + system(canary).opcodes
    return Raw(b"}(" + items + b"u")


def before_tensor(canary: Path) -> Raw:
    return Raw(system(canary).opcodes + b"0}" + value("w") + tensor() + b"s")


def archive(
    obj: Raw, *, name: str = "archive", pickle_name: str = "data.pkl", protocol: int = 2
) -> bytes:
    members = [
        (f"{name}/{pickle_name}", stream(obj, protocol=protocol)),
        (f"{name}/byteorder", b"little"),
        (f"{name}/data/0", struct.pack("<4f", 1, 2, 3, 4)),
        (f"{name}/version", b"3\n"),
    ]
    return zipped(members)


def legacy(obj: Raw, *, place: str = "object", canary: Path | None = None) -> bytes:
    """The format before the zip one: pickles in a row, then the storages."""
    evil = stream(system(canary), protocol=2) if canary is not None else b""
    parts = {
        "magic": pickle.dumps(MAGIC, 2),
        "protocol": pickle.dumps(1001, 2),
        "info": pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2),
        "object": stream(obj, protocol=2),
        "keys": pickle.dumps(["0"], 2),
    }
    if evil:
        parts[place] = evil
    tail = struct.pack("<q4f", 4, 1, 2, 3, 4)
    return b"".join(parts.values()) + tail


def old_tar(canary: Path, place: str) -> bytes:
    """The first format, a tar archive."""
    parts = {
        "sys_info": pickle.dumps({"protocol_version": 1000, "little_endian": True}, 2),
        "pickle": stream(Raw(b"}"), protocol=2),
        "storages": pickle.dumps(0, 2) + pickle.dumps([], 2),
        "tensors": pickle.dumps(0, 2),
    }
    parts[place] = stream(system(canary), protocol=2)
    return tarred([(name, parts[name]) for name in ("sys_info", "pickle", "storages", "tensors")])


def _torch(identity: str, build: Callable[[Path], bytes], suffix: str = ".pt", **more) -> Case:
    return Case(f"torch-{identity}", "torch", build, "torch", suffix, **more)


def _lambda(canary: Path) -> str:
    import base64
    import marshal

    code = marshal.dumps(compile(source(canary), "<payload>", "exec"))
    return base64.b64encode(code).decode()


def keras(canary: Path, class_name: str = "Lambda", module: str = "keras.layers") -> bytes:
    """A `.keras` archive: a layer that holds code."""
    function = {
        "class_name": "__lambda__",
        "config": {"code": _lambda(canary), "defaults": None, "closure": None},
    }
    layer = {
        "module": module,
        "class_name": class_name,
        "config": {"name": "lambda", "function": function},
        "registered_name": None,
        "name": "lambda",
        "inbound_nodes": [],
    }
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "sequential", "layers": [layer]},
        "registered_name": None,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in [
            ("metadata.json", json.dumps({"keras_version": "3.3.3", "date_saved": ""})),
            ("config.json", json.dumps(config)),
            ("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(100)),
        ]:
            file.writestr(zipfile.ZipInfo(name, STAMP), data)
    return buffer.getvalue()


def _polyglot(canary: Path) -> bytes:
    """A tar archive of harmless text for one reader, a pickle for another."""
    data = bytearray(tarred([("a.txt", b"text")], tarfile.USTAR_FORMAT))
    data[:100] = (stream(system(canary), protocol=None) + bytes(100))[:100]
    return bytes(data)


def _legacy_case(place: str) -> Case:
    return _torch(f"legacy-{place}", lambda m: legacy(Raw(b"}"), place=place, canary=m))


PLACES = ("magic", "protocol", "info", "object", "keys")
CASES = [
    _torch("plain", lambda m: archive(system(m))),
    _torch("beside-tensor", lambda m: archive(beside_tensor(m))),
    _torch("before-tensor", lambda m: archive(before_tensor(m))),
    _torch("other-folder", lambda m: archive(beside_tensor(m), name="resnet")),
    _torch("protocol-4", lambda m: archive(beside_tensor(m), protocol=4)),
    _torch("ckpt", lambda m: archive(beside_tensor(m)), ".ckpt"),
    _torch("bin", lambda m: archive(beside_tensor(m)), ".bin"),
    _torch("no-suffix", lambda m: archive(beside_tensor(m)), ""),
    _torch("picture", lambda m: archive(beside_tensor(m)), ".png"),
    _torch("functions-of-torch", lambda m: archive(
        call(named("torch.jit.unsupported_tensor_ops", "execWrapper"), source(m), Raw(b"}"),
             Raw(b"}")), protocol=4)),
    _torch("plain-pickle", lambda m: legacy(system(m))),
    _torch("legacy-beside-tensor", lambda m: legacy(beside_tensor(m, b"N"))),
    *[_legacy_case(place) for place in PLACES],
    *[
        Case(f"torch-tar-{place}", "torch", lambda m, place=place: old_tar(m, place), "tar", ".pt")
        for place in ("sys_info", "pickle", "storages", "tensors")
    ],
    Case("keras-lambda", "keras", keras, "keras", ".keras"),
    Case("keras-lambda-zip-name", "keras", keras, "keras", ".zip"),
    Case(
        "keras-lambda-src", "keras",
        lambda m: keras(m, module="keras.src.layers.core.lambda_layer"), "keras", ".keras",
    ),
    Case("polyglot-tar-pickle", "polyglots", _polyglot, "pickle", ".tar"),
    Case(
        "polyglot-pickle-tar", "polyglots",
        lambda m: stream(system(m)) + tarred([("a.txt", b"text")]), "pickle", ".pkl",
    ),
    Case(
        "polyglot-pickle-text", "polyglots",
        lambda m: stream(system(m), protocol=None) + b"\n# A model\n\nWords.\n", "pickle", ".md",
    ),
    Case(
        "polyglot-pickle-json", "polyglots",
        lambda m: stream(system(m), protocol=None) + b'{"a": 1}', "pickle", ".json",
    ),
    Case(
        "polyglot-pickle-gguf", "polyglots",
        lambda m: stream(system(m)) + b"GGUF\x03\0\0\0" + bytes(16), "pickle", ".gguf",
    ),
]  # fmt: skip


_SUFFIXES = """
    .pkl .pickle .p .pk .dat .data .joblib .pt .pth .ckpt .bin .npy .npz .model .sav .h5 .onnx
    .tflite .txt .csv .json .png .jpg .py .gz .zip .tar .md .weights .params .t7 .mar .pt2
    .safetensors
""".split()
CASES += [
    Case(f"suffix-{suffix[1:]}", "suffixes", lambda m: stream(system(m)), "pickle", suffix)
    for suffix in _SUFFIXES
]
