from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safehold.inputs import InputRefused, parse_json
from safehold.inputs.json_text import check_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=40)
@given(VALUES)
def test_does_nothing_to_values(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert parse_json(text) == parse_json(text.encode()) == value


@pytest.mark.parametrize(
    "text", ['"[[[[[{{{"', '["\\"[[[", "\\\\", "]"]', '{"a[{": ["}"]}', " [] ", "1", '"\\ud83d\\ude00"']
)  # fmt: skip
def test_does_nothing_to_brackets_in_strings(text):
    assert parse_json(text, depth=2) == json.loads(text)


@pytest.mark.parametrize("text", ["[" * 33 + "]" * 33, '{"a":' * 33 + "1" + "}" * 33, "[{" * 9**5, "[" * 10**6])  # fmt: skip
def test_depth_is_refused_before_anything_is_parsed(text):
    with pytest.raises(InputRefused, match="in each other") as caught:
        parse_json(text, size=2**21)
    assert caught.value.rule == "SH556"
    assert parse_json("[" * 32 + "]" * 32) is not None
    with pytest.raises(InputRefused):
        parse_json("[" * 10**6 + "]" * 10**6, size=2**22, depth=2**22)


def test_size_is_refused_before_anything_is_parsed():
    assert parse_json('"1234"', size=6) == "1234"
    with pytest.raises(InputRefused, match="6 bytes"):
        parse_json('"12345"', size=6)
    with pytest.raises(InputRefused):
        check_json(b'"' + b"\\" * 2**20)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}', '[{"a": {"b": 1, "\\u0062": 2}}]', "NaN", "[Infinity]", "-Infinity",
        "1e999", "-1e999", "18446744073709551616", "-9223372036854775809", "1" * 5000,
        '"\\ud800"', '{"\\udfff": 1}', '["\\ud83dx"]', "\ufeff1", "", "{", '{"a"}', "[1,]", "'a'",
        "01", "+1", "1 2", '"\n"', "undefined", "/*x*/1", '"\\x"', '"abc', '"abc\\',
    ],
    ids=lambda text: ascii(text)[:30],
)  # fmt: skip
def test_what_readers_answer_differently_is_refused(text):
    with pytest.raises(InputRefused) as caught:
        parse_json(text)
    assert caught.value.rule == "SH556"


@pytest.mark.parametrize(
    "data", [b"\xff", b'"\xc0\xaf"', '"é"'.encode("utf-16"), b"\x00", '"\ud800"']
)
def test_what_is_not_utf_8_is_refused(data):
    with pytest.raises(InputRefused):
        parse_json(data)


@given(st.binary(max_size=300) | st.text('[]{}",:\\u019aed.-+ ', max_size=80).map(str.encode))
def test_any_bytes_are_parsed_or_refused(data):
    try:
        value = parse_json(data, depth=3)
    except InputRefused:
        return
    assert json.loads(data) == value


def test_message_shows_nothing_of_the_text():
    with pytest.raises(InputRefused, match="line 1, column 2") as caught:
        parse_json("{<b>}")
    assert "<" not in str(caught.value)
