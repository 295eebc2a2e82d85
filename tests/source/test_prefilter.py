"""Which rules a source is parsed for: never fewer than could find something."""

from __future__ import annotations

import pytest

from safehold.source.check import MIGRATED_ALONE, PREFILTER
from safehold.source.rules import MIGRATED, RULES

HINTED = [row for row in RULES if row.hints]


def ids(rows):
    return {row.rule.id for row in rows}


@pytest.mark.parametrize("row", HINTED, ids=lambda row: row.rule.id)
def test_every_bad_example_is_parsed_for_its_rule(row):
    for example in row.bad:
        assert row in PREFILTER.wanted(example.before.encode())


def test_nothing_is_parsed_for_prose_and_other_names():
    source = b"# evaluation, executing, system of shells\nmodel.evaluate(retrieve_password)\n"
    assert PREFILTER.wanted(source) == ()


def test_a_hint_brings_its_own_rule_alone():
    assert ids(PREFILTER.wanted(b"import os\nos.system(x)\n")) == {"SH502"}


def test_a_name_brings_the_rules_without_hints():
    wanted = ids(PREFILTER.wanted(b"import pickle\n"))
    assert wanted == {row.rule.id for row in RULES if not row.hints}


def test_full_width_letters_are_read_as_python_reads_them():
    assert "SH501" in ids(PREFILTER.wanted("\uff45\uff56\uff41\uff4c(x)\n".encode()))


@pytest.mark.parametrize("data", [b"x\0", b"# coding: utf-7\n", b"# coding: none\n", b"\xff"])
def test_what_cannot_be_searched_is_parsed_for_all(data):
    assert PREFILTER.wanted(data) == RULES
    assert MIGRATED_ALONE.wanted(data) == MIGRATED


def test_a_hint_holds_at_any_of_its_places():
    assert "SH501" in ids(PREFILTER.wanted(b"retrieval, medieval\nx = eval(y)\n"))
