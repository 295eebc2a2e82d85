"""Plain values without loss: what the `json` and `msgpack` codecs can hold.

A value comes back equal and of the same type, or `EncodeError` names where it stands.
Shared references come back as separate copies; cycles are refused by the depth limit.
Values that both formats hold natively pass as they are, all others become (tag, plain).
"""

from __future__ import annotations

import base64
import contextlib
import math
import struct
from _pickle import PicklingError
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading, arrays, enums, frames
from safehold.errors import DecodeError, EncodeError, LimitExceeded

Tagger = Callable[[str, Any], Any]
"""(tag, plain tree of native values) -> the codec's form of a tagged value."""


_DOUBLE = struct.Struct(">d")  # the bits, since a NaN has more than one form
_DOUBLES = struct.Struct(">dd")


class _NoFormError(Exception):
    """A value that has no lossless form; `path` grows on the way out, innermost first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[Any] = []

    def located(self) -> EncodeError:
        place = "".join(f"[{_shown(part)}]" for part in reversed(self.path))
        return EncodeError(f"value{place} {self.reason}")


def _shown(part: Any) -> str:
    return repr(part)[:80] if type(part) in (str, int, float, bool, bytes) else type(part).__name__


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
    if type(zone) is ZoneInfo and zone.key and _is_of_the_system(zone):
        return ["zone", zone.key]
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        if zone == timezone(offset) and zone.tzname(None) == timezone(offset).tzname(None):
            return ["offset", offset.days, offset.seconds, offset.microseconds]
    message = f"has the time zone {zone!r}, which has no lossless form; use UTC or a ZoneInfo"
    raise _NoFormError(message)


def _is_of_the_system(zone: ZoneInfo) -> bool:
    """Say whether the key alone makes the zone again; one read from a file refuses to pickle."""
    try:
        zone.__reduce__()
    except PicklingError:
        return False
    return True


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
    name = None if factory is None else str(getattr(factory, "__name__", ""))
    if name is not None and _FACTORIES.get(name) is not factory:
        message = f"is a defaultdict of {factory!r}, which has no lossless form; use a dict"
        raise _NoFormError(message)
    return [name, _pairs(value)]


def _pairs(value: Mapping[Any, Any]) -> list[list[Any]]:
    return [list(pair) for pair in value.items()]


def _in_order(value: set[Any] | frozenset[Any]) -> list[Any]:
    """List members in one order where they can be ordered, so that equal sets encode alike."""
    with contextlib.suppress(TypeError, ValueError, ArithmeticError):
        return sorted(value)
    return list(value)


def _each(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Refuse items of which some would be lost: no writer repeats a key or a member."""

    def made(items: Any) -> Any:
        found = make(items)
        if len(found) != len(items):
            message = "a key or member stands there twice"
            raise ValueError(message)
        return found

    return made


_unique = _each(dict)


