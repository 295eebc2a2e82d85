"""Recognising formats by content, and what is said of those that cannot be read."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import pytest

from safehold.scan import is_artifact_name, scan_bytes
from safehold.scan.formats import safetensors
from tests.bypasses.payloads import named, stream


def rules(report):
    return {finding.rule.id for finding in report.findings}


def test_stream_that_needs_buffers_from_elsewhere_is_not_clean():
    buffers = []
    data = pickle.dumps(pickle.PickleBuffer(b"x"), 5, buffer_callback=buffers.append)
    assert buffers
    assert rules(scan_bytes(data, "a.pkl")) == {"SH103"}


@pytest.mark.parametrize("start", [b"\x80\x04\xff", b"(\xff", b"N\xff", b"\xff"])
def test_pickle_behind_a_broken_one(start):
    data = start + bytes(50) + stream(named("os", "system"))
    assert scan_bytes(data, "a.pkl").verdict == "malicious"


@pytest.mark.parametrize("name", ["a.pkl", "a", "a.txt"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(name, protocol):
    report = scan_bytes(pickle.dumps({"a": 1}, protocol), name)
    assert (report.format, report.verdict) == ("pickle", "clean")


def tensors(header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


ROW = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (tensors({"a": ROW}, bytes(8)), set()),
        (tensors({"a": ROW, "__metadata__": {"x": "y"}}, bytes(8)), set()),
        (tensors({}), set()),
        (tensors({"a": ROW}, bytes(7)), {"SH103"}),
        (tensors({"a": ROW}, bytes(9)), {"SH107"}),
        (tensors({"a": {**ROW, "data_offsets": [8, 16]}}, bytes(16)), {"SH107"}),
        (tensors({"a": {**ROW, "data_offsets": [0]}}, bytes(8)), {"SH103"}),
        (tensors(b'{"a": {"data_offsets": [0, 0]}, "a": {"data_offsets": [0, 0]}}'), {"SH103"}),
    ],
)
def test_safetensors(data, found):
    report = scan_bytes(data, "a.safetensors")
    assert report.format == "safetensors"
    assert rules(report) == found


def npy(header, data=b"", version=1):
    width = "<H" if version == 1 else "<I"
    raw = header.encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(width, len(raw)) + raw + data


def test_safetensors_header_is_bounded(monkeypatch):
    monkeypatch.setattr(safetensors, "_LONGEST_HEADER", 10)
    assert rules(scan_bytes(tensors({"a": ROW}, bytes(8)), "a")) == {"SH105"}


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (npy(GOOD, bytes(8)), set()),
        (npy(GOOD, bytes(8), version=3), set()),
        (npy(GOOD.replace("(2,)", "()"), bytes(4)), set()),
        (npy(GOOD.replace("'<f4'", "[('a', '<i2'), ('b', '<f8', (3,))]"), bytes(52)), set()),
        (npy(GOOD, bytes(8)) * 2, set()),
        (npy(GOOD, bytes(7)), {"SH103"}),
        (npy(GOOD.replace("(2,)", "(2L,)"), bytes(8)), set()),  # as Python 2 wrote it
        (npy(GOOD.replace("(2,)", "(1L, 2 L)"), bytes(8)), set()),
        (npy(GOOD.replace("(2,)", "(2L,)").replace("'<f4'", "[('2L', '<f4')]"), bytes(8)), set()),
        (npy(GOOD.replace("(2,)", "(2L,)"), bytes(7)), {"SH103"}),
        (npy(GOOD.replace("(2,)", "(2L,)"), bytes(8), version=3), {"SH103"}),
        (npy(GOOD.replace("(2,)", "(2Lx,)"), bytes(8)), {"SH103"}),
        (npy(GOOD, bytes(9)), {"SH107"}),
        (npy(GOOD, bytes(8), version=9), {"SH103"}),
        (npy("{'descr': 1}", bytes(8)), {"SH103"}),
        (npy("__import__('os').system('x')"), {"SH103"}),
        (npy("(" * 30_000), {"SH103"}),
        (npy(GOOD.replace("'<f4'", r"[('\x61', '<f4')]"), bytes(8)), {"SH103"}),
        (npy("-" * 30_000 + "1"), {"SH103"}),
        (npy(GOOD.replace("(2,)", "(-1,)"), bytes(8)), {"SH103"}),
        (npy(GOOD.replace("(2,)", "(10**9,)"), bytes(8)), {"SH103"}),
        (npy(GOOD, bytes(8)) + stream(named("os", "system")), {"SH101", "SH107"}),
        (npy(GOOD.replace("<f4", "|O"), stream(named("os", "system"))), {"SH101"}),
        (npy(GOOD.replace("<f4", "|O"), pickle.dumps([1, 2])), set()),
        (npy(GOOD.replace("<f4", "|O"), b"junk"), {"SH103"}),
        (b"\x93NUMPY", {"SH103"}),
    ],
)
def test_npy(data, found):
    report = scan_bytes(data, "a.npy")
    assert report.format == "npy"
    assert rules(report) == found


def test_formats_that_are_not_read_are_never_clean():
    report = scan_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(100), "a")
    assert (report.format, report.verdict) == ("rar", "suspicious")


def test_lambda_layer_in_hdf5():
    data = b"\x89HDF\r\n\x1a\n" + b'{"class_name": "Lambda", "config": {}}'
    assert "SH109" in rules(scan_bytes(data, "a.h5"))


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        ({"class_name": "Dense", "module": "keras.layers", "config": {}}, set()),
        ({"class_name": "Lambda", "module": "keras.layers", "config": {}}, {"SH109"}),
        ({"class_name": "function", "config": {"class_name": "__lambda__"}}, {"SH109"}),
        # CVE-2025-1550: the configuration names any callable of any module.
        ({"class_name": "system", "module": "os", "config": {}}, {"SH101"}),
        ({"class_name": "Layer", "module": "app.layers", "config": {}}, {"SH102"}),
    ],
)
def test_keras_archive(layer, found):
    config = {"class_name": "Functional", "config": {"layers": [layer]}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
    report = scan_bytes(buffer.getvalue(), "a.keras")
    assert report.format == "keras"
    assert rules(report) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": [1]}', "clean"),
        (' \n["x"]', "clean"),
        ('{"py/object": "os.system"}', "malicious"),
        ('{"py/object": "shop.Order"}', "suspicious"),
        ('[{"py/reduce": []}]', "suspicious"),
        ('{"a": ', "error"),
        ("[" * 100_000, "error"),
    ],
)
def test_json_where_it_is_asked_for(text, expected):
    assert scan_bytes(text.encode(), "a.json").verdict == expected


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"", "a.pkl", "suspicious"),
        (b"", "a", "suspicious"),
        (b"hello world", "a.pkl", "suspicious"),
        (b"hello world", "a", "error"),
        (b"\x00\x01\x02" * 50, "weights.bin", "suspicious"),
        (b"\x80\x04", "a", "suspicious"),
        (b"\x80\x04K", "a.pkl", "suspicious"),
    ],
)
def test_what_is_named_and_not_understood_is_never_clean(data, name, expected):
    assert scan_bytes(data, name).verdict == expected


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nfrom signal import convolve\n\nclass A:\n    pass\n",
        "class Foo:\n    bar = 1\n",
        "config\nname\nvalue\n",
        "I am text.\n",
        "[section]\nkey = value\n",
        "(lambda x: x)\n",
        "N.B. this is prose\n",
        "import os\nsystem\n",
        "import os\nos.system('date')\n",
    ],
)
def test_text_in_a_directory_is_left_out(text, tmp_path):
    from safehold.scan import scan_path

    (tmp_path / "notes.txt").write_text(text)
    assert scan_path(tmp_path).files == ()


def test_numbers_that_begin_like_a_pickle_are_left_out_of_an_archive():
    """Raw tensors begin with anything; one in some thousand reads as a tiny pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index, start in enumerate([b"N.", b"].", b"\x80\x04", b"\x82\x01", b"K1.", b"x\x9c"]):
            archive.writestr(f"archive/data/{index}", start + bytes(range(255, 100, -1)))
    report = scan_bytes(buffer.getvalue(), "a.pt")
    assert report.verdict == "clean", report


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.pkl", True),
        ("dir/a.JOBLIB", True),
        ("a.pkl.gz", True),
        ("a.joblib.lz4", True),
        ("a.txt", False),
        ("a.gz", False),
        ("lib/site-packages/a.pth", False),
        ("models/a.pth", True),
    ],
)
def test_names_of_artifacts(name, expected):
    assert is_artifact_name(name) is expected


@pytest.mark.parametrize("blank", ["", " ", "\n", "\r\n", "\t"])
@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
@pytest.mark.parametrize("shape", ['{"py/object": "os.system"}', '[{"py/object": "os.system"}]'])
def test_documents_are_read_whatever_their_first_byte_is(shape, encoding, blank):
    data = (blank + shape).encode(encoding)
    assert scan_bytes(data, "a.json").verdict == "malicious"
