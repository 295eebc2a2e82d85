"""Bytes that an argument of a call holds, in each way in which pickles write bytes."""

from __future__ import annotations

from typing import Any, Final

from safehold.scan.values import Blob, Data, Global, Made

_ENCODE: Final = ("_codecs", "encode")
_LATIN1: Final = frozenset({"latin1", "latin-1"})


def carried(data: Data, value: Any) -> Data | None:
    """Return the bytes of an argument, or None if it is something else.

    Protocols below 3 write them as a call that encodes a text.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, Blob) and value.kind == "bytes":
        return data[value.start : value.stop]
    if not (isinstance(value, Made) and isinstance(value.maker, Global)) or value.built:
        return None
    args = value.args
    if (value.maker.module, value.maker.name) != _ENCODE or not isinstance(args, tuple):
        return None
    if len(args) != 2 or not isinstance(args[1], str) or args[1] not in _LATIN1:
        return None
    text = _text(data, args[0])
    try:
        return None if text is None else text.encode("latin-1")
    except UnicodeEncodeError:
        return None


def _text(data: Data, value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, Blob):
        return None
    codec = {"str": "utf-8", "text": "raw-unicode-escape"}.get(value.kind)
    try:
        return None if codec is None else str(data[value.start : value.stop], codec)
    except UnicodeDecodeError:
        return None
