"""safehold's own containers: the payload of one that carries code is read like a plain file.

A sidecar is one or two of them without a payload: nothing in it is ever decoded but headers.

The scanner has no key, so it neither trusts nor checks the seal: ``safehold verify`` does.
"""

from __future__ import annotations

from typing import Final

import msgspec

from safehold import sfh1
from safehold.policy import DATA_CODECS
from safehold.scan import rules
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

FIRSTS: Final = sfh1.MAGIC[:1]
# What these hold names nothing that is called, whatever the bytes are.
_VALUES: Final = frozenset({"json", "msgpack"})
# Names that make the payload wanted in a format of artifacts.
_SUFFIX: Final = {"joblib": ".joblib", "skops": ".skops"}


def read(source: Source, visit: Visit) -> str | None:
    """Read every container of a file, one behind the other."""
    if not source.starts(sfh1.MAGIC):
        return None
    position = 0
    kinds: set[bool] = set()
    view = memoryview(source.data)
    while position < len(view):
        if not visit.count_member(source):
            break
        rest = view[position:]
        shape = sfh1.shape_of(rest[: sfh1.PREFIX.size])
        if shape is None or shape.total > len(rest):
            visit.note(source, rules.UNREADABLE_STREAM, "a container that is cut", position)
            break
        kinds.add(shape.detached)
        if len(kinds) > 1:
            message = "a container and a part of a sidecar in one file"
            visit.note(source, rules.UNREADABLE_STREAM, message, position)
        _read_payload(source, visit, rest[: shape.total], shape, position)
        position += shape.total
    return "sidecar" if kinds == {True} else "sfh1"


def holds(data: Data, place: int) -> bool:
    """Say whether the bytes are one container that has `place` in a payload read here in full."""
    view = memoryview(data)
    shape = sfh1.shape_of(view[: sfh1.PREFIX.size])
    if shape is None or shape.detached or shape.total != len(view):
        return False
    if not shape.head <= place < shape.head + shape.payload:
        return False
    try:
        header = sfh1.decode_header(view[shape.start : shape.start + shape.text])
    except msgspec.MsgspecError:
        return False
    if header.codec in _VALUES:
        return False
    return header.codec in DATA_CODECS or len(header.segments) == 1


def _read_payload(
    source: Source, visit: Visit, container: memoryview, shape: sfh1.Shape, position: int
) -> None:
    try:
        header = sfh1.decode_header(container[shape.start : shape.start + shape.text])
        lengths = header.segments
    except msgspec.MsgspecError as error:
        detail = {"error": str(error)[:200]}
        message = "a container whose header cannot be read"
        visit.note(source, rules.UNREADABLE_STREAM, message, position, detail)
        return
    if any(length < 0 for length in lengths) or sfh1.payload_length(lengths) != shape.payload:
        message = "a container whose header contradicts its length"
        visit.note(source, rules.UNREADABLE_STREAM, message, position)
        return
    if header.codec in _VALUES or not lengths or shape.detached:
        return
    if shape.suite.encrypts:
        message = "an encrypted container, which only its key opens; check it with: safehold verify"
        visit.note(source, rules.UNREADABLE_STREAM, message, position)
        return
    payload = container[shape.head : shape.head + shape.payload]
    if header.codec in DATA_CODECS:
        # Its segments together are a file of the codec's own format.
        if header.codec == "bytes":
            message = "bytes for another tool, whose format is not read here"
            visit.note(source, rules.UNREADABLE_STREAM, message, position)
        name = f"{header.codec}@{position}"
        visit.scan(source.inner(bytes(payload), f"payload.{header.codec}", name))
        return
    # The first segment is the stream, the others are raw buffers of arrays.
    stream = sfh1.split(payload, lengths)[0]
    name = f"payload{_SUFFIX.get(header.codec, '.pkl')}"
    member = f"{header.codec}@{position}" if position else name
    inner = source.inner(bytes(stream), name, member, buffers=len(lengths) > 1)
    visit.scan(inner)
