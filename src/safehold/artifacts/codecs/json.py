"""The `json` codec: as `msgpack`, in text that other tools can read.

A tagged value is an object with the one key ``$tag``; objects whose own keys start with
``$`` are stored as pairs, so that they cannot be taken for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from safehold.artifacts.codecs import Encoded, Reading
from safehold.artifacts.codecs.values import Flattener, rebuild
from safehold.errors import DecodeError, LimitExceeded

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def encode(value: object, depth: int) -> Encoded:
    """Encode `value`. Raises EncodeError, LimitExceeded."""
    flat = Flattener(_tag, depth, text=True, reserved="$").flatten(value)
    return Encoded([_encode(flat)])


def decode(segments: Sequence[memoryview], reading: Reading) -> object:
    """Decode verified bytes. Raises DecodeError, LimitExceeded."""
    try:
        return _untagged(_decode(segments[0]), reading.depth * 2)
    except RecursionError as error:
        message = "the data is nested too deeply"
        raise LimitExceeded(message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"not valid JSON: {error}"
        raise DecodeError(message) from error


def _tag(tag: str, plain: Any) -> dict[str, Any]:
    return {f"${tag}": plain}


def _untagged(tree: Any, room: int) -> Any:
    kind = type(tree)
    if kind is not list and kind is not dict:
        return tree
    if room <= 0:
        message = "the data is nested too deeply"
        raise LimitExceeded(message)
    if kind is list:
        return [_untagged(item, room - 1) for item in tree]
    plain = {key: _untagged(item, room - 1) for key, item in tree.items()}
    if len(plain) == 1:
        ((key, value),) = plain.items()
        if key.startswith("$"):
            return rebuild(key[1:], value)
    return plain
