"""Text and HTML reports: complete, and harmless whatever files are called."""

from __future__ import annotations

import pickle
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from safehold.policy import default_policy
from safehold.report.assessment import assess
from safehold.report.html import render_html
from safehold.report.rules import all_rules
from safehold.report.text import render_text

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202egpj.pkl"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "app.py").write_text("import pickle\npickle.loads(b'')\n")
    (tmp_path / "models" / "a.pkl").write_bytes(pickle.dumps([1]))
    return tmp_path


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("render", [render_text, render_html])
def test_each_finding_stands_with_place_remedy_and_score(tree, render):
    assessment = assess(default_policy(tree))

    text = render(assessment, "Report")

    assert len(assessment.findings) == 2
    for finding in assessment.findings:
        assert finding.rule.id in text
        assert finding.rule.remedy.split("`")[0].strip() in text
        assert str(finding.location) in text
        assert str(finding.rule.score) in text


def test_html_is_well_formed_and_has_no_script(tree):
    (tree / "models" / HOSTILE.replace("/", "_")).write_bytes(pickle.dumps([1]))
    reader = Reader()

    page = render_html(assess(default_policy(tree)), "<b>Report</b>")
    reader.feed(page)

    assert reader.open == []
    assert not {"script", "b", "img", "link", "iframe"} & set(reader.tags) - {"b"}
    assert "<script" not in page
    assert "<b>Report" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_html_loads_nothing_from_elsewhere(tree):
    page = render_html(assess(default_policy(tree)), "Report")

    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)\s*=", page)


def test_a_name_that_is_not_utf8_is_shown(tree):
    name = b"models/\xff.pkl"
    (tree / Path(name.decode("utf-8", "surrogateescape"))).write_bytes(pickle.dumps([1]))
    assessment = assess(default_policy(tree))

    page = render_html(assessment, "Report").encode()
    text = render_text(assessment, "Report").encode("utf-8", "backslashreplace")

    assert b"udcff" in page
    assert b"udcff" in text


def test_every_rule_is_listed_once_in_order():
    rules = [rule.id for rule in all_rules()]

    assert rules == sorted(set(rules))
    assert {"SH101", "SH111", "SH115", "SH151"} <= set(rules)
