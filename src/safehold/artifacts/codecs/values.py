"""Plain values without loss: what the `json` and `msgpack` codecs can hold.

A value comes back equal and of the same type, or `EncodeError` names where it stands.
Shared references come back as separate copies; cycles are refused by the depth limit.
Values that both formats hold natively pass as they are, all others become (tag, plain).
"""

from __future__ import annotations

import base64
import math
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from safehold.errors import DecodeError, EncodeError, LimitExceeded, MissingExtra

Tagger = Callable[[str, Any], Any]
"""(tag, plain tree of native values) -> the codec's form of a tagged value."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one type is taken apart and put together again."""

    tag: str
    type: type
    take: Callable[[Any], Any]
    make: Callable[[Any], Any]


def _zone_out(zone: tzinfo | None) -> Any:
    if zone is None:
        return None
    if zone is UTC:
        return "UTC"
    if type(zone) is ZoneInfo and zone.key:
        return ["zone", zone.key]
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        if zone == timezone(offset) and zone.tzname(None) == timezone(offset).tzname(None):
            return ["offset", offset.days, offset.seconds, offset.microseconds]
    message = f"time zone {zone!r} has no lossless form; use UTC, an offset or a ZoneInfo"
    raise EncodeError(message)


def _zone_in(value: Any) -> tzinfo | None:
    if value is None or value == "UTC":
        return UTC if value else None
    if value[0] == "zone":
        return ZoneInfo(value[1])
    return timezone(timedelta(*value[1:]))


def _datetime_out(value: datetime) -> Any:
    zone = _zone_out(value.tzinfo)
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, zone]


def _datetime_in(value: Any) -> datetime:
    return datetime.fromisoformat(value[0]).replace(fold=value[1], tzinfo=_zone_in(value[2]))


def _time_out(value: time) -> Any:
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, _zone_out(value.tzinfo)]


def _time_in(value: Any) -> time:
    return time.fromisoformat(value[0]).replace(fold=value[1], tzinfo=_zone_in(value[2]))


_FACTORIES = {kind.__name__: kind for kind in (bool, dict, float, int, list, set, str, tuple)}


def _defaultdict_out(value: defaultdict[Any, Any]) -> Any:
    factory = value.default_factory
    name = None if factory is None else getattr(factory, "__name__", "")
    if name is not None and _FACTORIES.get(name) is not factory:
        message = f"a defaultdict of {factory!r} has no lossless form; use a builtin type or a dict"
        raise EncodeError(message)
    return [name, _pairs(value)]


def _pairs(value: Mapping[Any, Any]) -> list[list[Any]]:
    return [list(pair) for pair in value.items()]


def _in_order(value: set[Any] | frozenset[Any]) -> list[Any]:
    """List members in one order where they can be ordered, so that equal sets encode alike."""
    try:
        return sorted(value)
    except TypeError:
        return list(value)


_KINDS = (
    Kind("tuple", tuple, list, tuple),
    Kind("set", set, _in_order, set),
    Kind("frozenset", frozenset, _in_order, frozenset),
    Kind("deque", deque, lambda value: [list(value), value.maxlen], lambda v: deque(v[0], v[1])),
    Kind("ordered", OrderedDict, _pairs, OrderedDict),
    Kind("counter", Counter, _pairs,
         lambda pairs: Counter(dict(pairs))),
    Kind("defaultdict", defaultdict, _defaultdict_out,
         lambda parts: defaultdict(parts[0] and _FACTORIES[parts[0]], parts[1])),
    Kind("pairs", dict, _pairs, dict),
    Kind("bytes", bytes, lambda value: base64.b64encode(value).decode(),
         lambda text: base64.b64decode(text, validate=True)),
    Kind("bytearray", bytearray, bytes, bytearray),
    Kind("complex", complex, lambda value: [value.real.hex(), value.imag.hex()],
         lambda parts: complex(float.fromhex(parts[0]), float.fromhex(parts[1]))),
    Kind("int", int, hex, lambda text: int(text, 16)),
    Kind("float", float, float.hex, float.fromhex),
    Kind("str", str, lambda value: value.encode("utf-8", "surrogatepass"),
         lambda data: data.decode("utf-8", "surrogatepass")),
    Kind("datetime", datetime, _datetime_out, _datetime_in),
    Kind("date", date, date.isoformat, date.fromisoformat),
    Kind("time", time, _time_out, _time_in),
    Kind("timedelta", timedelta,
         lambda value: [value.days, value.seconds, value.microseconds],
         lambda parts: timedelta(*parts)),
    Kind("timezone", timezone, _zone_out, _zone_in),
    Kind("zoneinfo", ZoneInfo, _zone_out, _zone_in),
    Kind("decimal", Decimal, str, Decimal),
    Kind("fraction", Fraction, lambda value: [value.numerator, value.denominator],
         lambda parts: Fraction(*parts)),
    Kind("uuid", UUID, lambda value: value.bytes, lambda data: UUID(bytes=data)),
    Kind("range", range, lambda value: [value.start, value.stop, value.step],
         lambda parts: range(*parts)),
    Kind("slice", slice, lambda value: [value.start, value.stop, value.step],
         lambda parts: slice(*parts)),
    Kind("ellipsis", type(...), lambda _: None, lambda _: ...),
    Kind("posixpath", PurePosixPath, str, PurePosixPath),
    Kind("windowspath", PureWindowsPath, str, PureWindowsPath),
    Kind("path", type(Path()), str, Path),
)  # fmt: skip
_BY_TYPE: Mapping[type, Kind] = {kind.type: kind for kind in _KINDS}
_BY_TAG: dict[str, Kind] = {kind.tag: kind for kind in _KINDS}
TAGS = (*_BY_TAG, "ndarray", "npscalar", "npdtype")
"""Every tag. The position is its msgpack extension code: only ever append."""


