from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.policy.requests import Requests
from safehold.web import limits
from safehold.web.limits import Brackets, Limits, Meter

pytestmark = pytest.mark.bare

JSON = "application/json"


def measured(data, kind=JSON, depth=4, most=10**6, piece=None):
    meter = Meter(most, depth, kind)
    size = piece or max(len(data), 1)
    for start in range(0, len(data), size):
        if refusal := meter.feed(data[start : start + size]):
            return refusal.status, refusal.reason
    return None


@pytest.mark.parametrize(
    "data",
    [
        b"", b"1", b'"[[[[[[["', b"[[[[]]]]", b'{"a":{"b":{"c":{}}}}', b"[[[[]],[[]]],[[[1]]]]",
        b'["\\"[[[[[["]', b'["\\\\",[["[[["]]]', b" \n\t[1]", b"\xef\xbb\xbf[1]",
        b"not json [[[[[[",
        b"[]\n" * 1000, b'{"a\\u0000b": "]]]]"}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("piece", [None, 1, 3])
def test_does_nothing_to_shallow_json(data, piece):
    depth = 6 if data.startswith(b"not") else 4
    assert measured(data, depth=depth, piece=piece) is None


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("text/plain", b"hello [[[[[[[[ world"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n[[[[[[[["),
        ("application/x-www-form-urlencoded", b"a=[[[[[[["),
        ("application/octet-stream", b"[\0[[[[[[["),
        ("application/octet-stream", b"\0\0\0 ftyp[[[[[["),
        ("image/png", b"\x89PNG[[[[[["),
        ("text/csv", b"\xff\xfea\0,\0[\0[\0[\0[\0[\0"),
        ("text/plain", "[section]\n[[[[[[[[".encode("utf-16")),
        ("text/plain", "[note] [[[[[[[[".encode("utf-16-be")),
    ],
)
@pytest.mark.parametrize("piece", [None, 1])
def test_does_nothing_to_other_bodies(kind, data, piece):
    assert measured(data, kind, piece=piece) is None


def test_random_bytes_are_taken_for_no_json():
    source = random.Random(7)
    for first in b"[{\x00 \t":
        for _ in range(200):
            data = bytes([first]) + source.randbytes(4096)
            assert measured(data, "application/octet-stream", depth=64) is None


@pytest.mark.parametrize(
    "data",
    [
        b"[[[[[", b'{"a":[{"b":[{', b"[" * 10**5, b'["x",[[[["', b'["\\"",[[[[',
        b" \n[[[[[", b"\xef\xbb\xbf[[[[[", b'{"a":"' + b"x" * 70_000 + b'","b":[[[[', b"[]]]][[[[[",
        b'["' + b"\\\\" * 40_000 + b'",[[[[',
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [JSON, "text/plain", "application/octet-stream", "", "x/y+json"])
@pytest.mark.parametrize("piece", [None, 1, 7])
def test_deep_json_is_refused_whatever_it_is_called(data, kind, piece):
    if piece and len(data) > 1000:
        piece *= 997
    assert measured(data, kind, piece=piece) == (400, "too deep")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16",
                                      "utf-32"])  # fmt: skip
@pytest.mark.parametrize("kind", [JSON, "text/plain", "", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("piece", [None, 1])
def test_json_in_another_encoding_is_refused(encoding, kind, piece):
    begun = ("[[", '{"a":[', '["a",[', "[1,[", "[-1,[", "[true,[", "[NaN,[", ' {"a":[', "{}")
    for text in begun:
        data = (text + "[" * 100).encode(encoding)
        assert measured(data, kind, piece=piece) == (400, "not UTF-8"), text


def test_json_after_a_control_character_is_no_json():
    json_error = '["\x01", [[[[['
    with pytest.raises(json.JSONDecodeError):
        json.loads(json_error + "]]]]]]")
    assert measured(json_error.encode(), "text/plain") is None
    assert measured(json_error.encode(), JSON) == (400, "too deep")


values = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def depth_of(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(value=values, ascii_=st.booleans(), piece=st.integers(1, 50))
def test_depth_is_the_depth_of_the_value(value, ascii_, piece):
    data = json.dumps(value, ensure_ascii=ascii_).encode("utf-8", "surrogatepass")
    deep = depth_of(value)
    for limit, problem in ((max(deep, 1), ""), (deep - 1, "too deep")):
        if limit < 1 or deep == 0:
            continue
        brackets = Brackets(limit)
        said = [brackets.feed(data[at : at + piece]) for at in range(0, len(data), piece)]
        assert (problem or "") == ("too deep" if "too deep" in said else "")


@given(data=st.binary(max_size=200), piece=st.integers(1, 20))
def test_any_bytes_are_measured(data, piece):
    measured(data, piece=piece)
    measured(b"[" + data, "text/plain", piece=piece)


@pytest.mark.parametrize("piece", [None, 1, 4])
def test_a_body_is_counted_as_it_comes(piece):
    assert measured(b"x" * 10, most=10, piece=piece) is None
    assert measured(b"x" * 11, most=10, piece=piece) == (413, "streamed")


def test_once_refused_everything_is():
    meter = Meter(1, 4)
    assert meter.feed(b"ab") is meter.feed(b"c") is meter.refusal is not None


def declared(length, path="/", **policy):
    refusal = Limits(Requests(**policy)).check(path, {"content-length": length})
    return refusal and (refusal.status, refusal.reason)


def test_a_declared_length_is_refused_before_it_is_read():
    assert declared("10", body=10) is None
    assert declared("11", body=10) == (413, "declared")
    for wrong in ("-1", "+5", "0x1", "1 2", "", "٣", "9" * 30, "5,5", "1_0"):
        assert declared(wrong) == (400, "no length")


def test_the_longest_path_decides_how_large_a_body_may_be():
    policy = {"body": 10, "bodies": (("/up", 100), ("/up/big", 1000))}
    for path, most in (("/", 10), ("/up", 100), ("/upper", 10), ("/up/x", 100), ("/up/../x", 10),
                       ("/up/big", 1000), ("/up/big/a", 1000)):  # fmt: skip
        assert declared(str(most), path, **policy) is None
        assert declared(str(most + 1), path, **policy) == (413, "declared")


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        (JSON, False),
        ("application/json; charset=utf-8", False),
        ('application/json;charset="UTF-8"', False),
        ("application/json; charset=utf-16", True),
        ("application/problem+json; charset=utf-7", True),
        ("text/html; charset=latin-1", False),
    ],
)
def test_json_of_another_charset_is_refused(kind, refused):
    refusal = Limits(Requests()).check("/", {"content-type": kind})
    assert (refusal is not None and refusal.status == 415) == refused


def test_no_expression_looks_twice_at_what_is_hostile():
    """A quantifier begins anew at each quote of a string without an end: 1 MB took 9 seconds."""
    for pattern in (limits._ESCAPES, limits._CONTROL):
        assert not set(b"*+?{|(") & set(pattern.pattern)
    assert measured(b'["' + b'\\"' * 200_000, piece=65_536) is None
    assert measured(b'["' + b'\\"' * 200_000 + b'",[[[[', piece=65_536) == (400, "too deep")
