"""The page: runs nothing, loads nothing, shows everything."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from safehold.report.formats import html
from safehold.report.result import Item, Result, Suppression, entry_of
from safehold.scan import scan_bytes
from tests.report.samples import EVIL, GOOD, UNKNOWN, result, tree


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.levels: list[int] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.attributes |= set(values)
        self.ids |= {values["id"]} if "id" in values else set()
        self.links |= {values["href"]} if "href" in values else set()
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page(tmp_path):
    return html.render(result(tree(tmp_path)))


def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


def test_well_formed_without_script_or_anything_from_elsewhere(page):
    reader = read(page)

    assert reader.open == []
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(reader.tags)
    assert not {name for name in reader.attributes if name.startswith("on")}
    assert not {"src", "style", "srcset", "action"} & reader.attributes
    assert all(link.startswith("#") and link[1:] in reader.ids for link in reader.links)


def test_the_policy_lets_in_the_one_style_by_its_hash(page):
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]

    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "unsafe" not in policy


def test_names_and_content_act_on_nothing(page):
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.replace("\n", "").isprintable()
    assert not re.search(r"##(\[|vso|teamcity)", page)
    assert not any(line.lstrip().startswith("::") for line in page.splitlines())


def test_files_are_grouped_by_verdict_and_the_clean_ones_closed(page):
    found = re.findall(r'<details class="rule (\w+)"( open)?>', page)

    assert found == [
        ("malicious", " open"), ("error", " open"), ("suspicious", " open"), ("clean", ""),
    ]  # fmt: skip


def test_headings_step_down_one_at_a_time(page):
    levels = read(page).levels

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_finding_stands_with_its_rule(tmp_path):
    whole = result(tree(tmp_path))

    page = html.render(whole)

    rows = page.count("<tr><td>")
    assert rows == sum(len(entry.items) for entry in whole.entries)
    for rule in {item.finding.rule for entry in whole.entries for item in entry.items}:
        assert f'id="{rule.id}"' in page
        assert f"{escape(rule.remedy)}</p>" in page


def test_known_findings_are_shown_with_their_reason():
    entry = entry_of(scan_bytes(UNKNOWN, "u.pkl"))
    known = tuple(Item(x.finding, x.fingerprint, Suppression("<old>")) for x in entry.items)
    made = Result((replace(entry, items=known),), "/", 0, compared=True, stale=("gone: <x>",))

    page = html.render(made)

    assert "known. &lt;old&gt;" in page
    assert "gone: &lt;x&gt;" in page


def test_without_findings_there_are_no_rules():
    page = html.render(Result((entry_of(scan_bytes(GOOD, "g.pkl")),), "/", 0))

    assert "Rules" not in page
    assert "1 file" in page
    assert "malicious" in html.render(Result((entry_of(scan_bytes(EVIL, "e")),), "/", 1))
