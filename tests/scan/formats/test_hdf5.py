from __future__ import annotations

import io
import json
import pickle

import pytest

from safehold.policy import Limits
from safehold.scan import scan_bytes, scan_path
from tests.bypasses.payloads import named, stream
from tests.scan.formats.test_keras import DENSE, MALICIOUS, code, layer, model

pytestmark = pytest.mark.extras

h5py = pytest.importorskip("h5py")
numpy = pytest.importorskip("numpy")

# The oldest layout that holds the content, which is h5py's default, and the newest.
LAYOUTS = ["earliest", "latest"]


def rules(report):
    return {finding.rule.id for finding in report.findings}


def made(fill, layout="earliest", **more):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=layout, **more) as file:
        fill(file)
    return buffer.getvalue()


def weights(file, *layers):
    """As Keras writes a model: configuration in attributes, weights in groups."""
    file.attrs["keras_version"] = b"2.15.0"
    file.attrs["backend"] = b"tensorflow"
    file.attrs["model_config"] = json.dumps(model(*layers)).encode()
    file.attrs["training_config"] = json.dumps({"loss": "mse", "metrics": ["acc"]})
    group = file.create_group("model_weights")
    group.attrs["layer_names"] = [b"dense", b"dense_1"]
    for number in range(60):
        inner = group.create_group(f"dense_{number}")
        inner.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
        inner.create_dataset("kernel:0", data=numpy.ones((40, 4), "f4"))
        inner.create_dataset("bias:0", data=numpy.ones(4), compression="gzip", chunks=(2,))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", [False, True])
def test_models_of_keras_are_clean(layout, order):
    data = made(lambda file: weights(file, DENSE), layout, track_order=order)
    report = scan_bytes(data, "a.h5")
    assert (report.format, report.verdict) == ("hdf5", "clean"), report.findings


def test_weights_are_clean_wherever_they_stand(tmp_path):
    (tmp_path / "model.weights.h5").write_bytes(made(lambda file: weights(file, DENSE)))
    (tmp_path / "no_suffix").write_bytes(made(lambda file: None))
    assert [one.verdict for one in scan_path(tmp_path).files] == ["clean", "clean"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("many", [0, 100])
def test_configuration_is_found_among_many_attributes(layout, many):
    def fill(file):
        for number in range(many):
            file.attrs[f"a{number}"] = "x" * number
        weights(file, MALICIOUS[0])

    assert scan_bytes(made(fill, layout), "a.h5").verdict == "malicious"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "write",
    [
        lambda text: text,
        lambda text: text.encode(),
        numpy.bytes_,
        lambda text: numpy.void(text.encode()),
        lambda text: numpy.array([text.encode(), b"{}"]),
        lambda text: [text, "{}"],
    ],
    ids=["text", "bytes", "fixed", "opaque", "fixed array", "array"],
)
def test_configuration_is_found_in_any_type(layout, write):
    def fill(file):
        group = file.create_group("a/b/c")
        group.attrs["model_config"] = write(json.dumps(model(MALICIOUS[0])))

    assert scan_bytes(made(fill, layout), "a.h5").verdict == "malicious"


def test_long_attribute_of_a_heap():
    text = json.dumps(model(MALICIOUS[0]) | {"pad": "x" * 100_000})
    data = made(lambda file: file.attrs.update({"model_config": numpy.bytes_(text)}), "latest")
    assert scan_bytes(data, "a.h5").verdict == "malicious"


def test_lambda_layers():
    # CVE-2025-9905: nothing stops these when the model is in HDF5
    for function, found in ((lambda x: exec("") or x, {"SH101", "SH109"}), (abs, set())):  # noqa: S102
        text = code(function) if function is not abs else "relu"
        one = layer("Lambda", {"function": [text, None, None], "function_type": "lambda"})
        report = scan_bytes(made(lambda file, one=one: weights(file, one)), "a.h5")
        assert rules(report) == (found or {"SH109"})


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("path", "found"), [("/etc/x.h5", "SH121"), ("../x.h5", "SH121"), ("x.h5", "SH103")]
)
def test_data_in_other_files(layout, path, found):
    # CVE-2026-1669
    def link(file):
        file["model_weights"] = h5py.ExternalLink(path, "/x")

    def storage(file):
        file.create_dataset("kernel", (4,), "f4", external=[(path, 0, 16)])

    def virtual(file):
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource(path, "x", (4,))
        file.create_virtual_dataset("kernel", layout)

    for fill in (link, storage, virtual):
        report = scan_bytes(made(fill, layout), "a.h5")
        assert found in rules(report), fill
        assert report.verdict == ("malicious" if found == "SH121" else "suspicious")


