"""The bytes codec: files that another tool decodes, sealed as they stand."""

from __future__ import annotations

import pickle

import pytest

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.artifacts.codecs import bytes as codec
from safehold.errors import EncodeError, TypeNotAllowed
from safehold.scan import scan_path

READING = Reading(AllowList.of(), 64)
ONNX = b"\x08\x07\x12\x0cskl2onnx\x1a" + bytes(range(256))
RUNS = b"cposix\nsystem\n(S'true'\ntR."


@pytest.mark.parametrize("value", [b"", b"x", bytes(range(256))])
def test_bytes_come_back(value):
    (segment,) = codec.encode(value, 64).segments
    found = codec.decode([memoryview(segment)], READING)
    assert type(found) is bytes
    assert found == value


@pytest.mark.parametrize("value", [bytearray(b"x"), memoryview(b"x"), "x", None, [b"x"]])
def test_what_would_come_back_as_another_type_is_refused(value):
    with pytest.raises(EncodeError, match=type(value).__name__):
        codec.encode(value, 64)


@pytest.mark.parametrize("sidecar", [False, True])
@pytest.mark.parametrize(
    "data", [ONNX, b"GGUF\x03" + bytes(50), b"\x89HDF\r\n\x1a\n" + bytes(50), b""]
)
def test_a_format_that_the_scanner_cannot_read_is_sealed(world, data, sidecar):
    path = world.root / "tables/m.onnx"
    path.write_bytes(data)
    assert world.store.seal(path, codec="bytes", sidecar=sidecar).codec == "bytes"
    assert world.store.load(path) == data
    assert world.store.read(path) == data
    world.store.unseal(path)
    assert path.read_bytes() == data


@pytest.mark.parametrize("data", [RUNS, b"\x08\x07" + RUNS])
def test_what_the_scanner_finds_besides_is_refused(world, data):
    path = world.root / "tables/m.onnx"
    path.write_bytes(data)
    with pytest.raises(TypeNotAllowed, match="malicious"):
        world.store.seal(path, codec="bytes")
    assert path.read_bytes() == data


def test_a_harmless_pickle_is_bytes_as_well_and_nothing_resolves_its_names(world):
    path = world.root / "tables/m.onnx"
    data = pickle.dumps({1, 2}, protocol=2)
    path.write_bytes(data)
    assert world.store.seal(path).globals == ()
    assert world.store.load(path) == data


def test_the_suffixes_choose_it(world):
    for name in ("a.onnx", "a.gguf"):
        assert world.store.dump(b"x", world.root / "tables" / name).codec == "bytes"


def test_the_scanner_does_not_call_clean_what_it_does_not_read(world):
    path = world.root / "tables/m.onnx"
    world.store.dump(ONNX, path)
    (report,) = scan_path(path).files
    assert report.format == "sfh1"
    assert report.verdict != "clean"
    world.store.dump(RUNS, path)
    (report,) = scan_path(path).files
    assert report.verdict == "malicious"
