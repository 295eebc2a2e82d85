"""NumPy arrays, scalars and dtypes as plain values, and what a dtype must be to come back."""

from __future__ import annotations

import sys
from typing import Any

from safehold.errors import DecodeError, MissingExtra

TAGS = ("ndarray", "npscalar", "npdtype")


class NoFormError(ValueError):
    """A value that has no lossless form; the message goes on where its place ends."""


def take(value: Any, kind: type) -> tuple[str, Any] | None:
    """Return (tag, plain form) of a NumPy value, None for any other. Raises NoFormError."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if kind is numpy.ndarray:
        order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        dtype = _dtype_out(value.dtype)
        return "ndarray", [dtype, list(value.shape), order, value.tobytes(order)]
    if isinstance(value, numpy.dtype):
        return "npdtype", _dtype_out(value)
    if isinstance(value, numpy.generic) and kind is value.dtype.type:
        if value.dtype.kind in "SU":
            # NumPy's own ways to the content lose the zeros at its end.
            base = str if isinstance(value, str) else bytes
            return "npscalar", [value.dtype.kind, base.__getitem__(value, slice(None))]
        return "npscalar", [_dtype_out(value.dtype), value.tobytes()]
    return None


def _dtype_out(dtype: Any) -> Any:
    """Describe a dtype by what makes exactly the same one again."""
    plain: Any = None
    if not dtype.hasobject and not has_metadata(dtype):
        if dtype.fields is not None:
            plain = sys.modules["numpy"].lib.format.dtype_to_descr(dtype)
        elif dtype.subdtype is None:
            # The character keeps apart what has one size: long and long long.
            plain = next((text for text in (dtype.str, dtype.str[0] + dtype.char)
                          if _is_same(text, dtype)), None)  # fmt: skip
    if plain is None or not _is_same(plain, dtype):
        message = f"has the dtype {dtype!r}, which this codec cannot hold"
        raise NoFormError(message)
    return plain


def has_metadata(dtype: Any) -> bool:
    """Say whether a dtype, or one within it, carries notes that no file format keeps."""
    inner = dtype.base if dtype.subdtype is not None else None
    fields = [field[0] for field in (dtype.fields or {}).values()]
    return bool(dtype.metadata) or any(map(has_metadata, fields if inner is None else [inner]))


def _is_same(plain: Any, dtype: Any) -> bool:
    try:
        made = _dtype_in(plain)
    except (TypeError, ValueError):
        return False
    return (
        made == dtype and made.type is dtype.type and made.isalignedstruct == dtype.isalignedstruct
    )


def _dtype_in(plain: Any) -> Any:
    return sys.modules["numpy"].lib.format.descr_to_dtype(plain)


def put(tag: str, plain: Any) -> Any:
    """Make a NumPy value again. Raises DecodeError, MissingExtra, and what NumPy raises."""
    try:
        import numpy  # noqa: ICN001  (an extra, needed only when a file holds arrays)
    except ImportError as error:
        package = "numpy"
        raise MissingExtra(package, "numpy") from error
    if tag == "npdtype":
        return _dtype_in(plain)
    dtype, data = _dtype_in(plain[0]), plain[-1]
    if tag == "npscalar" and (dtype.kind, type(data)) in (("S", bytes), ("U", str)):
        return dtype.type(data)
    if dtype.hasobject or type(data) is not bytes:
        message = "not the bytes of an array of plain values"
        raise DecodeError(message)
    if tag == "ndarray":
        _, shape, order, _ = plain
        return numpy.ndarray(tuple(shape), dtype=dtype, buffer=bytearray(data), order=order)
    return numpy.ndarray((), dtype=dtype, buffer=bytearray(data))[()]
