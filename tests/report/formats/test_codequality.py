"""The list for GitLab: paths as they are called, one fingerprint for each finding."""

from __future__ import annotations

import json
from dataclasses import replace

from safehold.findings import Finding, Location
from safehold.report.formats import codequality
from safehold.report.result import Item, Result, Suppression, entry_of
from safehold.scan import FileReport, Verdict, scan_bytes
from safehold.scan.rules import DANGEROUS_GLOBAL
from tests.report.samples import EVIL, UNKNOWN, archive, result, tree


def rows(made):
    return json.loads(codequality.render(made))


def test_every_finding_is_a_row_of_its_own(tmp_path):
    whole = result(tree(tmp_path))

    found = rows(whole)

    assert len(found) == sum(len(entry.items) for entry in whole.entries)
    assert len({row["fingerprint"] for row in found}) == len(found)
    assert {"evil.pkl", "a b%20.pkl", "\\udcff.pkl"} <= {row["location"]["path"] for row in found}
    assert "##" not in codequality.render(whole)


def test_row():
    where = Location("/base/a.py", line=7)
    finding = Finding.of(DANGEROUS_GLOBAL, "told", where)
    report = FileReport("/base/a.py", "python", Verdict.MALICIOUS, (finding,))

    (row,) = rows(Result((entry_of(report),), "/base", 1))

    assert row["location"] == {"path": "a.py", "lines": {"begin": 7}}
    assert row["severity"] == "blocker"
    assert row["check_name"] == "dangerous-global"
    assert row["description"].startswith("SH101: told. ")


def test_the_same_finding_at_another_path_or_in_a_member_has_another_fingerprint():
    reports = [
        scan_bytes(EVIL, "/base/a.pkl"),
        scan_bytes(EVIL, "/base/b.pkl"),
        scan_bytes(archive(("a.pkl", EVIL)), "/base/c.zip"),
    ]

    found = rows(Result(tuple(map(entry_of, reports)), "/base", 1))

    assert len({row["fingerprint"] for row in found}) == 3
    assert "(in a.pkl)" in found[2]["description"]


def test_known_findings_are_left_out():
    entry = entry_of(scan_bytes(UNKNOWN, "/base/u.pkl"))
    known = tuple(Item(x.finding, x.fingerprint, Suppression()) for x in entry.items)

    assert rows(Result((replace(entry, items=known),), "/base", 0, compared=True)) == []
