from __future__ import annotations

import pytest

from safehold.scan.rules import RULES


def test_ids_are_sh101_to_sh109_in_order():
    assert [rule.id for rule in RULES] == [f"SH10{number}" for number in range(1, 10)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_texts_are_sentences(rule):
    for text in (rule.why, rule.remedy):
        assert text.endswith(".")
    assert rule.title[0].isupper()
    assert rule.cwe > 0


def test_untrusted_code_is_worth_the_highest_score():
    assert RULES[0].score == RULES[3].score == 10.0
