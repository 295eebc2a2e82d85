from __future__ import annotations

import re

import pytest

from safehold.scan.rules import RULES


def test_ids_are_unique_and_in_order():
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"SH1\d\d", one) for one in ids)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_texts_are_sentences(rule):
    for text in (rule.why, rule.remedy):
        assert text.endswith(".")
    assert rule.title[0].isupper()
    assert rule.cwe > 0


def test_untrusted_code_is_worth_the_highest_score():
    assert RULES[0].score == RULES[3].score == 10.0
