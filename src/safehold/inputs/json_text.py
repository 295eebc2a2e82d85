"""JSON of strangers: bounded before it is parsed, and with one meaning for every reader.

Refused are texts that RFC 8259 leaves open and readers answer differently: equal names in an object
(one takes the first, one the last), NaN and Infinity, numbers beyond 64 bits or the range of a
double, half characters, a byte order mark, bytes that are not UTF-8.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from safehold.errors import InputRefused
from safehold.inputs.rules import JSON

DEPTH, SIZE = 32, 2**20
# A string as a whole, as brackets in it do not count; one that does not end, to the end.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKET = bytes(code for code in range(256) if code not in b"[]{}")
# Without these in the text no number is beyond what is allowed, and none need be looked at.
_LONG = re.compile(rb"[0-9]{19}")
_LARGE = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{300}")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def check_json(data: bytes, *, depth: int = DEPTH, size: int = SIZE) -> None:
    """Check how long and how deep a text is, before anybody parses it.

    Raises:
        InputRefused: it is longer than `size` bytes, or has more than `depth` brackets in each
            other.
    """
    if len(data) > size:
        raise _refused(f"JSON has at most {size} bytes")
    left = brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKET)
    for _ in range(min(depth, DEPTH)):  # each time the innermost ones go
        if not left:
            return
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    deep = 0
    for code in brackets:  # they are deeper, or not in pairs
        deep += 1 if code in b"[{" else -1
        if deep > depth:
            raise _refused(f"JSON has at most {depth} arrays and objects in each other")


def parse_json(data: bytes | str, *, depth: int = DEPTH, size: int = SIZE) -> Any:
    """Return the value of a JSON text.

    Raises:
        InputRefused: it is no JSON, or beyond the limits, or has more than one meaning.
    """
    try:
        raw = data.encode() if isinstance(data, str) else bytes(data)
        check_json(raw, depth=depth, size=size)
        value = json.loads(
            raw.decode(),  # by which json does not guess UTF-16 or UTF-32
            object_pairs_hook=_object,
            parse_int=_integer if _LONG.search(raw) else None,
            parse_float=_real if _LARGE.search(raw) else None,
            parse_constant=_constant,
        )
        if _HALF.search(raw):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise _refused("JSON is UTF-8 and has no half a character") from None
    except RecursionError:  # who allows a depth that the parser does not have
        raise _refused("JSON is deeper than it can be read") from None
    except json.JSONDecodeError as error:
        raise _refused(f"this is no JSON: line {error.lineno}, column {error.colno}") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _refused("an object of JSON has a name twice")
    return found


def _integer(text: str) -> int:
    if len(text) <= 20:
        number = int(text)
        if -(2**63) <= number < 2**64:
            return number
    raise _refused("a number of JSON has at most 64 bits")


def _real(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _refused("a number of JSON is within the range of a double")
    return number


def _constant(text: str) -> float:
    del text
    raise _refused("JSON has neither NaN nor Infinity")


def _refused(why: str) -> InputRefused:
    return InputRefused(why, rule=JSON.id)