_KINDS = (
    Kind("tuple", tuple, list, tuple),
    Kind("set", set, _in_order, _each(set)),
    Kind("frozenset", frozenset, _in_order, _each(frozenset)),
    Kind("deque", deque, lambda value: [list(value), value.maxlen], lambda v: deque(v[0], v[1])),
    Kind("ordered", OrderedDict, _pairs, _each(OrderedDict)),
    Kind("counter", Counter, _pairs, _each(lambda pairs: Counter(dict(pairs)))),
    Kind("defaultdict", defaultdict, _defaultdict_out,
         lambda parts: defaultdict(parts[0] and _FACTORIES[parts[0]], _unique(parts[1]))),
    Kind("pairs", dict, _pairs, _unique),
    Kind("bytes", bytes, lambda value: base64.b64encode(value).decode(),
         lambda text: base64.b64decode(text, validate=True)),
    Kind("bytearray", bytearray, bytes, bytearray),
    Kind("complex", complex, lambda value: _DOUBLES.pack(value.real, value.imag),
         lambda data: complex(*_DOUBLES.unpack(data))),
    Kind("int", int, hex, lambda text: int(text, 16)),
    Kind("float", float, _DOUBLE.pack, lambda data: _DOUBLE.unpack(data)[0]),
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
    Kind("uuid", UUID, lambda value: [value.bytes, value.is_safe.value],
         lambda parts: UUID(bytes=parts[0], is_safe=SafeUUID(parts[1]))),
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
TAGS = (*_BY_TAG, *arrays.TAGS, frames.TAG, enums.TAG)
"""Every tag. The position is its msgpack extension code: only ever append."""


# --- taking apart --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flattener:
    """Turns values into trees of native ones.

    ``text``: the format is JSON, which has no bytes and only finite floats;
    ``reserved`` starts keys that would be taken for a tag; ``allow`` has the enumerations that
    may be named, and ``names`` collects those that are.
    """

    tagger: Tagger
    depth: int
    text: bool
    reserved: str = ""
    allow: AllowList | None = None
    names: set[str] = field(default_factory=set)

    def flatten(self, value: Any) -> Any:
        """Return the tree. Raises EncodeError naming the place, LimitExceeded for depth."""
        try:
            return self._flat(value, 0)
        except _NoFormError as error:
            raise error.located() from None
        except RecursionError:
            raise self._too_deep() from None

    def _too_deep(self) -> LimitExceeded:
        return LimitExceeded(f"the value is nested deeper than {self.depth} levels (or in itself)")

    def _flat(self, value: Any, level: int) -> Any:
        kind = type(value)
        if kind is str:
            return value if value.isascii() or _is_unicode(value) else self._native(value)
        if kind is float:
            return value if not self.text or math.isfinite(value) else self._native(value)
        if kind is int:
            return value if -(2**63) <= value < 2**64 else self._native(value)
        if value is None or kind is bool:
            return value
        if level >= self.depth:
            raise self._too_deep()
        if kind is list:
            return self._list(value, level)
        if kind is dict:
            return self._dict(value, level)
        if kind is bytes and not self.text:
            return value
        return self._tagged(value, kind, level)

    def _native(self, value: Any) -> Any:
        entry = _BY_TYPE[type(value)]
        return self.tagger(entry.tag, self._flat(entry.take(value), self.depth - 1))

    def _list(self, value: list[Any], level: int) -> list[Any]:
        plain: list[Any] = []
        try:
            for item in value:
                plain.append(self._flat(item, level + 1))  # noqa: PERF401  (the count is the place)
        except _NoFormError as error:
            error.path.append(len(plain))
            raise
        return plain

    def _dict(self, value: dict[Any, Any], level: int) -> Any:
        plain = {}
        key = None
        try:
            for key, item in value.items():
                if type(key) is not str or not (key.isascii() or _is_unicode(key)):
                    break
                if self.reserved and key.startswith(self.reserved):
                    break
                plain[key] = self._flat(item, level + 1)
            else:
                return plain
        except _NoFormError as error:
            error.path.append(key)
            raise
        return self._tagged(value, dict, level)

    def _tagged(self, value: Any, kind: type, level: int) -> Any:
        entry = _BY_TYPE.get(kind)
        if entry is None:
            tag, plain = self._library(value, kind)
            return self.tagger(tag, self._flat(plain, level + 1))
        try:
            return self.tagger(entry.tag, self._flat(entry.take(value), level + 1))
        except _NoFormError as error:
            if entry.take is _pairs:
                _name_key(error.path, value)
            raise

    def _library(self, value: Any, kind: type) -> tuple[str, Any]:
        """Take a value of a library apart. Nothing is imported: its type has been."""
        try:
            if issubclass(kind, Enum):
                self.names.add(enums.name_of(kind))
                return enums.TAG, enums.take(value, kind, self.allow)
            taken = arrays.take(value, kind) or frames.take(value, kind)
        except arrays.NoFormError as error:
            raise _NoFormError(str(error)) from None
        if taken is not None:
            return taken
        message = (
            f"is a {kind.__module__}.{kind.__qualname__}, which this codec cannot hold without "
            f"loss; store plain values, or keep the file in an internal zone"
        )
        raise _NoFormError(message)


def _name_key(path: list[Any], value: Mapping[Any, Any]) -> None:
    """Put the key in the place of its position among the pairs."""
    index, side = path.pop(), path.pop()
    key = list(value)[index]
    path.append(key if side else f"key {_shown(key)}")


def _is_unicode(text: str) -> bool:
    """Say whether a text has a UTF-8 form; lone surrogates have none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- putting together ----------------------------------------------------------------------

# What constructors raise for arguments that they do not like.
_INVALID = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, SyntaxError,
            TypeError, ValueError, struct.error)  # fmt: skip


# A table within other values has the limits of the default policy.
_TABLES = Reading(AllowList.of(), 0)


def rebuild(tag: str, plain: Any, naming: enums.Naming = enums.NOTHING) -> Any:
    """Make the value of a tag from its plain form. Raises DecodeError, TypeNotAllowed."""
    try:
        if tag == enums.TAG:
            return enums.put(plain, naming)
        if tag in arrays.TAGS:
            return arrays.put(tag, plain)
        if tag == frames.TAG:
            return frames.from_parquet(plain, _TABLES)
        return _BY_TAG[tag].make(plain)
    except _INVALID as error:
        message = f"{tag!r} holds an invalid value: {error}"
        raise DecodeError(message) from error
