from __future__ import annotations

import json
import random
import struct
import tracemalloc

import pytest

from safehold.scan import scan_bytes, scan_path
from safehold.scan.formats import tensorflow
from safehold.scan.protobuf import Message
from tests.scan.formats.protos import constant, function, graph, message, node, saved_model
from tests.work import an_end, is_linear

# What every exported model has: variables, a saver with a name for its files, functions.
PLAIN = (
    node("VarHandleOp", "dense/kernel"),
    node("Placeholder", "saver_filename"),
    constant("save/tensor_names", "dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"),
    node("SaveV2", "save/SaveV2", ["saver_filename", "save/tensor_names"]),
    node("RestoreV2", "save/RestoreV2", ["saver_filename", "save/tensor_names"]),
    node("MergeV2Checkpoints", "save/Merge", ["saver_filename"]),
    node("MatMul", "dense/MatMul", ["x", "dense/kernel"]),
    node("PrintV2", "note", ["x"], output_stream=message((2, "stderr"))),
)
INNER = function(node("MatMul", "m", ["inputs", "kernel"]), node("Identity", "out", ["m"]))


def rules(report):
    return {finding.rule.id for finding in report.findings}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("saved_model.pb", saved_model(graph(*PLAIN, functions=[INNER]))),
        ("frozen.pb", graph(*PLAIN)),
        ("model.ckpt.meta", message((1, message((5, "1.15"))), (2, graph(*PLAIN)))),
        ("graph", graph(*PLAIN)),
        ("model.pbtxt", b'node {\n  name: "a"\n  op: "MatMul"\n}\n'),
    ],
)
def test_model_that_computes_is_clean(name, data):
    report = scan_bytes(data, name)
    assert (report.format, report.verdict) == ("tensorflow", "clean"), report.findings


OUTSIDE = constant("path", "../../etc/passwd")


@pytest.mark.parametrize(
    "nodes",
    [
        [node("WriteFile", "w", ["a", "b"])],
        [node("PyFunc", "p")],
        [node("EagerPyFunc", "p")],
        [node("DebugIdentityV3", "p", ["x"])],
        [node("DatasetFromGraph", "p", ["x"])],
        [OUTSIDE, node("ReadFile", "r", ["path"])],
        [OUTSIDE, node("Identity", "i", ["path"]), node("ReadFile", "r", ["i:0"])],
        [OUTSIDE, node("SaveV2", "s", ["path"])],
        [OUTSIDE, constant("path", "x"), node("ReadFile", "r", ["path"])],
        [node("StringJoin", "j", ["a", "b"]), node("ReadFile", "r", ["j"])],
        [node("PrintV2", "p", ["x"], output_stream=message((2, "file:///tmp/x")))],
    ],
)
@pytest.mark.parametrize("place", ["graph", "function", "frozen"])
def test_operation_that_reaches_the_machine_is_malicious(nodes, place):
    if place == "function":
        data = saved_model(graph(*PLAIN, functions=[INNER, function(*nodes)]))
    elif place == "graph":
        data = saved_model(graph(*PLAIN, *nodes))
    else:
        data = graph(*PLAIN, *nodes)
    report = scan_bytes(data, "saved_model.pb" if place != "frozen" else "x.pb")
    assert report.verdict == "malicious"
    assert rules(report) == {"SH123"}


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Placeholder", "path"), node("ReadFile", "r", ["path"])],
        [constant("path", "labels.txt"), node("ReadFile", "r", ["path"])],
        [OUTSIDE, node("RestoreV2", "r", ["path"])],
        [node("WholeFileReaderV2", "r")],
    ],
)
def test_operation_that_reads_what_it_is_told_is_suspicious(nodes):
    assert rules(scan_bytes(saved_model(graph(*PLAIN, *nodes)), "saved_model.pb")) == {"SH102"}


def test_order_of_fields_hides_nothing():
    body = message((2, graph(node("WriteFile", "w"))), (1, message((5, "2"))))
    assert scan_bytes(message((2, body), (1, 1)), "saved_model.pb").verdict == "malicious"


def test_graph_of_functions_alone():
    data = message((2, message((1, function(node("WriteFile", "w"))))), (4, message((1, 1))))
    assert scan_bytes(data, "frozen.pb").verdict == "malicious"


def test_model_of_a_directory_is_found_by_its_content(tmp_path):
    (tmp_path / "weights").write_bytes(saved_model(graph(node("WriteFile", "w"))))
    (tmp_path / "readme.txt").write_text("WriteFile")
    (only,) = scan_path(tmp_path).files
    assert only.verdict == "malicious"


LAMBDA = json.dumps({"class_name": "Lambda", "config": {"function": ["4wE=", None, None]}})


def test_layers_that_keras_notes_in_a_saved_model():
    notes = message((1, "_tf_keras_layer"), (3, LAMBDA))
    objects = message((1, message((4, notes))))
    report = scan_bytes(saved_model(graph(*PLAIN), (7, objects)), "saved_model.pb")
    assert rules(report) == {"SH109"}
    data = message((1, message((2, 1), (3, "root"), (4, "_tf_keras_layer"), (5, LAMBDA))))
    assert rules(scan_bytes(data, "keras_metadata.pb")) == {"SH109"}
    assert rules(scan_bytes(data, "renamed")) == {"SH109"}
    plain = message((1, message((4, "_tf_keras_layer"), (5, '{"class_name": "Dense"}'))))
    assert scan_bytes(plain, "keras_metadata.pb").verdict == "clean"


def test_asset_outside_the_model():
    asset = message((2, "../../x"))
    assert rules(scan_bytes(saved_model(graph(*PLAIN), (6, asset)), "x.pb")) == {"SH121"}


