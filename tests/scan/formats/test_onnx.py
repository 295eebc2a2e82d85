from __future__ import annotations

import os

import pytest

from safehold.scan import scan_bytes, scan_path
from tests.scan.formats.protos import message


def rules(report):
    return {finding.rule.id for finding in report.findings}


def tensor(*external):
    rows = [(13, message((1, key), (2, value))) for key, value in external]
    return message((1, 2), (2, 1), (8, "w"), *rows, (14, 1 if rows else 0), (9, bytes(8)))


def operation(name, domain="", *attributes):
    return message((1, "x"), (2, "y"), (4, name), (7, domain), *((5, one) for one in attributes))


def model(*fields, more=()):
    return message((1, 8), (2, "writer"), (7, message(*fields)), (8, message((2, 17))), *more)


PLAIN = ((1, operation("Gemm")), (1, operation("Scaler", "ai.onnx.ml")), (5, tensor()))


@pytest.mark.parametrize("name", ["a.onnx", "a"])
def test_model_that_computes_is_clean(name):
    report = scan_bytes(model(*PLAIN), name)
    assert (report.format, report.verdict) == ("onnx", "clean"), report.findings


LOCATIONS = [
    "../../etc/passwd", "/etc/passwd", "a/../../b", "..\\b", "C:\\x", "file:///etc/passwd",
    "http://127.0.0.1/x", "a\0b", "",
]  # fmt: skip


@pytest.mark.parametrize("location", LOCATIONS)
def test_external_data_outside_the_directory(location):
    # CVE-2022-25882, CVE-2024-5187, CVE-2024-27318
    report = scan_bytes(model(*PLAIN, (5, tensor(("location", location)))), "a.onnx")
    assert report.verdict == "malicious"
    assert rules(report) == {"SH121"}


def nested(place):
    bad = tensor(("location", "../x"))
    attribute = {
        "attribute": message((1, "value"), (5, bad)),
        "attributes": message((1, "value"), (10, bad)),
        "subgraph": message((1, "body"), (6, message((5, bad)))),
        "subgraphs": message((1, "body"), (11, message((5, bad)))),
        "sparse": message((1, "value"), (22, message((1, bad)))),
    }.get(place)
    if attribute is not None:
        return model((1, operation("If", "", attribute)))
    if place == "training":
        return model(more=[(20, message((2, message((5, bad)))))])
    if place == "function":
        body = operation("Constant", "", message((1, "value"), (5, bad)))
        return model(more=[(25, message((1, "f"), (10, "own"), (7, body)))])
    return model((15, message((1, bad))))


@pytest.mark.parametrize(
    "place",
    ["attribute", "attributes", "subgraph", "subgraphs", "sparse", "training", "function", "top"],
)
def test_external_data_is_found_wherever_tensors_stand(place):
    assert rules(scan_bytes(nested(place), "a.onnx")) == {"SH121"}


def test_second_location_of_a_tensor_counts():
    both = tensor(("location", "good"), ("location", "../bad"))
    assert rules(scan_bytes(model((5, both)), "a.onnx")) == {"SH121"}


def test_external_data_beside_the_model(tmp_path):
    row = tensor(("location", "a.onnx.data"), ("offset", "4"), ("length", "8"))
    path = tmp_path / "a.onnx"
    path.write_bytes(model((5, row)))
    assert rules(scan_path(path).files[0]) == {"SH103"}  # it is not there
    (tmp_path / "a.onnx.data").write_bytes(bytes(11))
    assert rules(scan_path(path).files[0]) == {"SH103"}  # it is too short
    (tmp_path / "a.onnx.data").write_bytes(bytes(12))
    assert scan_path(path).files[0].verdict == "clean"


@pytest.mark.parametrize("link", ["a.onnx.data", "sub"])
def test_external_data_through_a_link(tmp_path, link):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "w").write_bytes(bytes(12))
    folder = tmp_path / "model"
    folder.mkdir()
    target = tmp_path / "secret" if link == "sub" else tmp_path / "secret" / "w"
    os.symlink(target, folder / link)
    location = "sub/w" if link == "sub" else link
    (folder / "a.onnx").write_bytes(model((5, tensor(("location", location)))))
    assert rules(scan_path(folder / "a.onnx").files[0]) == {"SH121"}


def test_operations_that_call_python():
    for name, domain in (("PythonOp", "com.microsoft"), ("PyOp", "ai.onnx.contrib")):
        report = scan_bytes(model((1, operation(name, domain))), "a.onnx")
        assert rules(report) == {"SH123"}


def test_operations_of_another_library_are_suspicious_unless_the_file_defines_them():
    data = model((1, operation("Own", "com.example")))
    assert rules(scan_bytes(data, "a.onnx")) == {"SH102"}
    own = message((1, "Own"), (10, "com.example"), (7, operation("Relu")))
    data = model((1, operation("Own", "com.example")), more=[(25, own)])
    assert scan_bytes(data, "a.onnx").verdict == "clean"


def test_broken_model_is_not_clean():
    data = model(*PLAIN)
    whole = len(data) - len(message((8, message((2, 17)))))
    for end in range(len(data)):
        assert end == whole or scan_bytes(data[:end], "a.onnx").verdict == "suspicious", end
    assert scan_bytes(model((1, b"\x0f\xff")), "a.onnx").verdict == "suspicious"


@pytest.mark.extras
def test_models_that_the_real_library_writes_are_clean(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    numpy = pytest.importorskip("numpy")
    weights = numpy_helper.from_array(numpy.ones((300, 4), "f4"), "w")
    branch = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["z"])], "branch", [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [300, 4])], [weights],
    )  # fmt: skip
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["y"]),
            helper.make_node("If", ["c"], ["q"], then_branch=branch, else_branch=branch),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        [weights],
    )  # fmt: skip
    made = helper.make_model(graph)
    inside, outside = tmp_path / "inside.onnx", tmp_path / "outside.onnx"
    onnx.save(made, inside)
    onnx.save(made, outside, save_as_external_data=True, location="w.data", size_threshold=0)
    assert (tmp_path / "w.data").stat().st_size >= 4800
    for path in (inside, outside):
        report = scan_path(path).files[0]
        assert (report.format, report.verdict) == ("onnx", "clean"), report.findings
