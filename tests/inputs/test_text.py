from __future__ import annotations

import re
import sys
from typing import Annotated

import pytest

pytestmark = pytest.mark.extras

from pydantic import BaseModel, TypeAdapter, ValidationError

from safehold import inputs
from safehold.inputs.text import Text

LINE, LINES = TypeAdapter(inputs.PlainText[200]), TypeAdapter(inputs.MultilineText[200])
NAME = TypeAdapter(inputs.Identifier)


@pytest.mark.parametrize(
    "text",
    [
        "", "O'Brien", "Robert'); DROP TABLE Students;--", "<script>alert(1)</script>",
        "SELECT * FROM users WHERE 1=1", "../../etc/passwd", "${jndi:ldap}", "{{7*7}}", "=1+1",
        "Zoë Müller-Özdemir", "Ελλάδα", "日本語 １２", "नमस्ते क्‍ष", "می‌خواهم",
        "\u2067שלום\u2069 world", "👩‍👩‍👧", "🏴\U000e0067\U000e0062\U000e007f", "a\u00a0b",
        "\ufeffx", "x" * 200, "😀" * 200,
    ],
)  # fmt: skip
def test_does_nothing_to_what_people_write(text):
    assert LINE.validate_python(text) == LINES.validate_python(text) == text
    assert inputs.PlainText.of(200).check(text) == text


def test_does_nothing_to_lines_and_tabs_where_they_are_expected():
    text = "def f(x):\n\treturn 'a'\r\n\n# end\n"
    assert LINES.validate_python(text) == text


REFUSED = [
    *(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))),
    "\ud800", "\udfff", "\u2028", "\u2029", "\u202d", "\u202e",
]  # fmt: skip


@pytest.mark.parametrize("char", REFUSED, ids=ascii)
@pytest.mark.parametrize("form", ["{}", "a{}", "{}b", "a{}b"])
def test_control_characters_are_refused(char, form):
    text = form.format(char)
    with pytest.raises(ValidationError):
        LINE.validate_python(text)
    with pytest.raises(inputs.InputRefused):
        inputs.PlainText.of(200).check(text)
    if char not in "\n\t":
        with pytest.raises(ValidationError):
            LINES.validate_python(text)
        with pytest.raises(inputs.InputRefused):
            inputs.MultilineText.of(200).check(text)


@pytest.mark.parametrize("value", ["x" * 201, b"x", 1, None, ["x"]])
def test_what_is_no_text_or_too_long_is_refused(value):
    with pytest.raises(ValidationError):
        LINE.validate_python(value)
    with pytest.raises(inputs.InputRefused):
        inputs.PlainText.of(200).check(value)


def test_both_ways_of_checking_agree_on_every_character():
    checked = inputs.PlainText.of(200)
    rust = {code for code in range(sys.maxunicode + 1) if not _takes(LINE.validate_python, code)}
    own = {code for code in range(sys.maxunicode + 1) if not _takes(checked.check, code)}
    assert rust == own == {*map(ord, REFUSED), *range(0xD800, 0xE000)}


def _takes(check, code):
    try:
        check(chr(code))
    except ValueError:
        return False
    return True


def test_half_a_character_in_json_is_refused():
    with pytest.raises(ValidationError):
        LINE.validate_json('"\\ud800"')
    assert LINE.validate_json('"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize("name", ["a", "_id", "user_name", "A1", "x" * 63])
def test_does_nothing_to_names(name):
    assert NAME.validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", "1a", "__class__", "_", "a-b", "a.b", "a b", "é", "a\n", "x" * 64, "ａ"]
)
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValidationError):
        NAME.validate_python(name)


def test_schema_says_the_same_to_clients():
    schema = LINE.json_schema()
    assert (schema["type"], schema["maxLength"]) == ("string", 200)
    assert re.search(schema["pattern"], "O'Brien")
    assert not re.search(schema["pattern"], "a\x00b")


def test_message_says_what_is_expected_and_nothing_of_the_input():
    with pytest.raises(ValidationError) as caught:
        LINE.validate_python("<b>\x00")
    (error,) = caught.value.errors()
    assert error["type"] == "input_refused"
    assert "one line of text of at most 200" in error["msg"]
    assert "<b>" not in error["msg"]


def test_length_has_to_be_given():
    with pytest.raises(TypeError, match=r"PlainText\[200\]"):
        TypeAdapter(inputs.PlainText)
    for most in (0, -1, True, "5"):
        with pytest.raises(TypeError, match=r"PlainText\[200\]"):
            inputs.PlainText[most]


def test_metadata_is_the_same_as_brackets():
    class Form(BaseModel):
        name: Annotated[str, inputs.PlainText.of(5)]

    assert Form(name="abcde").name == "abcde"
    with pytest.raises(ValidationError):
        Form(name="abcdef")
    assert inputs.PlainText[5].__metadata__ == (inputs.PlainText.of(5),)
    assert isinstance(inputs.PlainText.of(5), Text)
