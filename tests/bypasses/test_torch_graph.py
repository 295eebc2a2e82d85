"""torch.export evaluates texts of its graph: sizes by sympy, guards as Python."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from safehold.scan import scan_bytes

ADD = "torch.ops.aten.add.Tensor"


def exported(expression="Symbol('s77', positive=True, integer=True)", guards=(), target=ADD):
    graph = {
        "graph_module": {
            "graph": {
                "nodes": [{"target": target, "inputs": [], "outputs": []}],
                "tensor_values": {"x": {"sizes": [{"as_expr": {"expr_str": expression}}]}},
            }
        },
        "guards_code": list(guards),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m/archive_format", "pt2")
        archive.writestr("m/models/model.json", json.dumps(graph))
    return buffer.getvalue()


def rules(data):
    return {finding.rule.id for finding in scan_bytes(data, "m.pt2").findings}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("s0", set()),
        ("Mul(Integer(2), Symbol('s77', positive=True, integer=True))", set()),
        ("Max(1, FloorDiv(s0 + 1, 2))", set()),
        ("Mul(Float('1.5', precision=53), Symbol('u0', integer=True))", set()),
        ("eval(s0)", {"SH101"}),
        ("__import__('os').system('true')", {"SH101"}),
        ("().__class__", {"SH101"}),
        ("lambdify(s0, s0)", {"SH109"}),
        ("'text'", {"SH109"}),
        ("s0.func", {"SH109"}),
        ("s0[0]", {"SH109"}),
    ],
)
def test_expression(expression, found):
    assert rules(exported(expression)) == found


@pytest.mark.parametrize(
    ("guard", "found"),
    [
        ("L['x'].size()[0] >= 2", set()),
        ("L['x']['k'].stride()[0] == 2 * L['y'].size()[1]", set()),
        ("exec('import os')", {"SH101"}),
        ("L['x'].data.numpy()", {"SH109"}),
        ("L['x']) or f(1", {"SH109"}),
    ],
)
def test_guard(guard, found):
    assert rules(exported(guards=[guard])) == found


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("torch.ops.aten.linear.default", set()),
        ("torch.ops.higher_order.cond", set()),
        ("_operator.mul", set()),
        ("torch.sym_max", set()),
        ("torch.ops.aten.save.default", {"SH101"}),
        ("torch.serialization.os.system", {"SH101"}),
        ("torch.compile", {"SH101"}),
        ("torch.nn.functional.relu", {"SH102"}),
        ("#custom:op", {"SH102"}),
    ],
)
def test_operator(target, found):
    assert rules(exported(target=target)) == found


def test_graph_that_is_no_json_is_never_clean():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m/models/model.json", '{"graph_module": ')
    assert rules(buffer.getvalue()) == {"SH103"}


@pytest.mark.extras
def test_real_archive_is_clean(tmp_path):
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 3)

        def forward(self, x, y):
            rows = x.shape[0]
            return torch.cat([self.layer(x), y[:rows]]).reshape(2 * rows, 3) * (rows // 2 + 1)

    rows = torch.export.Dim("n", min=2, max=64)
    path = tmp_path / "m.pt2"
    program = torch.export.export(
        Model(),
        (torch.ones(6, 4), torch.ones(6, 3)),
        dynamic_shapes={"x": {0: rows}, "y": {0: rows}},
    )
    torch.export.save(program, path)
    assert b"Symbol(" in path.read_bytes()
    report = scan_bytes(path.read_bytes(), "m.pt2")
    assert (report.format, report.verdict) == ("torch export", "clean"), report
