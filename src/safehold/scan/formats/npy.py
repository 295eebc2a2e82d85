"""numpy's npy: a header, then raw array bytes, or a pickle for arrays of objects."""

from __future__ import annotations

import ast
import re
from typing import Any, Final

from safehold.scan import rules
from safehold.scan.dtypes import DType, parse_descr
from safehold.scan.visit import Source, Visit

_MAGIC: Final = b"\x93NUMPY"
FIRSTS: Final = _MAGIC[:1]
# numpy itself refuses longer headers unless told otherwise.
_LONGEST_HEADER: Final = 65_536
# Text that needs no parser to go wrong; numpy writes none of these.
_FORBIDDEN: Final = (b"\\", b"\0", b"lambda")
# Python 2 wrote its long integers with an L, which numpy drops up to version 2 of the format.
_LONG: Final = re.compile(r"""("[^"]*"|'[^']*')|(?<!\w)(\d++)(?:\s*+L(?!\w))++""")


class _Broken(Exception):
    """Why, and where, the array cannot be read."""


def read(source: Source, visit: Visit) -> str | None:
    """Read one array, or several in a row, as repeated ``numpy.load`` calls do."""
    if not source.starts(_MAGIC):
        return None
    pos = 0
    while True:
        try:
            stop = _read_one(source, visit, pos)
        except _Broken as error:
            message, offset = error.args
            visit.note(source, rules.UNREADABLE_STREAM, message, offset)
            return "npy"
        if stop >= len(source.data):
            return "npy"
        if not visit.count_member(source):
            return "npy"
        if bytes(source.data[stop : stop + len(_MAGIC)]) != _MAGIC:
            _trailing(source, visit, stop)
            return "npy"
        pos = stop


def _read_one(source: Source, visit: Visit, pos: int) -> int:
    """Return where the array ends."""
    data = source.data
    major = data[pos + 6] if len(data) > pos + 8 else 0
    width = {1: 2, 2: 4, 3: 4}.get(major)
    if width is None:
        raise _Broken("an unknown version of the format", pos)
    start = pos + 8 + width
    length = int.from_bytes(data[pos + 8 : start], "little")
    if length > _LONGEST_HEADER or start + length > len(data):
        raise _Broken("a header longer than any array needs", pos)
    header = _parse_header(bytes(data[start : start + length]), major)
    body = start + length
    if header is None:
        # numpy may still read it, and unpickle what follows.
        visit.scan(source.inner(data[body:], "", _member(source, body)))
        raise _Broken("a header that cannot be read", start)
    dtype, count = header
    if dtype.has_objects:
        # The pickle reader sees everything to the end of the file, also what trails.
        visit.scan(source.inner(data[body:], source.name, _member(source, body)))
        return len(data)
    stop = body + dtype.size * count
    if stop > len(data):
        raise _Broken("the file ends inside the bytes of an array", body)
    return stop


def _parse_header(raw: bytes, major: int) -> tuple[DType, int] | None:
    if any(text in raw for text in _FORBIDDEN):
        return None
    text = raw.decode("utf-8" if major == 3 else "latin-1", "replace").strip()
    if major < 3:
        text = _LONG.sub(lambda match: match[1] or match[2], text)
    try:
        found: Any = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    if not isinstance(found, dict) or set(found) != {"descr", "fortran_order", "shape"}:
        return None
    dtype = parse_descr(found["descr"])
    shape = found["shape"]
    if dtype is None or not isinstance(shape, tuple):
        return None
    count = 1
    for length in shape:
        if type(length) is not int or length < 0:
            return None
        count *= length
    return dtype, count


def _trailing(source: Source, visit: Visit, stop: int) -> None:
    message = "bytes after the end of the array"
    left = len(source.data) - stop
    visit.note(source, rules.TRAILING_DATA, message, stop, {"bytes": left})
    visit.scan(source.inner(source.data[stop:], "", _member(source, stop)))


def _member(source: Source, pos: int) -> str:
    return f"{source.member or ''}@{pos}"
