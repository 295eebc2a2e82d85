"""What the loader of safetensors refuses is never clean; what it writes is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from safehold.scan import scan_bytes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.extras


def _row(dtype: object = "F32", shape: object = (2,), at: object = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": at}


def _packed(header: object, body: bytes = bytes(8)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


_TENSOR = json.dumps(_row()).encode()
REFUSED = {
    "unknown type": _packed({"a": _row("F33")}),
    "type is no text": _packed({"a": _row(7)}),
    "no shape": _packed({"a": {"dtype": "F32", "data_offsets": [0, 8]}}),
    "shape too large": _packed({"a": _row(shape=[3])}),
    "shape too small": _packed({"a": _row(shape=[1])}),
    "shape negative": _packed({"a": _row(shape=[-1, -2])}),
    "shape overflows": _packed({"a": _row(shape=[2**63, 4, 0], at=(0, 0))}, b""),
    "shape wraps": _packed({"a": _row("U8", [2**63, 2], (0, 0))}, b""),
    "half a byte": _packed({"a": _row("F4", [3], (0, 1))}, b"x"),
    "truth as a number": _packed({"a": _row(shape=[True, 2])}),
    "hole": _packed({"a": _row(), "b": _row(at=(9, 17))}, bytes(17)),
    "overlap": _packed({"a": _row(), "b": _row(at=(4, 12))}, bytes(12)),
    "trailing": _packed({"a": _row()}, bytes(9)),
    "cut": _packed({"a": _row()}, bytes(7)),
    "offsets negative": _packed({"a": _row(at=(-8, 0))}),
    "number in metadata": _packed({"__metadata__": {"n": 1}, "a": _row()}),
    "object in metadata": _packed({"__metadata__": {"n": {}}, "a": _row()}),
    "metadata is a list": _packed({"__metadata__": ["n"], "a": _row()}),
    "NaN": _packed(b'{"a": ' + _TENSOR[:-1] + b', "more": NaN}}'),
    "half of a character": _packed(b'{"\\ud800": ' + _TENSOR + b"}"),
    "zeros behind the header": _packed(b'{"a": ' + _TENSOR + b"}" + bytes(4)),
    "UTF-16": _packed(('{"a": ' + _TENSOR.decode() + "}").encode("utf-16-le")),
    "header too long": (2**40).to_bytes(8, "little") + b'{"a": ' + _TENSOR + b"}",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_loader_refuses_is_not_clean(case: str) -> None:
    safetensors = pytest.importorskip("safetensors")
    with pytest.raises(safetensors.SafetensorError):
        safetensors.deserialize(REFUSED[case])
    assert str(scan_bytes(REFUSED[case]).verdict) != "clean"


def test_a_header_that_begins_with_space_is_not_clean() -> None:
    # The format rules it out, though versions of the loader take it.
    data = _packed(b' {"a": ' + _TENSOR + b"}")
    assert str(scan_bytes(data).verdict) != "clean"


@pytest.mark.parametrize(
    "kind", ["bool", "int8", "uint16", "float16", "int32", "float64", "complex64"]
)
def test_what_the_library_writes_is_clean(kind: str, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    writer = pytest.importorskip("safetensors.numpy")
    tensors = {"a": numpy.ones((3, 5), kind), "b": numpy.ones((), kind), "c": numpy.ones(0, kind)}
    path = tmp_path / "model.safetensors"
    writer.save_file(tensors, path, metadata={"format": "np"})
    assert str(scan_bytes(path.read_bytes()).verdict) == "clean"
