"""The msgpack codec: native values as they are, the rest as extensions."""

from __future__ import annotations

import msgspec
import pytest

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.artifacts.codecs import msgpack as codec
from safehold.artifacts.codecs.values import TAGS
from safehold.errors import DecodeError, LimitExceeded

READING = Reading(AllowList.of(), 64)


def decode(data: bytes) -> object:
    return codec.decode([memoryview(data)], READING)


def test_native_values_are_native():
    value = {"a": [1, 2.5, None, True, "ü", b"\x00"], "b": {}, "$tuple": [1]}
    (data,) = codec.encode(value, 64).segments
    assert msgspec.msgpack.decode(data) == value


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x92\x01", b"\x01\x02", b"\xa2a", b"\xa1\xff", b"\xdd\xff\xff\xff\xff",
     b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xd4\x7f\x00", b"\xd4\xff\x00",
     b"\xd4\x00\x01", b"\xd4\x0e\x90"],
    ids=range(13),
)  # fmt: skip
def test_what_is_not_valid_is_a_decode_error(data):
    with pytest.raises(DecodeError):
        decode(data)


def test_depth_ends_in_a_typed_error():
    with pytest.raises((LimitExceeded, DecodeError)):
        decode(b"\x91" * 10**6)
    data = b"\xc0"
    for _ in range(3000):  # extensions within extensions
        body = b"\x91" + data
        data = b"\xc9" + len(body).to_bytes(4, "big") + b"\x00" + body
    with pytest.raises((LimitExceeded, DecodeError)):
        decode(data)


@pytest.mark.parametrize("code", [len(TAGS), 100, -1, -128, 127])
def test_an_unknown_extension_is_refused(code):
    data = msgspec.msgpack.encode(msgspec.msgpack.Ext(code, b"\xc0"))
    with pytest.raises(DecodeError):
        decode(data)
