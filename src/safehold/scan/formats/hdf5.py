"""HDF5: models and weights of Keras, tables of pandas; what its attributes and links hold."""

from __future__ import annotations

import json
import re
from typing import Final

from safehold.scan import hdf5, rules
from safehold.scan.configuration import check_text, check_tree
from safehold.scan.hdf5_bytes import BrokenError, Bytes, TooManyError
from safehold.scan.hdf5_heaps import collection
from safehold.scan.references import leads_outside
from safehold.scan.searching import matches
from safehold.scan.visit import Source, Visit

SIGN: Final = hdf5.SIGNATURE
_HEAP: Final = re.compile(rb"GCOL\x01\0\0\0")
_NODE: Final = re.compile(rb'\{\s*"(?:class_name|module|config|registered_name)"\s*:')
_MOST_HEAPS: Final = 100_000
_MOST_NODES: Final = 1000
# Small files with large arrays that were never written are no bombs.
_FREE_BYTES: Final = 64 * 2**20


def read(source: Source, visit: Visit) -> str | None:
    """Check configurations, pickled attributes and references; None for anything else."""
    start = hdf5.find(source.data)
    if start is None:
        return None
    found = hdf5.Contents()
    try:
        hdf5.read(source.data, start, found, visit.budget)
    except (BrokenError, IndexError) as error:
        message = f"the file cannot be followed: {error}"[:200]
        visit.note(source, rules.UNREADABLE_STREAM, message)
        _search(source, visit)
    except TooManyError:
        visit.note(source, rules.LIMIT_EXCEEDED, "more objects than any model needs")
        _search(source, visit)
    for name, value in found.attributes:
        _check_value(source, visit, value, f"@{name[:100]}")
    for path in dict.fromkeys(found.elsewhere):
        _check_reference(source, visit, path)
    most = max(_FREE_BYTES, visit.limits.expansion * len(source.data))
    if found.largest > min(most, visit.limits.artifact):
        message = "an array that is far larger than the file: raise limits.expansion"
        detail = {"bytes": min(found.largest, 2**63 - 1)}
        visit.note(source, rules.LIMIT_EXCEEDED, message, None, detail)
    _check_heaps(source, visit, start)
    _check_around(source, visit, start, found.end)
    return "hdf5"


def _check_value(source: Source, visit: Visit, value: bytes, member: str) -> None:
    """Read an attribute: a configuration as JSON, or a pickle, as PyTables keeps objects."""
    text = value.strip(b"\0 \r\n\t")
    if text[:1] in (b"{", b"["):
        check_text(source, visit, text)
    elif value[:1] == b"\x80" or text[-1:] == b".":
        inner = source.inner(value.rstrip(b"\0"), "", f"{source.member or ''}{member}")
        if visit.admit(inner, len(value)):
            visit.scan(inner)


def _check_reference(source: Source, visit: Visit, path: str) -> None:
    detail = {"file": path[:200]}
    if leads_outside(path):
        message = "data that stands in a file outside"
        visit.note(source, rules.OUTSIDE_FILE, message, None, detail)
    else:
        message = "data that stands in another file, which is not read here"
        visit.note(source, rules.UNREADABLE_STREAM, message, None, detail)


def _check_heaps(source: Source, visit: Visit, start: int) -> None:
    """Read objects of any length, wherever their heaps stand: pandas pickles columns into them."""
    file = Bytes(source.data, start, 8, 8, visit.budget)
    for count, match in enumerate(matches(_HEAP, source.data, visit.budget)):
        try:
            if count >= _MOST_HEAPS:
                raise TooManyError
            rows = collection(file, match.start())
        except BrokenError:
            continue  # bytes of an array, or a heap with other widths than files have today
        except TooManyError:
            message = "more heaps than any table needs"
            visit.note(source, rules.LIMIT_EXCEEDED, message)
            return
        for begin, end in rows.values():
            if end - begin > 1 and (source.data[begin] == 0x80 or source.data[end - 1] == 0x2E):
                inner = source.inner(source.data[begin:end], "", f"{source.member or ''}@{begin}")
                if not visit.admit(inner, end - begin):
                    return
                visit.scan(inner)


def _check_around(source: Source, visit: Visit, start: int, end: int) -> None:
    """Bytes before the beginning are for another reader, as are those behind the end."""
    size = len(source.data)
    if end > size:
        visit.note(source, rules.UNREADABLE_STREAM, "the file ends early")
    for begin, stop, where in ((0, start, "before the file"), (end or size, size, "after the end")):
        part = source.data[begin:stop]
        if len(part) and any(bytes(part[at : at + 2**16]).strip(b"\0") for at in _steps(part)):
            detail = {"bytes": len(part)}
            visit.note(source, rules.TRAILING_DATA, f"bytes {where}", begin, detail)
            visit.scan(source.inner(part, "", f"{source.member or ''}@{begin}"))


def _steps(part: bytes | memoryview) -> range:
    return range(0, len(part), 2**16)


def _search(source: Source, visit: Visit) -> None:
    """Look for configurations in bytes that could not be followed."""
    decoder = json.JSONDecoder()
    for count, match in enumerate(_NODE.finditer(source.data)):
        if count >= _MOST_NODES:
            return
        text = bytes(source.data[match.start() : match.start() + 2**20])
        try:
            tree, _ = decoder.raw_decode(text.decode("utf-8", "replace"))
        except ValueError:
            continue
        except RecursionError:
            visit.depends()
            continue
        check_tree(source, visit, tree)
