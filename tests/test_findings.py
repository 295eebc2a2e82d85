from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter

import pytest
from cvss import CVSS4

from safehold.findings import Confidence, Finding, Location, Rule, Severity
from safehold.policy import EVERY_TYPE
from scripts import reference

pytestmark = pytest.mark.extras  # rules are found by importing every module

RULES = reference.rules()


def test_there_are_rules_to_check():
    assert {"SH101", "SH115", "SH151"} <= {rule.id for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_score_is_what_its_vector_gives(rule):
    assert float(CVSS4(rule.cvss).base_score) == rule.score
    assert rule.cvss == CVSS4(rule.cvss).clean_vector()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_severity_is_not_above_what_the_score_says(rule):
    named = Severity[CVSS4(rule.cvss).severity.upper().replace("NONE", "INFO")]
    assert rule.severity <= named


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule_is_complete(rule):
    assert re.fullmatch(r"SH[1-6]\d\d", rule.id)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    assert rule.cwe > 0
    assert rule.fix in ("safe", "unsafe", "none")
    for text in (rule.title, rule.why, rule.remedy):
        assert text
        assert text.isprintable()
        assert text == text.strip()
    assert all(link.startswith("https://") for link in rule.references)


@pytest.mark.parametrize("field", ["id", "name", "title"])
def test_nothing_is_called_the_same(field):
    counts = Counter(getattr(rule, field) for rule in RULES)
    assert [text for text, count in counts.items() if count > 1] == []


@pytest.mark.parametrize(
    "value", [EVERY_TYPE, Location("a"), Finding.of(EVERY_TYPE, "m", Location())]
)
def test_values_are_frozen(value):
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "other")
    with pytest.raises((AttributeError, TypeError)):
        value.invented = 1


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (Location(), ""),
        (Location("a.py"), "a.py"),
        (Location("a.py", line=3), "a.py:3"),
        (Location("a.py", line=3, column=7), "a.py:3:7"),
        (Location("a.py", column=7), "a.py"),
        (Location("m.pkl", offset=0), "m.pkl@0"),
        (Location("m.pt", offset=12, member="archive/data.pkl"), "m.pt!archive/data.pkl@12"),
        (Location("m.pt", line=1, offset=12), "m.pt:1"),
    ],
)
def test_location_reads_as_a_place(location, text):
    assert str(location) == text


def test_finding_takes_severity_and_remedy_of_its_rule():
    finding = Finding.of(EVERY_TYPE, "m", Location("p"))
    assert finding.severity is EVERY_TYPE.severity
    assert finding.remedy == EVERY_TYPE.remedy
    assert finding.confidence is Confidence.HIGH


def test_given_values_win_even_when_they_are_the_lowest():
    finding = Finding.of(
        EVERY_TYPE, "m", Location(), severity=Severity.INFO, confidence=Confidence.LOW, remedy="r"
    )
    assert (finding.severity, finding.confidence) == (Severity.INFO, Confidence.LOW)
    assert finding.remedy == "r"


def test_json_has_the_documented_shape():
    rule = Rule("SH101", "n", "t", "w", "r", Severity.CRITICAL, 502, "v", 10.0)
    where = Location("m.pkl", offset=12, member="archive/data.pkl")
    finding = Finding.of(rule, "m", where, detail={"global": "posix.system"})
    assert json.loads(json.dumps(finding.as_json())) == {
        "rule": "SH101",
        "severity": "critical",
        "confidence": "high",
        "message": "m",
        "location": {"offset": 12, "member": "archive/data.pkl", "line": None},
        "detail": {"global": "posix.system"},
    }


def test_severities_are_ordered():
    order = [Severity.INFO, Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL]
    assert sorted(Severity) == order
    assert [item.label for item in order] == ["info", "low", "medium", "high", "critical"]
    assert [item.label for item in sorted(Confidence)] == ["low", "medium", "high"]
