"""What a report counts, and what it takes to make a finding go away."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cvss import CVSS4

from safehold.errors import ConfigError
from safehold.findings import Finding, Location, Severity
from safehold.report.risk.controls import FRAMEWORKS, SUBJECTS, subject_of
from safehold.report.risk.document import render_json, render_sarif
from safehold.report.risk.documents import Earlier, Proof, load_accepted
from safehold.report.risk.html import render_html
from safehold.report.risk.looking import Found, Look
from safehold.report.risk.model import risk_of
from safehold.report.risk.scores import FORMULA, score_of, shown
from safehold.report.risk.text import render_markdown, render_text
from safehold.report.rules import all_rules

pytestmark = pytest.mark.extras

RULES = {rule.id: rule for rule in all_rules()}
MADE = datetime(2026, 11, 27, 12, tzinfo=UTC)
TREE = "sha256:" + "a" * 64
PARTS = frozenset({"sources", "artifacts", "policy", "seals", "settings"})
RENDERERS = (render_text, render_markdown, render_html, render_json, render_sarif)


def found(rule="SH151", path="app.py", message="runs what it reads", part="sources", severity=None):
    return Found(part, Finding.of(RULES[rule], message, Location(path), severity=severity))


def look(root, *rows, parts=PARTS, files=("app.py",), made=MADE, read=PARTS):
    return Look(root, made, rows, parts, {part: frozenset(files) for part in read})


def proof(tmp_path, *probes, tree=TREE, digests=frozenset({TREE})):
    rows = [
        {"id": name, "rule": rule, "title": "x", "outcome": said} for name, rule, said in probes
    ]
    path = tmp_path / "proof.json"
    path.write_text(json.dumps({"schema": 1, "tree": tree, "probes": rows}))
    return Proof.load(str(path), digests)


def earlier(tmp_path, risk):
    path = tmp_path / "old.json"
    path.write_text(render_json(risk))
    return Earlier.load(str(path))


def accepted(tmp_path, text):
    path = tmp_path / "accepted.toml"
    path.write_text(text)
    return load_accepted(str(path))


TAKEN = """[[accepted]]
rule = "SH151"
path = "app.py"
owner = "Ann"
reason = "goes in March"
expires = 2026-11-27
"""


def test_nothing_is_open_in_a_look_that_found_nothing(tmp_path):
    risk = risk_of(look(tmp_path), TREE)

    assert (risk.total, risk.taken, risk.residual, risk.rows) == (0, 0, None, ())
    assert not risk.fails(Severity.INFO)
    assert "open risk: 0.0" in render_text(risk)
    assert "residual risk: not measured" in render_text(risk)


def test_an_old_report_with_nothing_closes_nothing(tmp_path):
    before = earlier(tmp_path, risk_of(look(tmp_path), TREE))

    risk = risk_of(look(tmp_path, found()), TREE, before=before)

    assert (risk.closed, len(risk.new), len(risk.trend)) == ((), 1, 2)


def test_mending_any_one_finding_lowers_the_score_by_what_the_formula_says(tmp_path):
    chosen = random.Random(4)
    for _ in range(30):
        rows = [
            found(rule, f"f{number}.py", severity=chosen.choice([None, *Severity]))
            for number, rule in enumerate(chosen.choices(sorted(RULES), k=chosen.randint(1, 12)))
        ]
        whole = risk_of(look(tmp_path, *rows), TREE)
        for row in rows:
            left = risk_of(look(tmp_path, *(one for one in rows if one is not row)), TREE)
            assert whole.total - left.total == score_of(row.finding)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_finding_of_its_rules_severity_has_the_score_of_the_vector(rule):
    finding = found(rule).finding
    assert shown(score_of(finding)) == f"{CVSS4(RULES[rule].cvss).base_score:.1f}"


@pytest.mark.parametrize("severity", list(Severity))
def test_a_finding_of_another_severity_has_a_score_of_that_severity(severity):
    bands = {0: (0, 0), 1: (1, 39), 2: (40, 69), 3: (70, 89), 4: (90, 100)}
    for rule in (one.id for one in RULES.values() if one.severity is not severity):
        lowest, highest = bands[severity]
        assert lowest <= score_of(found(rule, severity=severity).finding) <= highest


def test_no_number_is_taken_from_a_rule_or_a_document(tmp_path):
    lying = replace(RULES["SH151"], score=0.3)
    row = Found("sources", Finding.of(lying, "x", Location("app.py")))
    risk = risk_of(look(tmp_path, row), TREE)
    old = json.loads(render_json(risk))
    old["headline"]["open risk"] = "77.7"
    old["counts"]["critical"] = 777
    old["findings"][0]["score"] = "77.7"
    old["trend"] = [{"made": MADE.isoformat(), "open": "77.7", "findings": 777, "unknown": 0}]
    path = tmp_path / "lying.json"
    path.write_text(json.dumps(old))

    later = look(tmp_path, row, made=MADE + timedelta(days=1))
    again = risk_of(later, TREE, before=Earlier.load(str(path)))

    for render in (render_text, render_markdown, render_html, render_json):
        numbers = re.sub(r"[0-9a-f]{32,}", "", render(again))
        assert not re.search(r"[>\s\"](0\.3|77\.7|777)\b", numbers), render
    assert [point.total for point in again.trend] == [risk.total, risk.total]


def test_every_number_with_a_point_is_one_that_was_computed(tmp_path):
    rows = [found(rule, f"{rule}.py") for rule in ("SH151", "SH302", "SH401")]
    risk = risk_of(look(tmp_path, *rows), TREE)
    computed = {shown(score_of(row.finding)) for row in rows} | {shown(risk.total), "0.0"}
    lines = [line for line in render_text(risk).splitlines() if re.match(r"\d|- \w+ risk", line)]
    assert {number for line in lines for number in re.findall(r"\b\d+\.\d\b", line)} == computed


def test_residual_needs_every_linked_probe_to_hold_on_this_very_tree(tmp_path):
    look_ = look(tmp_path, found())
    held = ("planted-pickle", "SH151", "held")
    cases = {
        "held": proof(tmp_path, held),
        "another tree": proof(tmp_path, held, tree="sha256:" + "b" * 64),
        "no tree": proof(tmp_path, held, tree="", digests=frozenset({TREE, ""})),
        "one not tried": proof(tmp_path, held, ("other", "SH151", "not-tried")),
        "one got in": proof(tmp_path, held, ("other", "SH151", "got-in")),
        "another rule": proof(tmp_path, ("sql-injection", "SH201", "held")),
    }
    residuals = {
        name: risk_of(look_, TREE, proof=one).rows[0].residual for name, one in cases.items()
    }
    left = residuals.pop("held")
    assert left is not None
    assert left < risk_of(look_, TREE).total
    assert set(residuals.values()) == {None}
    assert risk_of(look_, TREE, proof=cases["another tree"]).residual is None
    assert risk_of(look_, TREE, proof=cases["held"]).total == risk_of(look_, TREE).total


def test_an_attack_that_got_in_is_a_finding_also_where_no_check_found_one(tmp_path):
    risk = risk_of(
        look(tmp_path), TREE, proof=proof(tmp_path, ("sql-injection", "SH201", "got-in"))
    )
    assert [row.finding.rule.id for row in risk.open] == ["SH201"]
    assert risk.fails(Severity.HIGH)


def test_an_attack_without_a_rule_fails_the_report_and_is_shown(tmp_path):
    risk = risk_of(look(tmp_path), TREE, proof=proof(tmp_path, ("strange", "SH999", "got-in")))
    assert risk.fails(Severity.CRITICAL)
    assert "probe strange got in" in render_html(risk)


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        ({}, True),
        ({"parts": PARTS - {"sources"}}, False),
        ({"files": ()}, False),
        ({"read": PARTS - {"sources"}}, False),  # another part read it
    ],
)
def test_a_finding_is_closed_only_if_its_check_ran_on_its_file(now, closed, tmp_path):
    (tmp_path / "app.py").touch()
    first = risk_of(look(tmp_path, found()), TREE)

    risk = risk_of(look(tmp_path, **now), TREE, before=earlier(tmp_path, first))

    assert (len(risk.closed), len(risk.open)) == ((1, 0) if closed else (0, 1))
    assert risk.total == (0 if closed else first.total)
    again = risk_of(look(tmp_path, **now), TREE, before=earlier(tmp_path, risk))
    assert again.total == risk.total  # it does not fall out of the chain of reports


def test_a_finding_in_a_file_that_is_gone_is_closed_as_such(tmp_path):
    first = risk_of(look(tmp_path, found()), TREE)
    risk = risk_of(look(tmp_path, files=()), TREE, before=earlier(tmp_path, first))
    assert [one.evidence for one in risk.closed] == [
        "its file is gone, and its check (sources) ran"
    ]


def test_a_finding_stays_open_while_its_probe_gets_in(tmp_path):
    first = risk_of(look(tmp_path, found()), TREE)
    got_in = proof(tmp_path, ("planted-pickle", "SH151", "got-in"))
    risk = risk_of(look(tmp_path), TREE, proof=got_in, before=earlier(tmp_path, first))
    assert not risk.closed
    assert "a linked probe gets in" in render_text(risk)


@pytest.mark.parametrize(("said", "closed"), [("held", 1), ("not-tried", 0), (None, 0)])
def test_an_attack_that_got_in_is_closed_by_its_probe_alone(said, closed, tmp_path):
    got_in = proof(tmp_path, ("sql-injection", "SH201", "got-in"))
    before = earlier(tmp_path, risk_of(look(tmp_path), TREE, proof=got_in))
    now = proof(tmp_path, ("sql-injection", "SH201", said)) if said else None
    risk = risk_of(look(tmp_path), TREE, proof=now, before=before)
    assert (len(risk.closed), len(risk.open)) == (closed, 1 - closed)


def test_a_path_that_leads_out_of_the_tree_closes_nothing(tmp_path):
    for path in ("/no/such", "../no", "a/../../no"):
        first = risk_of(look(tmp_path, found(path=path)), TREE)
        assert not risk_of(look(tmp_path), TREE, before=earlier(tmp_path, first)).closed


def test_a_finding_of_an_unknown_rule_stays_and_fails(tmp_path):
    old = json.loads(render_json(risk_of(look(tmp_path, found()), TREE)))
    old["findings"][0]["rule"] = "SH998"
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    risk = risk_of(look(tmp_path), TREE, before=Earlier.load(str(path)))
    assert risk.fails(Severity.CRITICAL)
    assert "SH998 app.py" in render_text(risk)


def test_an_accepted_risk_is_shown_and_not_counted_until_it_expires(tmp_path):
    rows = accepted(tmp_path, TAKEN)
    today = risk_of(look(tmp_path, found()), TREE, accepted=rows)
    assert (today.total, today.taken > 0) == (0, True)
    assert not today.fails(Severity.INFO)
    for render in RENDERERS:
        assert "Ann" in render(today)
        assert "goes in March" in render(today)
    later = look(tmp_path, found(), made=MADE + timedelta(days=1))
    over = risk_of(later, TREE, accepted=rows)
    assert (over.total, over.taken) == (today.taken, 0)
    assert "so it counts again" in render_text(over)


def test_an_acceptance_is_of_one_rule_in_one_file(tmp_path):
    rows = accepted(tmp_path, TAKEN)
    risk = risk_of(look(tmp_path, found(path="b.py"), found("SH302")), TREE, accepted=rows)
    assert (len(risk.open), risk.idle) == (2, rows)
    assert "accepts nothing: SH151 app.py" in render_text(risk)


def test_the_acceptance_of_the_page_and_its_formula_are_true(tmp_path):
    page = (Path(__file__).parents[3] / "docs/how-to/report.md").read_text("utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(accepted(tmp_path, block)) == 1
    said = "low 0.1 to 3.9, medium 4.0 to 6.9, high 7.0 to 8.9, critical 9.0 to 10.0, info 0"
    assert said in " ".join(page.split())
    assert said in FORMULA


@pytest.mark.parametrize("key", ["rule", "path", "owner", "reason", "expires"])
def test_an_acceptance_that_lacks_something_is_refused(key, tmp_path):
    text = re.sub(rf"(?m)^{key} = .*\n", "", TAKEN)
    with pytest.raises(ConfigError, match="owner, reason and expires"):
        accepted(tmp_path, text)


@pytest.mark.parametrize("value", ['""', '"  "'])
def test_an_acceptance_needs_words(value, tmp_path):
    with pytest.raises(ConfigError):
        accepted(tmp_path, TAKEN.replace('"Ann"', value))


def test_each_weakness_belongs_to_one_subject_and_each_subject_to_every_framework():
    assert [rule.id for rule in RULES.values() if subject_of(rule) is None] == []
    numbers = [number for subject in SUBJECTS for number in subject.weaknesses]
    assert len(numbers) == len(set(numbers))
    assert {len(subject.controls) for subject in SUBJECTS} == {len(FRAMEWORKS)}


def test_the_page_runs_nothing_loads_nothing_and_keeps_its_own_policy(tmp_path):
    nasty = '"><script>alert(1)</script><img src=x onerror=y style=z>'
    first = earlier(tmp_path, risk_of(look(tmp_path), TREE))
    later = look(tmp_path, found(path=nasty, message=nasty), made=MADE + timedelta(days=1))
    shown_ = render_html(risk_of(later, TREE, before=first))
    assert "Content-Security-Policy" in shown_
    assert "default-src 'none'" in shown_
    tags = re.findall(r"<[a-z][^>]*>", shown_)
    assert not [
        tag for tag in tags if re.search(r"<(script|img|link|iframe)|\s(style|on\w+|src)=", tag)
    ]
    assert "<polyline" in shown_


def test_markdown_holds_no_markup_of_what_was_scanned(tmp_path):
    risk = risk_of(look(tmp_path, found(message="[a](http://b) <b> `c`\n# d")), TREE)
    assert "](" not in render_markdown(risk)
    assert "<b>" not in render_markdown(risk)
    assert "\n# d" not in render_markdown(risk)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"safehold": "risk"}', "\x00"])
def test_what_is_no_report_is_refused(text, tmp_path):
    Path(tmp_path / "x").write_text(text)
    with pytest.raises(ConfigError):
        Earlier.load(str(tmp_path / "x"))
    with pytest.raises(ConfigError):
        Proof.load(str(tmp_path / "x"), frozenset({TREE}))
