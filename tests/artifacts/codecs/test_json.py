"""The json codec: text for other tools, tags that nothing can imitate."""

from __future__ import annotations

import json

import pytest

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.artifacts.codecs import json as codec
from safehold.errors import DecodeError, LimitExceeded

READING = Reading(AllowList.of(), 64)


def decode(data: bytes, depth: int = 64) -> object:
    return codec.decode([memoryview(data)], Reading(AllowList.of(), depth))


def encode(value: object) -> bytes:
    (segment,) = codec.encode(value, 64).segments
    return bytes(segment)


def test_plain_values_are_plain_json():
    value = {"a": [1, 2.5, None, True, "ü"], "b": {}}
    assert json.loads(encode(value)) == value


def test_other_values_are_objects_with_one_key():
    assert encode((1, 2)) == b'{"$tuple":[1,2]}'
    assert encode({1: 2}) == b'{"$pairs":[[1,2]]}'
    assert encode(b"ab") == b'{"$bytes":"YWI="}'
    assert encode({"$tuple": [1]}) == b'{"$pairs":[["$tuple",[1]]]}'


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"nul", b"[1,]", b'{"a":1}x', b"\xff", b'"\\ud800"', b"NaN", b"'a'", b"\0",
     b'{"$tuple":1}', b'{"$unknown":1}', b'{"$bytes":"*"}', b'{"$int":"zz"}', b'{"$":1}'],
)  # fmt: skip
def test_what_is_not_valid_is_a_decode_error(data):
    with pytest.raises(DecodeError):
        decode(data)


def test_depth_has_a_limit():
    with pytest.raises(LimitExceeded, match="nested too deeply"):
        decode(b"[" * 200 + b"]" * 200)
    with pytest.raises((LimitExceeded, DecodeError)):
        decode(b"[" * 10**6)
    assert decode(b"[" * 10 + b"]" * 10, depth=5)
    with pytest.raises(LimitExceeded):
        decode(b"[" * 11 + b"]" * 11, depth=5)


def test_an_object_with_more_than_a_tag_is_an_object():
    assert decode(b'{"$tuple":[1],"a":2}') == {"$tuple": [1], "a": 2}


def test_of_duplicate_keys_the_last_counts():
    assert decode(b'{"a":1,"a":2}') == {"a": 2}


def test_nothing_is_imported_or_called_by_name(monkeypatch):
    monkeypatch.setattr("builtins.__import__", lambda *_: pytest.fail("imported"))
    with pytest.raises(DecodeError):
        decode(b'{"$os.system":"true"}')
