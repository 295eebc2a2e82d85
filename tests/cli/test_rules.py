from __future__ import annotations

import json

import pytest

from safehold.report.rules import all_rules
from scripts import reference

pytestmark = pytest.mark.extras  # the reference imports every module


def test_lists_every_rule_that_a_module_holds(call):
    done = call("rules")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == [
        rule.id for rule in reference.rules()
    ]


def test_json_holds_what_the_rules_hold(call):
    document = json.loads(call("rules", "--format", "json").out)
    assert document["schema"] == 1
    assert [row["id"] for row in document["rules"]] == [rule.id for rule in all_rules()]
    for row, rule in zip(document["rules"], all_rules(), strict=True):
        assert row["severity"] == rule.severity.label
        assert (row["cwe"], row["score"], row["cvss"]) == (rule.cwe, rule.score, rule.cvss)


@pytest.mark.parametrize("name", ["SH115", "sh115"])
def test_shows_one_rule_whole(call, name):
    done = call("rules", name)
    assert done.code == 0
    rule = next(rule for rule in all_rules() if rule.id == "SH115")
    for text in (rule.title, rule.why, rule.remedy, f"CWE-{rule.cwe}", rule.cvss, str(rule.score)):
        assert text in done.out
    (row,) = json.loads(call("rules", name, "--format", "json").out)["rules"]
    assert row["id"] == "SH115"


@pytest.mark.parametrize("name", ["SH999", "", "\x1b[31m\n", "pickle"])
def test_unknown_rule_is_an_error_with_the_command_that_lists_them(call, name):
    done = call("rules", name)
    assert done.code == 2
    assert done.out == ""
    assert "list them with: safehold rules" in done.err
    assert done.err.strip().isprintable()


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_every_rule_can_be_shown(call, rule):
    done = call("rules", rule.id)
    assert done.code == 0
    assert all(reference in done.out for reference in rule.references)
