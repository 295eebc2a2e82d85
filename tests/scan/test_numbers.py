"""Number and string texts, compared with what the C loader makes of them."""

from __future__ import annotations

import pickle
import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safehold.scan.numbers import parse_float, parse_index, parse_int, parse_long, parse_quoted
from safehold.scan.values import FLOAT

texts = st.text("0123456789xXabfLoO_ +-.eEnij\t\0", max_size=8)


def loaded(data):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unknown escapes
            return pickle.loads(data)
    except (ValueError, pickle.UnpicklingError, OverflowError, EOFError):
        return ValueError


def parsed(parse, line):
    try:
        return parse(line)
    except ValueError:
        return ValueError


@example("0x10")
@example("-0XfF")
@example("017")
@example("0x8000000000000000")
@example("9223372036854775808")
@given(texts)
def test_int(text):
    line = text.encode() + b"\n"
    if len(line) > 1:
        expected = loaded(b"I" + line + b".")
        assert parsed(parse_int, line) == expected
        assert type(parsed(parse_int, line)) is type(expected)


@given(texts)
def test_long(text):
    line = text.encode() + b"\n"
    if len(line) > 1:
        assert parsed(parse_long, line) == loaded(b"L" + line + b".")


@example("1e309")
@example("-1e309")
@example("inf")
@given(texts)
def test_float(text):
    line = text.encode() + b"\n"
    if len(line) > 1:
        refused = loaded(b"F" + line + b".") is ValueError
        assert (parsed(parse_float, line) is ValueError) == refused


@given(texts)
def test_index(text):
    line = text.encode() + b"\n"
    if len(line) > 1:
        found = parsed(parse_index, line)
        works = loaded(b"Np" + line + b".") is None
        assert works == (found is not ValueError and 0 <= found < 10**9)


@example("'\\\u00e9'")
@example("'\\777'")
@given(st.text("'\"\\xnt01234567a\u00e9", max_size=10))
def test_string(text):
    line = text.encode("latin-1") + b"\n"
    if len(line) > 1:
        expected = loaded(b"S" + line + b".")
        found = parsed(parse_quoted, line)
        if isinstance(expected, str) or found is ValueError:
            assert found == expected
        else:
            # What ASCII cannot decode, another `encoding` of the loader can.
            assert not found.isascii()


@pytest.mark.parametrize("parse", [parse_int, parse_long, parse_float])
def test_long_texts_are_not_converted(parse):
    assert parse(b"7" * 100_000 + b"\n") is not None


def test_float_is_not_computed():
    assert parse_float(b"1e30\n") is FLOAT
