"""Tripwires tell what looks like an attack; nothing is blocked."""

from __future__ import annotations

import time

import pytest

from safehold.events import Event, Recorder
from safehold.inputs import detecting
from safehold.inputs.detecting import detect, record_tripwires
from safehold.inputs.requests import Inputs
from safehold.inputs.tripwires import TRIPWIRES
from safehold.inputs.tripwires.scripting import SCRIPTING

EXAMPLES = [(row, text) for row in TRIPWIRES for text in row.harmful]
ENCODED = (
    ("%3Cscript%3Ealert(1)%3C/script%3E", "SH521", "decoded"),
    ("%253Cscript%253E", "SH521", "decoded twice"),
    ("&lt;script&gt;", "SH521", "HTML"),
    ("1 UNION/**/SELECT NULL", "SH520", "without comments"),
)


@pytest.mark.parametrize("row", TRIPWIRES, ids=lambda row: row.rule.id)
def test_does_nothing_to_harmless_examples(row):
    assert len(row.harmless) >= 3
    for text in row.harmless:
        assert detect(text) == [], text


@pytest.mark.parametrize(("row", "text"), EXAMPLES, ids=[row.rule.id for row, _ in EXAMPLES])
def test_each_harmful_example_is_found_by_its_rule(row, text):
    found = {finding.rule.id: finding for finding in detect(text)}
    assert row.rule.id in found
    assert text not in repr(found[row.rule.id].as_json())


@pytest.mark.parametrize(("text", "rule", "layer"), ENCODED)
def test_what_a_text_decodes_to_is_looked_at(text, rule, layer):
    layers = {finding.rule.id: finding.detail["layer"] for finding in detect(text)}
    assert layers[rule] == layer


def test_recording_tells_and_lets_pass():
    events: list[Event] = []

    class Kept:
        def export(self, event: Event) -> None:
            events.append(event)

    inputs = Inputs({"a": "1 OR 1=1", "b": "x' OR 'a'='a", "c": "O'Brien"})
    assert [finding.rule.id for finding in record_tripwires(inputs, Recorder(Kept()))] == ["SH520"]
    assert [(event.outcome, event.rule) for event in events] == [("allowed", "SH520")]
    assert "1=1" not in repr(events)


def test_each_rule_is_told_once_for_a_text():
    found = detect("1 OR 1=1 %31 OR 1=1")
    assert [finding.rule.id for finding in found] == ["SH520"]


@pytest.mark.parametrize("piece", [
    "'", "<", " ", "\n", ".", "../", "%25", "%", "&", ";", "or ", "|", "(", "' ", "{{", "a", "\u0430", "=",
    "<a ", "&#", "..", "union ", "select ", "1", "/*", "' or ", "on", ")", "-", "java ", "%c0", "\\x41", "$(",
])  # fmt: skip
def test_looking_takes_linear_time(piece):
    text = piece * (40_000 // len(piece))
    started = time.process_time()
    detect(text)
    assert time.process_time() - started < 20  # quadratic: minutes


def test_beyond_a_million_characters_nothing_is_looked_at():
    assert detect("x" * detecting._LONGEST + "<script>") == []


def test_tags_that_do_not_end_are_not_read_again_for_each_that_begins():
    # `[^>]` would go over each of the following ones again.
    assert "[^>]" not in SCRIPTING.pattern.pattern
