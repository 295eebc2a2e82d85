"""Hostile text: nothing of it acts on a terminal, a page or a runner."""

from __future__ import annotations

import json

import pytest

from safehold.report.shown import escaped, json_text, log_line


@pytest.mark.parametrize(
    "char", ["\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\u2028", "\udcff", "\n"]
)
def test_what_does_not_print_becomes_an_escape(char):
    assert escaped(f"a{char}b").isprintable()
    assert escaped(f"a{char}b") != "ab"


@pytest.mark.parametrize(
    "text", ["plain", "naïve ✓ 漢字 🙂", "a :: b", "C::method", "# ## x", "#[x]"]
)
def test_does_nothing_to_other_text(text):
    assert log_line(text) == text


def test_beyond_the_first_plane_an_escape_has_eight_digits():
    assert escaped("\U000e0001") == "\\U000e0001"


@pytest.mark.parametrize(
    "text",
    [
        "::error::x", "  ::set-output name=a::b", "##[add-path]/tmp", "a ##[error]b",
        "x ##vso[task.setvariable]y", "##teamcity[x]", "##VSO[x]", "###[x]",
    ],
)  # fmt: skip
def test_no_line_is_a_command_of_a_runner(text):
    shown = log_line(text)

    assert not shown.lstrip().startswith("::")
    assert not any(mark in shown.lower() for mark in ("##[", "##vso[", "##teamcity["))


def test_json_is_the_same_value_without_commands():
    value = {"##[error]a": ["##vso[b]", "####", "\u202e", "\\##"]}

    text = json_text(value)

    assert json.loads(text) == value
    assert "##" not in text
    assert text.isascii()


def test_json_of_numbers_that_it_does_not_have():
    assert json.loads(json_text({"a": float("nan"), "b": float("-inf"), "c": b"d"})) == {
        "a": "nan", "b": "-inf", "c": "b'd'",
    }  # fmt: skip