@pytest.mark.parametrize("data", [b"", b"\x0a", saved_model(graph(*PLAIN))[:-3], b"text"])
def test_saved_model_that_cannot_be_read_is_not_clean(data, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(data)
    (only,) = scan_path(tmp_path).files
    assert only.verdict == "suspicious"


def test_other_files_are_not_graphs(tmp_path):
    for number, data in enumerate([b"\x0a\x03abc", message((1, 1), (2, "text")), bytes(100)]):
        (tmp_path / f"{number}.pb").write_bytes(data)
    assert not scan_path(tmp_path).files


@pytest.mark.parametrize(
    "text",
    [
        b'node { name: "w" op: "WriteFile" }',
        b"node { op: 'Write' 'File' }",
        rb'node { op: "\127rite\x46ile" }',
        rb'saved_model_schema_version: 1 meta_graphs { graph_def { node { op :"PyFunc" } } }',
    ],
)
def test_operation_in_text_format(text):
    assert scan_bytes(text, "a.pbtxt").verdict == "malicious"


def test_number_of_fields_is_bounded(monkeypatch):
    monkeypatch.setattr("safehold.scan.protobuf.Message.__init__.__defaults__", (1000,))
    report = scan_bytes(graph(*[node("Add", str(n)) for n in range(1000)]), "x.pb")
    assert rules(report) == {"SH105"}


def lite(*names):
    """A TFLite model of nothing but its custom operators."""
    out = bytearray(struct.pack("<I4s", 16, b"TFL3") + bytes(8))
    out[8:16] = struct.pack("<HHHH", 8, 12, 4, 8)  # fields of the root: version, operators
    out += struct.pack("<iII", 8, 3, 4)  # the root, and the way to its list
    start = len(out) + 4
    out += struct.pack("<I", len(names)) + bytes(4 * len(names))
    for index, name in enumerate(names):
        fields = len(out)
        out += struct.pack("<HHHH", 8, 8, 0, 4)
        table = len(out)
        out += struct.pack("<iII", table - fields, 4, len(name)) + name.encode() + b"\0"
        place = start + 4 * index
        out[place : place + 4] = struct.pack("<I", table - place)
    return bytes(out)


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        ([], "clean"),
        (["TFLite_Detection_PostProcess", "FlexErf"], "clean"),
        (["FlexErf", "FlexWriteFile"], "malicious"),
        (["FlexReadFile"], "malicious"),
    ],
)
def test_tflite(names, verdict):
    report = scan_bytes(lite(*names), "a.tflite")
    assert (report.format, report.verdict) == ("tflite", verdict)


def test_broken_tflite_is_not_clean():
    for end in (8, 12, 20, 30):
        assert scan_bytes(lite("FlexErf")[:end], "a.tflite").verdict == "suspicious"


def test_nodes_of_one_name_take_no_longer_than_others():
    def make(size):
        data = graph(node("WriteFile", "w")) + b"\x0a\0" * size
        return lambda: scan_bytes(data, "x.pb")

    assert is_linear(make, 2000)
    assert make(30_000)().verdict == "malicious"


def test_what_is_told_to_be_no_graph_by_its_beginning_is_none():
    """Fields of a graph behind others, and bytes that begin like a pickle."""
    rng = random.Random(1)
    others = (b"\x18\x05", b"\x19" + b"a" * 8, b"\x1dabcd", b"\x8a\x00\x01a", b"\x80\x80\x01\x05",
              b"\x82\x01\x00", b"\x12\x01a", b"\x92\x01\x00", b"\x00", b"\x0b")  # fmt: skip
    named = b"\x0a\x0d\x0a\x01x\x12\x08Identity"
    graphs = (named, b"\x12\x13\x0a\x11\x1a\x0f\x0a\x01x\x12\x0aIdentityAB")
    told = {True: 0, False: 0}
    for _ in range(4000):
        head = b"\x80" + bytes([rng.randrange(2, 6)])
        value = b"\x01" if rng.random() < 0.5 else b"\x95" + rng.randbytes(2) + b"\0" * 6 + b"}\x94"
        data = head + value + b"".join(rng.choices(others, k=rng.randrange(4))) + rng.choice(graphs)
        broken = tensorflow._BREAKS.match(data) is not None
        told[broken] += 1
        assert not (broken and tensorflow._roots(Message(data)))
    assert min(told.values()) > 500


@pytest.mark.parametrize("spaces", [b" ", b" : ", b"\n\t"])
def test_spaces_in_text_format_take_no_time_that_grows_with_their_square(spaces):
    text = b"node" + spaces * 1_000_000 + b"a"
    with an_end():
        assert scan_bytes(text, "a.pbtxt").format == "unknown"
    assert scan_bytes(b"node" + spaces + b"{ op: 'WriteFile' }", "a.pbtxt").verdict == "malicious"


@pytest.mark.parametrize("unit", [b"' '", b"' \"a\" '", b"\\x41"])
def test_a_name_in_text_format_takes_no_memory_for_each_part_of_it(unit):
    text = b"node { op: '" + unit * 200_000 + b"' }"
    scan_bytes(text[:100], "a.pbtxt")
    tracemalloc.start()
    try:
        report = scan_bytes(text, "a.pbtxt")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    assert [finding.rule.id for finding in report.findings] == ["SH105"]


def test_what_stands_before_a_string_without_end_is_judged():
    report = scan_bytes(b"node { op: 'WriteFile' ' }", "a.pbtxt")
    assert {finding.rule.id for finding in report.findings} >= {"SH105"}
    assert report.verdict == "malicious"