def test_links_in_a_large_group():
    def fill(file):
        for number in range(500):
            file[f"a{number}"] = h5py.SoftLink("/x")
        file["b"] = h5py.ExternalLink("/etc/x.h5", "/x")

    assert rules(scan_bytes(made(fill, "latest"), "a.h5")) == {"SH121"}


def test_links_within_the_file_are_clean():
    def fill(file):
        file.create_group("x")
        file["soft"] = h5py.SoftLink("/x")
        file["x/hard"] = file["/"]

    for layout in LAYOUTS:
        assert scan_bytes(made(fill, layout), "a.h5").verdict == "clean"


def test_pickled_attribute_of_a_table():
    for protocol in (0, 2, 4):
        bad = pickle.dumps(pytest.raises, protocol) if protocol else stream(named("os", "system"))
        data = made(lambda file, bad=bad: file.attrs.update({"CLASS": numpy.bytes_(bad)}))
        assert scan_bytes(data, "a.h5").verdict != "clean"
    plain = made(lambda file: file.attrs.update({"TITLE": "A table.", "NROWS": 3}))
    assert scan_bytes(plain, "a.h5").verdict == "clean"


def test_pickled_column_of_a_table():
    def fill(file, data):
        kind = h5py.vlen_dtype(numpy.uint8)
        rows = file.create_dataset("values", (2,), dtype=kind)
        rows[0] = numpy.frombuffer(b"abc", numpy.uint8)
        rows[1] = numpy.frombuffer(data, numpy.uint8)

    bad = made(lambda file: fill(file, stream(named("os", "system"))))
    assert scan_bytes(bad, "a.h5").verdict == "malicious"
    good = made(lambda file: fill(file, pickle.dumps(["a", 1])))
    assert scan_bytes(good, "a.h5").verdict == "clean"


def test_array_that_is_far_larger_than_the_file():
    data = made(lambda file: file.create_dataset("a", (2**40,), "f8", chunks=(1024,)))
    assert rules(scan_bytes(data, "a.h5")) == {"SH105"}
    usual = made(lambda file: file.create_dataset("a", (2**20,), "f8", chunks=(1024,)))
    assert scan_bytes(usual, "a.h5").verdict == "clean"


def test_bytes_around_the_file():
    data = made(lambda file: None)
    bad = stream(named("os", "system"))
    for whole in (bad.ljust(512, b"\0") + data, data + bad):
        assert scan_bytes(whole, "a.h5").verdict == "malicious"
    assert scan_bytes(bytes(512) + data, "a.h5").verdict == "clean"
    inner = made(lambda file: None, userblock_size=512)
    assert scan_bytes(inner, "a.h5").verdict == "clean"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_broken_file_is_not_clean_and_ends(layout):
    data = made(lambda file: weights(file, MALICIOUS[0]), layout)
    for end in range(8, len(data), len(data) // 50):
        assert scan_bytes(data[:end], "a.h5").verdict in ("suspicious", "malicious"), end
    whole = bytearray(data)
    at = whole.index(b"OHDR") if b"OHDR" in whole else whole.index(b"TREE")
    whole[at] ^= 1
    # What cannot be followed is searched.
    assert scan_bytes(bytes(whole), "a.h5").verdict == "malicious"


def test_objects_are_counted(monkeypatch):
    monkeypatch.setattr("safehold.scan.hdf5_bytes._MOST_STEPS", 100)
    data = made(lambda file: weights(file, MALICIOUS[0]))
    report = scan_bytes(data, "a.h5", Limits())
    assert "SH105" in rules(report)
    assert report.verdict == "malicious"
