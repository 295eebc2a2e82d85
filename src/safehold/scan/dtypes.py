"""How many bytes an item of a numpy dtype takes, from its pickle or from an npy header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Final

from safehold.scan.values import Box, Global, Made

_TEXT: Final = re.compile(r"[<>|=]?([?bBhHiIlLqQefdgFDGmMOSaUVc])(\d*)(?:\[[^\]]*\])?")
_LETTERS: Final = {
    "?": 1, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "l": 8, "L": 8, "q": 8, "Q": 8,
    "e": 2, "f": 4, "d": 8, "g": 16, "F": 8, "D": 16, "G": 32, "m": 8, "M": 8, "O": 8, "c": 1,
}  # fmt: skip
# Kinds that say their size in bytes after the letter.
_SIZED: Final = {"b", "i", "u", "f", "c", "m", "M", "O", "V", "S", "a"}
_NAMES: Final = {
    "bool_": "b1", "bool": "b1", "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8",
    "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8", "float16": "f2",
    "float32": "f4", "float64": "f8", "complex64": "c8", "complex128": "c16", "object_": "O8",
}  # fmt: skip
# What numpy also takes for a text, and the platform's own sizes, as on 64-bit Linux.
_SPELLED: Final = _NAMES | {
    "half": "f2", "single": "f4", "double": "f8", "float": "f8", "float_": "f8", "longfloat": "g",
    "longdouble": "g", "float96": "g", "float128": "g", "csingle": "c8", "singlecomplex": "c8",
    "complex": "c16", "complex_": "c16", "cdouble": "c16", "cfloat": "c16", "clongdouble": "G",
    "clongfloat": "G", "longcomplex": "G", "complex192": "G", "complex256": "G",
    "byte": "i1", "short": "i2", "intc": "i4", "int": "i8", "int_": "i8", "intp": "i8",
    "long": "i8", "longlong": "i8", "ubyte": "u1", "ushort": "u2", "uintc": "u4", "uint": "u8",
    "uintp": "u8", "ulong": "u8", "ulonglong": "u8", "bool8": "b1", "int0": "i8", "uint0": "u8",
    "p": "i8", "P": "u8", "n": "i8", "N": "u8", "object": "O8", "object0": "O8",
    "str": "U", "str_": "U", "unicode": "U", "unicode_": "U", "bytes": "S", "bytes_": "S",
    "string_": "S", "void": "V", "datetime64": "M8", "timedelta64": "m8",
}  # fmt: skip
# One field of a text such as "2i4, (3,)f8": how often, byte order, type.
_PART: Final = re.compile(
    r"\s*(\d+(?=\s*[<>|=]?[A-Za-z?])|\(\s*(?:\d+\s*(?:,\s*\d+\s*)*,?)?\s*\))?"
    r"\s*([<>|=]?)\s*([A-Za-z_?][\w?]*(?:\[[^\]]*\])?)\s*"
)
_MOST_PARTS: Final = 1000
_RECORDS: Final = frozenset({("numpy", "record"), ("numpy.rec", "record")})
_HAS_OBJECTS: Final = 0x01
_DEEPEST: Final = 16


@dataclass(frozen=True, slots=True)
class DType:
    """Size of one item in bytes, and whether it holds Python objects."""

    size: int
    has_objects: bool


def parse_dtype(value: Any) -> DType | None:
    """Return what a pickled dtype says, or None if it cannot be told."""
    if isinstance(value, Global):
        text = _NAMES.get(value.name) if value.module in {"numpy", "builtins"} else None
        return None if text is None else parse_text(text)
    if not isinstance(value, Made) or not isinstance(value.maker, Global):
        return None
    if (value.maker.module, value.maker.name) != ("numpy", "dtype"):
        return None
    text = _kind(value.args)
    if text is None or value.state is None:
        return None if text is None else parse_spelled(text)
    named = parse_text(text)
    return None if named is None else _with_state(text, named, value)


def _kind(args: Any) -> str | None:
    """Return the text that a dtype is made from; that of a ``recarray`` names its class instead."""
    first = args[0] if isinstance(args, tuple) and args else None
    if isinstance(first, Global) and (first.module, first.name) in _RECORDS:
        return "V"
    return first if isinstance(first, str) else None


def _with_state(text: str, named: DType, value: Made) -> DType | None:
    """Take size and flags from the state, for the kinds that keep them there."""
    state = value.state
    if not isinstance(state, tuple) or len(state) < 8 or value.built > 1:
        return None
    size, flags = state[5], state[7]
    if type(size) is not int or type(flags) is not int:
        return None
    extended = _is_extended(text)
    fields = state[4]
    objects = named.has_objects or bool(flags & _HAS_OBJECTS)
    if isinstance(fields, Box) and not fields.whole:
        return None
    if extended and size >= 0:
        return DType(size, objects)
    return DType(named.size, objects)


def _is_extended(text: str) -> bool:
    """Whether numpy takes the size from the state; a lone ``c`` is text of one character."""
    bare = text.lstrip("<>|=")
    return bare == "c" or bare[:1] in {"V", "S", "U", "a"}


# Flags that numpy sets exactly when there are objects: without them it takes bytes for pointers.
_OBJECT_FLAGS: Final = 0x1B
_ANY_OBJECT_FLAG: Final = 0x07


def check_state(made: Made, state: Any) -> str | None:
    """Return what is wrong with the state of a numpy dtype, which numpy believes; None if nothing.

    Flags that deny objects, or fields beyond the item's end, make it read pointers of the file's
    choice or memory that is not the array's.
    """
    text = _kind(made.args)
    outer = None if text is None else parse_text(text)
    if text is None or outer is None or not _has_form(state):
        return "is given a state that cannot be told"
    size, flags = state[5], state[7]
    if text.lstrip("<>|=")[:1] in {"M", "m"} and not (len(state) == 9 and type(state[8]) is tuple):
        return "is given a state without its unit of time"
    extended = _is_extended(text)
    parts = _parts(state, size if extended else outer.size)
    if parts is None or (extended and size < 0):
        return "is given fields that cannot be told, or that lie beyond its end"
    if outer.has_objects or any(part.has_objects for part in parts):
        wrong = flags & _OBJECT_FLAGS != _OBJECT_FLAGS
    else:
        wrong = bool(flags & _ANY_OBJECT_FLAG)
    return "is given flags that contradict its fields" if wrong else None


def _has_form(state: Any) -> bool:
    return (
        isinstance(state, tuple)
        and len(state) in (8, 9)
        and type(state[5]) is int
        and type(state[7]) is int
    )


def _parts(state: tuple[Any, ...], size: int) -> list[DType] | None:
    """Return the dtypes of fields and subarray, None if one of them cannot be told or fit."""
    found: list[DType] = []
    subarray, fields = state[2], state[4]
    if subarray is not None:
        if not isinstance(subarray, tuple) or len(subarray) != 2:
            return None
        inner = parse_dtype(subarray[0])
        whole = None if inner is None else _repeated(inner, subarray[1])
        if whole is None or whole.size > size:
            return None
        found.append(whole)
    if fields is None:
        return found
    if not isinstance(fields, Box) or not fields.whole or isinstance(fields.items, list):
        return None
    fields.fixed = True  # numpy keeps this very dict
    for field in (fields.items or {}).values():
        if not isinstance(field, tuple) or len(field) not in (2, 3) or type(field[1]) is not int:
            return None
        inner = parse_dtype(field[0])
        if inner is None or field[1] < 0 or field[1] + inner.size > size:
            return None
        found.append(inner)
    return found


@lru_cache(maxsize=256)
def parse_text(text: str) -> DType | None:
    """Return what a dtype text such as ``<f8`` says, or None if it says nothing known."""
    if re.fullmatch(r"[<>|=]?u\d+", text):
        return DType(int(text.lstrip("<>|=")[1:]), has_objects=False)
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    letter, digits = match.groups()
    if len(digits) > 18:
        return None
    if letter == "U":
        return DType(4 * int(digits or "0"), has_objects=False)
    if digits and letter in _SIZED:
        size = int(digits)
    elif letter in _LETTERS and not digits:
        size = _LETTERS[letter]
    elif letter in {"S", "a", "V"}:
        size = 0
    else:
        return None
    return DType(8 if letter == "O" else size, has_objects=letter == "O")


def parse_spelled(text: str) -> DType | None:
    """Return what any text says that numpy makes a dtype of, or None if it says nothing known.

    Beside the short texts that dumps hold these are names ("float64") and fields in a row
    ("i4, (2,)f8"), see "Specifying and constructing data types" in numpy's reference.
    """
    found = parse_text(text)
    if found is not None:
        return found
    size, objects, pos = 0, False, 0
    for _ in range(_MOST_PARTS):
        match = _PART.match(text, pos)
        part = None if match is None else _part(*match.groups())
        if match is None or part is None:
            return None
        size += part.size
        objects = objects or part.has_objects
        pos = match.end() + 1
        if pos >= len(text):
            return DType(size, objects) if text[match.end() :] in {"", ","} else None
        if text[match.end()] != ",":
            return None
    return None


def _part(count: str | None, order: str, kind: str) -> DType | None:
    name, bracket, unit = kind.partition("[")
    spelled = _SPELLED.get(name)
    if spelled is not None and (order == "" or len(name) == 1):
        kind = spelled + bracket + unit
    inner = parse_text(order + kind)
    if inner is None or not count:
        return inner
    lengths = [int(part) for part in re.findall(r"\d+", count[:200])]
    return DType(inner.size * prod(lengths), inner.has_objects)


def parse_descr(descr: Any, depth: int = 0) -> DType | None:
    """Return what the ``descr`` of an npy header says, or None if it cannot be told."""
    if depth > _DEEPEST:
        return None
    if isinstance(descr, str):
        return parse_spelled(descr)
    if isinstance(descr, tuple) and len(descr) == 2:
        inner = parse_descr(descr[0], depth + 1)
        return None if inner is None else _repeated(inner, descr[1])
    if not isinstance(descr, list):
        return None
    size = 0
    objects = False
    for row in descr:
        if not isinstance(row, tuple) or len(row) not in (2, 3):
            return None
        inner = parse_descr(row[1], depth + 1)
        if inner is not None and len(row) == 3:
            inner = _repeated(inner, row[2])
        if inner is None:
            return None
        size += inner.size
        objects = objects or inner.has_objects
    return DType(size, objects)


def _repeated(inner: DType, shape: Any) -> DType | None:
    if not inner.size:
        # For numpy, ``("S", 10)`` is a text of ten bytes.
        return None
    count = 1
    for length in shape if isinstance(shape, tuple) else (shape,):
        if type(length) is not int or length < 0:
            return None
        count *= length
    return DType(inner.size * count, inner.has_objects)
