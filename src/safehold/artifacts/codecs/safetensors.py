"""The `safetensors` codec: named arrays as the file that the library of that name writes.

Read and written here, since the format is a length, a JSON object and the bytes of the
tensors without a hole: the header is bounded and checked before any array is made, and the
arrays lie in the verified memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from safehold.artifacts.codecs import Buffer, Encoded, Reading
from safehold.errors import DecodeError, EncodeError, LimitExceeded, MissingExtra

try:
    import numpy as np
except ImportError as error:
    package = "numpy"
    raise MissingExtra(package, "numpy") from error

DTYPES: Mapping[str, str] = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "F16": "<f2",
    "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
    "C64": "<c8",
}  # fmt: skip
"""The format's name of a dtype -> NumPy's."""
_NAMES = {text: name for name, text in DTYPES.items()}
_METADATA = "__metadata__"
_LONGEST_HEADER = 16 * 2**20  # as the scanner; ten thousand tensors need one
_MOST_DIMENSIONS = 64
_ALIGN = 8


class Tensor(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of the header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


_raw_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_tensor = msgspec.json.Decoder(Tensor).decode
_metadata = msgspec.json.Decoder(dict[str, str]).decode


def encode(value: object, depth: int) -> Encoded:  # noqa: ARG001  (arrays have no depth)
    """Encode a dict of text to array. Raises EncodeError naming the key."""
    if type(value) is not dict:
        message = f"safetensors holds a dict of arrays, not a {type(value).__qualname__}"
        raise EncodeError(message)
    for name, array in value.items():
        _check(name, array)
    # The widest first, so that each stands at a multiple of its items' size.
    widest = sorted(value, key=lambda name: -value[name].dtype.itemsize)
    places, pieces, at = {}, [], 0
    for name in widest:
        piece = _bytes(value[name])
        places[name] = (at, at + len(piece))
        at += len(piece)
        pieces.append(piece)
    header = msgspec.json.encode({name: _row(value[name], places[name]) for name in value})
    header += b" " * (-len(header) % _ALIGN)
    if len(header) > _LONGEST_HEADER:
        message = "more tensors than one header holds"
        raise EncodeError(message)
    whole = b"".join([len(header).to_bytes(8, "little"), header, *pieces])
    return Encoded([whole], {"numpy": np.__version__})


def _check(name: Any, array: Any) -> None:
    if type(name) is not str or name == _METADATA or not _is_unicode(name):
        message = f"safetensors cannot hold the key {name!r}"[:200]
        raise EncodeError(message)
    if type(array) is not np.ndarray or array.dtype.str not in _NAMES or array.dtype.metadata:
        what = getattr(array, "dtype", type(array).__qualname__)
        message = f"value[{name!r}]: safetensors cannot hold {what}"
        raise EncodeError(message)


def _is_unicode(name: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _bytes(array: Any) -> Buffer:
    return memoryview(array.ravel("C").view(np.uint8)) if array.nbytes else b""


def _row(array: Any, place: tuple[int, int]) -> Tensor:
    return Tensor(_NAMES[array.dtype.str], list(array.shape), place)


def decode(segments: Sequence[memoryview], reading: Reading) -> object:
    """Return the dict of arrays, in the memory of verified bytes. Raises DecodeError."""
    data = segments[0]
    rows, body = parse(data, reading)
    return {name: _made(name, row, body, views=reading.views) for name, row in rows.items()}


def parse(data: memoryview, reading: Reading) -> tuple[dict[str, Tensor], memoryview]:
    """Return the header's tensors and the bytes that they account for, every one of them.

    Raises:
        DecodeError, LimitExceeded
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        message = "not a safetensors file: the header is longer than the file"
        raise DecodeError(message)
    if length > _LONGEST_HEADER:
        message = f"the header has {length} bytes, at most {_LONGEST_HEADER} are read"
        raise LimitExceeded(message)
    rows = _rows(data[8 : 8 + length])
    if len(rows) > reading.limits.members:
        message = f"{len(rows)} tensors, the limit is {reading.limits.members}"
        raise LimitExceeded(message)
    body = data[8 + length :]
    reached = 0
    for start, stop in sorted(row.data_offsets for row in rows.values()):
        if start != reached or stop < start:
            message = "the tensors overlap or leave a hole"
            raise DecodeError(message)
        reached = stop
    if reached != len(body):
        message = f"the tensors account for {reached} bytes, the file holds {len(body)}"
        raise DecodeError(message)
    return rows, body


def _rows(header: memoryview) -> dict[str, Tensor]:
    try:
        raw = _raw_decoder.decode(header)
        if _METADATA in raw:
            _metadata(raw.pop(_METADATA))
        return {name: _tensor(row) for name, row in raw.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = f"the header is not valid: {error}"
        raise DecodeError(message) from error


def _made(name: str, row: Tensor, body: memoryview, *, views: bool) -> Any:
    text = DTYPES.get(row.dtype)
    if text is None:
        message = f"the tensor {name[:80]!r} has the dtype {row.dtype[:20]!r}, which NumPy lacks"
        raise DecodeError(message)
    dtype = np.dtype(text)
    start, stop = row.data_offsets
    fits = len(row.shape) <= _MOST_DIMENSIONS and min(row.shape, default=0) >= 0
    if not fits or math.prod(row.shape) * dtype.itemsize != stop - start:
        message = f"the shape of the tensor {name[:80]!r} does not account for its bytes"
        raise DecodeError(message)
    try:
        array: Any = np.ndarray(tuple(row.shape), dtype, body[start:stop])
    except (ValueError, OverflowError, TypeError) as error:
        message = f"the tensor {name[:80]!r} cannot be made: {error}"
        raise DecodeError(message) from error
    usable = array.flags.aligned and (array.flags.writeable or views)
    return array if usable else array.copy()
