"""The `msgpack` codec: plain values, arrays and common standard types, without loss."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from safehold.allow import AllowList
from safehold.artifacts.codecs import Encoded, Reading
from safehold.artifacts.codecs.enums import Naming
from safehold.artifacts.codecs.values import TAGS, Flattener, rebuild
from safehold.errors import DecodeError, LimitExceeded

_CODES = {tag: code for code, tag in enumerate(TAGS)}
_encode = msgspec.msgpack.Encoder().encode


def encode(value: object, depth: int, allow: AllowList | None = None) -> Encoded:
    """Encode `value`; `allow` has its enumerations. Raises EncodeError, LimitExceeded."""
    flattener = Flattener(_tag, depth, text=False, allow=allow)
    return Encoded([_encode(flattener.flatten(value))], names=sorted(flattener.names))


def decode(segments: Sequence[memoryview], reading: Reading) -> object:
    """Decode verified bytes. Raises DecodeError, LimitExceeded, TypeNotAllowed."""
    decoder = _decoder(Naming(reading.allow, reading.imports))
    try:
        return decoder.decode(segments[0])
    except RecursionError as error:
        message = "the data is nested too deeply"
        raise LimitExceeded(message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"not valid MessagePack: {error}"
        raise DecodeError(message) from error


def _tag(tag: str, plain: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(_CODES[tag], _encode(plain))


@lru_cache(maxsize=64)
def _decoder(naming: Naming) -> msgspec.msgpack.Decoder[Any]:
    """Return a decoder of tagged values; making one costs as much as a small value."""

    def untag(code: int, data: memoryview) -> Any:
        if not 0 <= code < len(TAGS):
            message = f"unknown MessagePack extension {code}"
            raise DecodeError(message)
        return rebuild(TAGS[code], decoder.decode(data), naming)

    decoder = msgspec.msgpack.Decoder(ext_hook=untag)
    return decoder
