"""The project's own JSON: its shape is a contract."""

from __future__ import annotations

import json
from dataclasses import replace

from safehold.report.formats import json as own
from safehold.report.result import Item, Result, Suppression, entry_of
from safehold.scan import Scan, scan_bytes
from tests.report.samples import EVIL, GOOD, result, tree


def test_without_a_baseline_it_is_what_the_scan_says():
    reports = [scan_bytes(EVIL, "e.pkl"), scan_bytes(GOOD, "g.pkl")]

    made = own.render(Result(tuple(map(entry_of, reports)), "/", 1))

    assert json.loads(made) == json.loads(json.dumps(Scan(tuple(reports)).as_json()))


def test_with_one_each_finding_says_whether_it_is_known():
    entry = entry_of(scan_bytes(EVIL, "e.pkl"))
    known = tuple(Item(x.finding, x.fingerprint, Suppression("mine")) for x in entry.items)
    entries = (replace(entry, items=known), entry_of(scan_bytes(EVIL, "f.pkl")))

    made = json.loads(own.render(Result(entries, "/", 1, compared=True, stale=("s",))))

    found = [file["findings"][0]["suppressed"] for file in made["files"]]
    assert found == [{"reason": "mine", "expires": None}, None]
    assert made["baseline"] == {"suppressed": 1, "stale": ["s"]}
    assert made["summary"]["malicious"] == 2


def test_printable_ascii_without_commands(tmp_path):
    made = own.render(result(tree(tmp_path)))

    assert made.isascii()
    assert made.replace("\n", "").isprintable()
    assert "##" not in made
