"""The `json` codec: as `msgpack`, in text that other tools can read.

A tagged value is an object with the one key ``$tag``; objects whose own keys start with
``$`` are stored as pairs, so that they cannot be taken for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from safehold.allow import AllowList
from safehold.artifacts.codecs import Encoded, Reading
from safehold.artifacts.codecs.enums import Naming
from safehold.artifacts.codecs.values import Flattener, rebuild
from safehold.errors import DecodeError, LimitExceeded

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def encode(value: object, depth: int, allow: AllowList | None = None) -> Encoded:
    """Encode `value`; `allow` has its enumerations. Raises EncodeError, LimitExceeded."""
    flattener = Flattener(_tag, depth, text=True, reserved="$", allow=allow)
    return Encoded([_encode(flattener.flatten(value))], names=sorted(flattener.names))


def decode(segments: Sequence[memoryview], reading: Reading) -> object:
    """Decode verified bytes. Raises DecodeError, LimitExceeded, TypeNotAllowed."""
    naming = Naming(reading.allow, reading.imports)
    try:
        return _untagged(_decode(segments[0]), reading.depth * 2, naming)
    except RecursionError as error:
        message = "the data is nested too deeply"
        raise LimitExceeded(message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"not valid JSON: {error}"
        raise DecodeError(message) from error


def _tag(tag: str, plain: Any) -> dict[str, Any]:
    return {f"${tag}": plain}


def _untagged(tree: Any, room: int, naming: Naming) -> Any:
    kind = type(tree)
    if kind is not list and kind is not dict:
        return tree
    if room <= 0:
        message = "the data is nested too deeply"
        raise LimitExceeded(message)
    if kind is list:
        return [_untagged(item, room - 1, naming) for item in tree]
    plain = {key: _untagged(item, room - 1, naming) for key, item in tree.items()}
    if len(plain) == 1:
        ((key, value),) = plain.items()
        if key.startswith("$"):
            return rebuild(key[1:], value, naming)
    return plain
