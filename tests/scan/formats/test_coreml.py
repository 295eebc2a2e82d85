"""Bytes by the protos of coremltools; the reader was also held against files of coremltools."""

from __future__ import annotations

import json
import os
import struct

import pytest

from safehold.scan import scan_bytes, scan_path
from tests.bypasses.payloads import named, stream
from tests.scan.formats.damage import clean_prefixes, flip
from tests.scan.formats.protos import message

LAYER = message((1, "l"), (2, "x"), (3, "y"), (140, message((1, 4), (2, 2))))
CUSTOM = message((1, "c"), (500, message((10, "AppLayer"), (40, "own"))))


def rules(report):
    return {finding.rule.id for finding in report.findings}


def model(number=500, body=None, *more):
    inner = message((1, LAYER)) if body is None else body
    return message((1, 4), (2, message((1, message((1, "x"))))), (number, inner), *more)


def program(path="@model_path/weights/weight.bin", operation="linear", where="attribute"):
    blob = message((2, message((1, message((1, 11))))), (5, message((1, path), (2, 64))))
    entry = message((1, "val"), (2, blob))
    if where == "argument":
        row = (2, message((1, "w"), (2, message((1, message((2, blob)))))))
    elif where == "list":
        row = (5, message((1, "val"), (2, message((3, message((3, message((1, blob)))))))))
    elif where == "block":
        row = (4, message((3, message((1, "const"), (5, entry)))))
    else:
        row = (5, entry)
    block = message((3, message((1, operation), row)), (2, "y"))
    function = message((2, "CoreML6"), (3, message((1, "CoreML6"), (2, block))))
    return model(502, message((1, 1), (2, message((1, "main"), (2, function)))))


PLAIN = {
    "network": model(),
    "classifier": model(403),
    "trees": model(402, message((1, b"trees"))),
    "pipeline": model(202, message((1, model()), (1, model(604, b"")), (2, "a"))),
    "program": program(),
}


@pytest.mark.parametrize("name", PLAIN)
def test_model_is_clean_to_its_last_byte_and_not_before(name):
    for path in ("a.mlmodel", "a"):
        report = scan_bytes(PLAIN[name], path)
        assert (report.format, report.verdict) == ("coreml", "clean"), report.findings
    assert clean_prefixes(PLAIN[name], "a.mlmodel") == []
    flip(PLAIN[name], "a.mlmodel")


BELOW = {
    "layer": model(500, message((1, CUSTOM))),
    "regressor": model(303, message((1, CUSTOM))),
    "branch": model(500, message((1, message((605, message((2, message((1, CUSTOM))))))))),
    "loop": model(500, message((1, message((615, message((4, message((1, CUSTOM))))))))),
    "model": model(555, message((10, "AppModel"))),
    "pipeline": model(200, message((1, message((1, model(555, message((10, "AppModel")))))))),
    "operation": program(operation="custom_op"),
}


@pytest.mark.parametrize("name", BELOW)
def test_classes_of_the_app_are_told_wherever_they_stand(name):
    assert rules(scan_bytes(BELOW[name], "a.mlmodel")) == {"SH102"}


@pytest.mark.parametrize("where", ["attribute", "argument", "list", "block"])
@pytest.mark.parametrize("path", ["../../x", "/etc/passwd", "@model_path/../x", "file:///x", ""])
def test_weights_outside_the_directory(path, where):
    report = scan_bytes(program(path, where=where), "a.mlmodel")
    assert rules(report) == {"SH121"}


def test_weights_beside_the_model(tmp_path):
    path = tmp_path / "model.mlmodel"
    path.write_bytes(program())
    assert rules(scan_path(path)) == {"SH103"}
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "weight.bin").write_bytes(stored(b"w" * 40))
    assert scan_path(path).files[0].verdict == "clean"
    (tmp_path / "weights" / "weight.bin").unlink()
    os.symlink("/etc/passwd", tmp_path / "weights" / "weight.bin")
    assert rules(scan_path(path)) == {"SH121"}


@pytest.mark.parametrize(
    ("name", "search", "found"),
    [("b.mlmodelc", "", "SH103"), ("../b.mlmodelc", "", "SH121"), ("b", "lib:/tmp", "SH121")],
)
def test_linked_models(name, search, found):
    file = message((1, message((1, name))), (2, message((1, search))))
    report = scan_bytes(model(556, message((1, file))), "a.mlmodel")
    assert found in rules(report) <= {found, "SH103"}


def test_what_is_not_read_is_not_clean():
    assert rules(scan_bytes(model(3000, message((1, "x"))), "a.mlmodel")) == {"SH103"}
    for data in (message((1, 4)), message((1, 4), (2, b"")), b"\x08", model()[1:]):
        assert scan_bytes(data, "a.mlmodel").verdict in {"suspicious", "error"}


def package(path):
    entry = {"author": "com.apple.CoreML", "name": "model.mlmodel", "path": path}
    return json.dumps({"fileFormatVersion": "1.0.0", "itemInfoEntries": {"x": entry}}).encode()


def test_the_manifest_of_a_package(tmp_path):
    good = package("com.apple.CoreML/model.mlmodel")
    assert scan_bytes(good, "p/Manifest.json").verdict == "clean"
    for path in ("../x", "/etc/passwd"):
        (tmp_path / "Manifest.json").write_bytes(package(path))
        assert rules(scan_path(tmp_path)) == {"SH121"}


def stored(*rows):
    out = struct.pack("<II", len(rows), 2) + bytes(56)
    for row in rows:
        start = len(out) + 64
        out += struct.pack("<IIQQ", 0xDEADBEEF, 1, len(row), start).ljust(64, b"\0") + row
        out += bytes(-len(out) % 64)
    return out


def test_stored_weights_are_clean_and_no_lzma():
    data = stored(b"w" * 100, b"v" * 64, b"")
    report = scan_bytes(data, "weights/weight.bin")
    assert (report.format, report.verdict) == ("coreml weights", "clean"), report.findings
    # Zeros behind the last record are padding.
    assert all(end > len(data) - 64 for end in clean_prefixes(data, "weight.bin"))
    assert rules(scan_bytes(data + stream(named("os", "system")), "w.bin")) == {"SH101", "SH107"}
    flip(data, "weight.bin")


@pytest.mark.parametrize(("at", "value"), [(0, 9), (0, 2**31), (72, 2**62), (80, 0), (80, 2**62)])
def test_broken_weights(at, value):
    data = bytearray(stored(b"w" * 100))
    width = 4 if at == 0 else 8
    data[at : at + width] = value.to_bytes(width, "little")
    assert rules(scan_bytes(bytes(data), "weight.bin")) == {"SH103"}
