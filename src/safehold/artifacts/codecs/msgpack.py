"""The `msgpack` codec: plain values, arrays and common standard types, without loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from safehold.artifacts.codecs import Encoded, Reading
from safehold.artifacts.codecs.values import TAGS, Flattener, rebuild
from safehold.errors import DecodeError, LimitExceeded

_CODES = {tag: code for code, tag in enumerate(TAGS)}
_encode = msgspec.msgpack.Encoder().encode


def encode(value: object, depth: int) -> Encoded:
    """Encode `value`. Raises EncodeError, LimitExceeded."""
    flat = Flattener(_tag, depth, text=False).flatten(value)
    return Encoded([_encode(flat)])


def decode(segments: Sequence[memoryview], reading: Reading) -> object:  # noqa: ARG001
    """Decode verified bytes. Raises DecodeError, LimitExceeded."""
    try:
        return _decoder.decode(segments[0])
    except RecursionError as error:
        message = "the data is nested too deeply"
        raise LimitExceeded(message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"not valid MessagePack: {error}"
        raise DecodeError(message) from error


def _tag(tag: str, plain: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(_CODES[tag], _encode(plain))


def _untag(code: int, data: memoryview) -> Any:
    if not 0 <= code < len(TAGS):
        message = f"unknown MessagePack extension {code}"
        raise DecodeError(message)
    return rebuild(TAGS[code], _decoder.decode(data))


_decoder = msgspec.msgpack.Decoder(ext_hook=_untag)
