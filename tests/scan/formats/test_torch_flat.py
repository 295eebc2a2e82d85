"""Bytes by the schemas of ExecuTorch 1.5 and PyTorch; the latter also as torch writes them."""

from __future__ import annotations

import struct

import pytest

from safehold.scan import scan_bytes
from tests.bypasses.payloads import named, stream
from tests.scan.formats.damage import clean_prefixes, flip, replace
from tests.scan.formats.flats import Number, Row, Struct, build

EVIL = stream(named("os", "system"))


def rules(report):
    return {finding.rule.id for finding in report.findings}


def program(*delegates, operator="aten::linear", segments=None):
    tensor = [
        Number(1, 6),
        None,
        Row(4, [1, 4]),
        Row(1, [0, 1]),
        None,
        None,
        None,
        None,
        None,
        None,
    ]
    values = ([Number(1, 1), []], [Number(1, 5), tensor], [Number(1, 6), ["text"]])
    instructions = ([Number(1, 1), [None, Row(4, [0, 1])]], [Number(1, 3), [Number(4, 1)]])
    chain = [Row(4, [0]), Row(4, [1]), instructions]
    parts = tuple([name, None, (["k", Row(1, b"v")],)] for name in delegates)
    plan = [
        "forward",
        ["in", "out"],
        values,
        Row(4, [0]),
        Row(4, [1]),
        (chain,),
        ([operator, ""],),
        parts or None,
        Row(8, [0, 64]),
    ]
    rows = None
    if segments is not None:
        rows = tuple([Number(8, at), Number(8, size)] for at, size in segments)
    return [Number(4, 0), (plan,), None, ([Row(1, b"blob")],), rows]


def pte(root, data=b""):
    """With the header that says where the segments begin."""
    size = len(build(root, b"ET12", bytes(32)))
    base = -(-size // 64) * 64
    header = b"eh00" + struct.pack("<IQQ", 24, size, base) + bytes(8)
    whole = build(root, b"ET12", header)
    assert len(whole) == size
    return whole + bytes(base - size) * bool(data) + data


FILES = {
    "plain": build(program(), b"ET12"),
    "segment": pte(program(segments=[(0, 40)]), b"w" * 40),
    "backend": pte(program("XnnpackBackend", segments=[(0, 8)]), b"XNNPACK!"),
}


@pytest.mark.parametrize("name", FILES)
def test_program_is_clean_to_its_last_byte_and_not_before(name):
    report = scan_bytes(FILES[name], "a.pte")
    assert (report.format, report.verdict) == ("executorch", "clean"), report.findings
    assert clean_prefixes(FILES[name], "a.pte") == []
    flip(FILES[name], "a.pte")
    replace(FILES[name], "a.pte", lambda rng: rng.choice((b"\0", b"\xff" * 4, b"")), 300)
    assert rules(scan_bytes(FILES[name] + EVIL, "a.pte")) == {"SH101", "SH107"}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (build(program("CudaBackend"), b"ET12"), {"SH109"}),
        (build(program("OwnBackend"), b"ET12"), {"SH102"}),
        (build(program(operator="aten::from_file"), b"ET12"), {"SH101"}),
        (pte(program(segments=[(0, 64)]), b"\x7fELF" + bytes(60)), {"SH109"}),
        (pte(program(segments=[(0, 65)]), bytes(64)), {"SH103"}),
        (pte(program(segments=[(2**63, 8)]), bytes(64)), {"SH103"}),
        (b"\xff\xff\xff\x7fET12" + bytes(40), {"SH103"}),
        (b"\0\0\0\0ET12eh00" + struct.pack("<IQQ", 24, 2**60, 0) + bytes(40), {"SH103"}),
    ],
)
def test_programs_that_are_not_clean(data, found):
    assert rules(scan_bytes(data, "a.pte")) == found


def module(operator="aten::relu", code="def forward(self):\n  return 1\n", extra=None):
    function = ["__torch__.M.forward", Row(8, [1]), ([operator, "", Number(4, 1)],), Row(4, [0])]
    values = (
        [Number(1, 0), None], [Number(1, 1), Struct(bytes(8))], [Number(1, 6), ["text"]],
        [Number(1, 16), function],
    )  # fmt: skip
    files = None if extra is None else (["notes.pkl", extra],)
    return build(
        [Number(4, 9), files, Row(4, [3]), Number(4, 0), values, Number(4, 0), None,
         (["__torch__.M", None, ("w",)],), (["code/__torch__.py", code],), Row(4, [0])],
        b"PTMF",
    )  # fmt: skip


def test_a_program_of_the_mobile_interpreter():
    report = scan_bytes(module(), "a.ptl")
    assert (report.format, rules(report)) == ("torch mobile", {"SH109"})
    assert rules(scan_bytes(module("aten::save"), "a.ptl")) == {"SH101", "SH109"}
    code = "def f(self):\n  return torch.from_file('/etc/passwd')\n"
    assert rules(scan_bytes(module(code=code), "a.ptl")) == {"SH101", "SH109"}
    assert "SH101" in rules(scan_bytes(module(extra=EVIL.decode("latin-1")), "a.ptl"))
    assert clean_prefixes(module(), "a.ptl") == []
    flip(module(), "a.ptl")


@pytest.mark.extras
def test_what_torch_writes_is_read_to_its_last_byte(tmp_path):
    torch = pytest.importorskip("torch")
    path = str(tmp_path / "a.ptl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        scripted = torch.jit.script(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()))
        torch.jit.save_jit_module_to_flatbuffer(scripted, path)
    with open(path, "rb") as file:
        data = file.read()
    report = scan_bytes(data, "a.ptl")
    assert (report.format, rules(report)) == ("torch mobile", {"SH109"})
    assert all(
        "SH103" in rules(scan_bytes(data[:end], "a.ptl")) for end in range(100, len(data), 7)
    )
