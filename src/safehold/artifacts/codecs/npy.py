"""The `npy` codec: one NumPy array as the file that `numpy.save` writes.

The segments, joined, are that file; nothing in it can be an object. The header is checked
here before NumPy sees it: its length, its three keys, and that shape and dtype account for
exactly the bytes that are there, so a header that lies allocates nothing.
"""

from __future__ import annotations

import ast
import contextlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from safehold.artifacts.codecs import Buffer, Encoded, Reading
from safehold.artifacts.codecs.arrays import has_metadata
from safehold.errors import DecodeError, EncodeError, MissingExtra

try:
    import numpy as np
    from numpy.lib import format as npy_format
except ImportError as error:
    package = "numpy"
    raise MissingExtra(package, "numpy") from error

LIBS = {"numpy": np.__version__}
MAGIC = b"\x93NUMPY"
_WIDTHS = {1: 2, 2: 4, 3: 4}
"""Major version -> bytes of the header's length."""
_LONGEST_HEADER = 65_536  # as the scanner: no array needs more
_MOST_DIMENSIONS = 64  # as NumPy 2
_ALIGN = 64  # of the format; so header and bytes stand in a container without a gap
_KEYS = {"descr", "fortran_order", "shape"}
_INVALID = (ValueError, TypeError, SyntaxError, LookupError, MemoryError, OverflowError,
            RecursionError, AttributeError)  # fmt: skip


def encode(value: object, depth: int) -> Encoded:  # noqa: ARG001  (an array has no depth)
    """Encode an array. Raises EncodeError."""
    return Encoded(pieces(value), LIBS)


def pieces(value: object) -> list[Buffer]:
    """Return header and bytes of an array, without a copy where its memory is contiguous.

    Raises:
        EncodeError: not exactly an array, or its dtype has no lossless form in the format.
    """
    if type(value) is not np.ndarray:
        kind = type(value)
        message = f"npy holds one numpy.ndarray, not a {kind.__module__}.{kind.__qualname__}"
        raise EncodeError(message)
    descr = _descr(value.dtype)
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    header = _header_bytes(descr, value.shape, fortran=fortran)
    return [header, _body(value, fortran=fortran)]


def decode(segments: Sequence[memoryview], reading: Reading) -> object:
    """Return the array of verified segments, in their memory. Raises DecodeError."""
    first = segments[0]
    array, start = _shell(first)
    if len(segments) == 1:
        return _filled(array, first[start:], views=reading.views)
    if len(segments) != 2 or start != len(first):
        message = "header and bytes of the array do not meet"
        raise DecodeError(message)
    return _filled(array, segments[1], views=reading.views)


# --- header --------------------------------------------------------------------------------


def _descr(dtype: Any) -> Any:
    """Return the format's description of a dtype. Raises EncodeError if another would come back."""
    if not dtype.hasobject and not has_metadata(dtype):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "custom dtypes are saved as Python objects"
            descr = npy_format.dtype_to_descr(dtype)
        with contextlib.suppress(*_INVALID):
            made = npy_format.descr_to_dtype(descr)
            kind = made.type is dtype.type or dtype.kind in "iu"  # long long comes back as long
            if made == dtype and kind and made.isalignedstruct == dtype.isalignedstruct:
                return descr
    message = f"the dtype {dtype!r} has no lossless form in npy"
    raise EncodeError(message)


def _header_bytes(descr: Any, shape: tuple[int, ...], *, fortran: bool) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}"
    major, raw = (1, text.encode()) if text.isascii() else (3, text.encode("utf-8"))
    width = _WIDTHS[major]
    start = len(MAGIC) + 2 + width
    raw += b" " * (-(start + len(raw) + 1) % _ALIGN) + b"\n"
    if len(raw) >= _LONGEST_HEADER:
        message = "the array's dtype has more fields than npy can hold"
        raise EncodeError(message)
    return MAGIC + bytes([major, 0]) + len(raw).to_bytes(width, "little") + raw


def _shell(data: memoryview) -> tuple[_Shell, int]:
    """Read a header and return what it says and where the array's bytes start."""
    width = _WIDTHS.get(data[6], 0) if len(data) > 8 and data[7] == 0 else 0
    if bytes(data[:6]) != MAGIC or not width:
        message = "not an npy file of a version known here"
        raise DecodeError(message)
    start = 8 + width
    length = int.from_bytes(data[8:start], "little")
    if length > _LONGEST_HEADER or start + length > len(data):
        message = f"the array's header has {length} bytes"
        raise DecodeError(message)
    text = bytes(data[start : start + length])
    try:
        found = ast.literal_eval(text.decode("utf-8" if width == 4 else "latin-1").strip())
        if type(found) is not dict or set(found) != _KEYS or type(found["shape"]) is not tuple:
            raise ValueError("a header with other keys")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dtype = npy_format.descr_to_dtype(found["descr"])
    except _INVALID as error:
        message = f"the array's header is not valid: {error}"
        raise DecodeError(message) from error
    return _Shell(dtype, found["shape"], fortran=found["fortran_order"] is True), start + length


@dataclass(frozen=True, slots=True)
class _Shell:
    """What a header says."""

    dtype: Any
    shape: tuple[Any, ...]
    fortran: bool


# --- bytes ---------------------------------------------------------------------------------


def _body(array: Any, *, fortran: bool) -> Buffer:
    """Return an array's bytes in the order that its header names."""
    flat = array.ravel("F" if fortran else "C")  # a view where the memory is contiguous
    return memoryview(flat.view(np.uint8)) if flat.nbytes else b""


def _filled(shell: _Shell, body: memoryview, *, views: bool) -> Any:
    """Make the array over `body`. Raises DecodeError if it is not exactly as large."""
    if shell.dtype.hasobject:
        message = "the array holds objects, which data codecs never load"
        raise DecodeError(message)
    sides = all(type(side) is int and side >= 0 for side in shell.shape)
    if len(shell.shape) > _MOST_DIMENSIONS or not sides:
        message = "the array's shape is not one"
        raise DecodeError(message)
    size = math.prod(shell.shape) * shell.dtype.itemsize
    if size != len(body):
        message = f"the header speaks of {size} bytes, the file holds {len(body)}"
        raise DecodeError(message)
    try:
        order: Any = "F" if shell.fortran else "C"
        array: Any = np.ndarray(shell.shape, shell.dtype, body, order=order)
    except _INVALID as error:
        message = f"the array cannot be made: {error}"
        raise DecodeError(message) from error
    usable = array.flags.aligned and (array.flags.writeable or views)
    return array if usable else array.copy("K")
