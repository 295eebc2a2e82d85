"""Parquet: tables of values; what Arrow's schema in its notes may name is looked at."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from safehold.scan import rules
from safehold.scan.pages import MAGIC, BrokenError, Parquet, parse
from safehold.scan.visit import Source, Visit

FIRSTS: Final = MAGIC[:1]
_SCHEMA: Final = b"ARROW:schema"
# Arrow before 14.0.1 unpickled what a column of this type carries (CVE-2023-47248).
_PICKLED: Final = b"arrow.py_extension_type"
_LEAST: Final = 12


def read(source: Source, visit: Visit) -> str | None:
    """Check footer, pages and schema; None if the bytes begin or end otherwise."""
    data = source.data
    if not source.starts(MAGIC) or len(data) < _LEAST or bytes(data[-4:]) != MAGIC:
        return None
    try:
        found = parse(data, visit.budget)
    except BrokenError as error:
        visit.note(source, rules.UNREADABLE_STREAM, str(error))
        return "parquet"
    _check_schema(source, visit, found)
    _check_size(source, visit, found)
    for start, stop in found.gaps(len(data)):
        detail = {"bytes": stop - start}
        message = "bytes that no column covers"
        visit.note(source, rules.TRAILING_DATA, message, start, detail)
        visit.scan(source.inner(data[start:stop], "", f"{source.member or ''}@{start}"))
    return "parquet"


def _check_schema(source: Source, visit: Visit, found: Parquet) -> None:
    texts = [*found.notes, *found.notes.values()]
    schema = found.notes.get(_SCHEMA)
    if schema is not None:
        try:
            texts.append(base64.b64decode(schema, validate=True))
        except binascii.Error:
            message = "a schema of Arrow that cannot be read"
            visit.note(source, rules.UNREADABLE_STREAM, message)
    if any(_PICKLED in text for text in texts):
        message = "a column type that carries a pickle"
        visit.note(source, rules.ATTACK_CONSTRUCTION, message, None, {"type": _PICKLED.decode()})


def _check_size(source: Source, visit: Visit, found: Parquet) -> None:
    """Compare what the pages and the rows unpack to with the limits."""
    least = max(found.unpacked, sum(chunk.rows for chunk in found.chunks))
    limits = visit.limits
    if least > min(limits.artifact, max(64 * 2**20, limits.expansion * len(source.data))):
        message = "the table unpacks to too much: raise limits.artifact or limits.expansion"
        visit.note(source, rules.LIMIT_EXCEEDED, message, None, {"bytes": least})
