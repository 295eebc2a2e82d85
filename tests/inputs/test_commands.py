"""An input within one word of a command is none of the check's business."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.errors import InputRefused
from safehold.events import Event, Recorder
from safehold.inputs.commands import check_command, verify_command

HARMLESS = (
    ("convert in.png out.png", ["in.png", "out", "-", "/"]),
    ("ls 'a b; c'", ["a b; c"]),
    ('ls "a b; c"', ["a b; c"]),
    ("echo 'it'\"'\"'s' | wc -l", ["s", "'", "|"]),
    ("tail -n -5 log # of anna", ["-5", "anna"]),
    ("cat a*b", ["*"]),
)
HARMFUL = (
    ("ls a; touch marker", ["a; touch marker"]),
    ("ls a b", ["a b"]),
    ("ls a*b", ["a*b"]),
    ("ls $(touch marker)", ["$(touch marker)"]),
    ("ls `touch marker`", ["`touch marker`"]),
    ("ls 'a' b'", ["a' b"]),
    ("ls 'a'; touch 'b'", ["a'; touch 'b"]),
    ('ls "$HOME"', ["$HOME"]),
    ("ls 'x", ["x"]),
    ("ls a\ntouch marker", ["a\ntouch marker"]),
    ("ls ~root", ["~root"]),
    ("tar --use-compress-program=sh x", ["--use-compress-program=sh"]),
    ("cat <<E\nx\nE\n", ["x"]),
    ("ls a # x\ntouch marker", ["x\ntouch marker"]),
    ("ls a #b", ["a #b"]),
    ("echo {a,b}", ["{a,b}"]),
)


@pytest.mark.parametrize(("text", "inputs"), HARMLESS)
def test_does_nothing_to_an_input_within_one_word(text, inputs):
    assert check_command(text, inputs) == []


@pytest.mark.parametrize(("text", "inputs"), HARMFUL)
def test_an_input_that_is_more_than_one_word_is_found(text, inputs):
    assert [item.rule.id for item in check_command(text, inputs)] == ["SH511"]


@given(st.text(alphabet=" ab';|&$(){}<>*?~#!-\n/\\\"`=", min_size=1, max_size=12))
def test_does_nothing_to_what_shlex_quotes_but_for_options(value):
    if "'" in value or value.strip()[:1] == "-":
        return  # shlex writes a quote as several pieces, which is refused for sure
    assert check_command(f"printf %s {shlex.quote(value)}", [value]) == []


def test_verify_records_and_raises():
    events: list[Event] = []

    class Kept:
        def export(self, event: Event) -> None:
            events.append(event)

    verify_command("ls a", ["a"], recorder=Recorder(Kept()))
    with pytest.raises(InputRefused) as caught:
        verify_command("ls a; b", ["a; b"], recorder=Recorder(Kept()))
    assert caught.value.rule == "SH511"
    assert [event.rule for event in events] == ["SH511"]
    with pytest.raises(InputRefused):
        verify_command("ls a; b", ["a; b"])