# --- taking apart --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flattener:
    """Turns values into trees of native ones.

    ``text``: the format is JSON, which has no bytes and only finite floats;
    ``reserved`` starts keys that would be taken for a tag.
    """

    tagger: Tagger
    depth: int
    text: bool
    reserved: str = ""

    def flatten(self, value: Any, level: int = 0, where: str = "value") -> Any:
        """Return the tree. Raises EncodeError naming the place, LimitExceeded for depth."""
        kind = type(value)
        if kind is str or kind is float or kind is int:
            return self._scalar(value, kind)
        if value is None or kind is bool:
            return value
        if level >= self.depth:
            message = f"{where} is nested deeper than {self.depth} levels (or holds itself)"
            raise LimitExceeded(message)
        if kind is list:
            return [
                self.flatten(item, level + 1, f"{where}[{index}]")
                for index, item in enumerate(value)
            ]
        if kind is dict:
            return self._dict(value, level, where)
        if kind is bytes and not self.text:
            return value
        return self._tagged(value, kind, level, where)

    def _scalar(self, value: Any, kind: type) -> Any:
        if kind is str:
            # Lone surrogates are not UTF-8; `isascii` answers most texts at once.
            if value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value):
                return value
        elif kind is float:
            if not self.text or math.isfinite(value):
                return value
        elif -(2**63) <= value < 2**64:
            return value
        entry = _BY_TYPE[kind]
        return self.tagger(entry.tag, self.flatten(entry.take(value), self.depth - 1))

    def _dict(self, value: dict[Any, Any], level: int, where: str) -> Any:
        plain = {}
        for key, item in value.items():
            if type(key) is not str or (not key.isascii() and _has_surrogate(key)):
                return self._tagged(value, dict, level, where)
            if self.reserved and key.startswith(self.reserved):
                return self._tagged(value, dict, level, where)
            plain[key] = self.flatten(item, level + 1, f"{where}[{key!r}]")
        return plain

    def _tagged(self, value: Any, kind: type, level: int, where: str) -> Any:
        entry = _BY_TYPE.get(kind)
        if entry is not None:
            return self.tagger(entry.tag, self.flatten(entry.take(value), level + 1, where))
        if kind.__module__ == "numpy" or kind.__module__.startswith("numpy."):
            tag, plain = _numpy_out(value, where)
            return self.tagger(tag, self.flatten(plain, level + 1, where))
        message = (
            f"{where} is a {kind.__module__}.{kind.__qualname__}, which this codec cannot hold "
            f"without loss; store plain values, or keep the file in an internal zone"
        )
        raise EncodeError(message)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _numpy_out(value: Any, where: str) -> tuple[str, Any]:
    numpy = sys.modules["numpy"]
    if type(value) is numpy.ndarray:
        dtype = _dtype_out(value.dtype, where)
        order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        return "ndarray", [dtype, list(value.shape), order, value.tobytes(order)]
    if isinstance(value, numpy.dtype):
        return "npdtype", _dtype_out(value, where)
    if isinstance(value, numpy.generic) and type(value) is value.dtype.type:
        return "npscalar", [_dtype_out(value.dtype, where), value.tobytes()]
    message = f"{where} is a {type(value).__qualname__}, which this codec cannot hold"
    raise EncodeError(message)


def _dtype_out(dtype: Any, where: str) -> Any:
    if dtype.hasobject or dtype.kind == "T" or dtype.metadata:
        message = f"{where} has the dtype {dtype!r}, which this codec cannot hold"
        raise EncodeError(message)
    if dtype.subdtype is not None or dtype.fields is not None:
        numpy = sys.modules["numpy"]
        descr = numpy.lib.format.dtype_to_descr(dtype)
        if numpy.lib.format.descr_to_dtype(descr) != dtype or not isinstance(descr, list):
            message = f"{where} has a structured dtype without a lossless description"
            raise EncodeError(message)
        return descr
    return dtype.str


# --- putting together ----------------------------------------------------------------------


def rebuild(tag: str, plain: Any) -> Any:
    """Make the value of a tag from its plain form. Raises DecodeError."""
    try:
        if tag in ("ndarray", "npscalar", "npdtype"):
            return _numpy_in(tag, plain)
        return _BY_TAG[tag].make(plain)
    except MissingExtra:
        raise
    except (KeyError, ValueError, TypeError, IndexError, ArithmeticError) as error:
        message = f"{tag!r} holds an invalid value: {error}"
        raise DecodeError(message) from error


def _numpy_in(tag: str, plain: Any) -> Any:
    try:
        import numpy  # noqa: ICN001  (an extra, needed only when a file holds arrays)
    except ImportError as error:
        package = "numpy"
        raise MissingExtra(package, "numpy") from error
    dtype = numpy.lib.format.descr_to_dtype(plain[0] if tag != "npdtype" else plain)
    if dtype.hasobject:
        message = "an array of Python objects cannot be stored as data"
        raise DecodeError(message)
    if tag == "npdtype":
        return dtype
    if tag == "npscalar":
        if dtype.itemsize == 0:  # an empty text; frombuffer refuses it
            return dtype.type()
        return numpy.frombuffer(plain[1], dtype=dtype, count=1)[0]
    _, shape, order, data = plain
    return numpy.ndarray(tuple(shape), dtype=dtype, buffer=bytearray(data), order=order)
