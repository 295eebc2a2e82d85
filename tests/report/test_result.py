"""Fingerprints and exit codes."""

from __future__ import annotations

from safehold.findings import Finding, Location
from safehold.report.result import code_of, entry_of, items_of
from safehold.scan import FileReport, Verdict, scan_bytes
from safehold.scan.rules import UNKNOWN_GLOBAL
from tests.bypasses.payloads import named, stream
from tests.report.samples import EVIL, GOOD, UNKNOWN, archive


def prints(data: bytes) -> list[str]:
    return [item.fingerprint for item in items_of(scan_bytes(data))]


def test_a_finding_that_moved_has_the_same_fingerprint():
    first, moved = (scan_bytes(data) for data in (EVIL, GOOD + EVIL))
    (here,) = items_of(first)
    (there,) = (item for item in items_of(moved) if item.finding.rule.id == here.finding.rule.id)

    assert here.finding.location.offset != there.finding.location.offset
    assert here.fingerprint == there.fingerprint


def test_where_an_inner_stream_starts_is_no_part_of_it():
    def one(member):
        where = Location("a", member=member)
        finding = Finding.of(UNKNOWN_GLOBAL, "m", where)
        return FileReport("a", "pickle", Verdict.SUSPICIOUS, (finding,))

    found = [
        next(items_of(one(name))).fingerprint for name in ("x@10|gzip", "x@99|gzip", "y@10|gzip")
    ]

    assert found[0] == found[1] != found[2]


def test_other_names_members_and_rules_have_other_fingerprints():
    found = [
        *prints(EVIL),
        *prints(UNKNOWN),
        *prints(stream(named("app", "Other"))),
        *prints(archive(("a.pkl", EVIL), ("b.pkl", EVIL))),
    ]

    assert len(found) == 5
    assert len(set(found)) == 5


def test_two_findings_of_the_same_words_in_one_file_differ(tmp_path):
    from safehold.policy import default_policy
    from safehold.source import audit_source

    text = b"import pickle\npickle.loads(b'')\npickle.loads(b'')\n"
    audit = audit_source(text, "a.py", default_policy(tmp_path))
    report = FileReport("a.py", "python", Verdict.SUSPICIOUS, audit.findings)

    found = [item.fingerprint for item in items_of(report)]

    assert len(found) == len(set(found)) == 2


def test_codes():
    clean, unknown = (entry_of(scan_bytes(data)) for data in (GOOD, UNKNOWN))
    unread = entry_of(FileReport("x", "unknown", Verdict.ERROR))
    odd = entry_of(FileReport("x", "unknown", Verdict.SUSPICIOUS))

    assert code_of([clean]) == 0
    assert code_of([clean, unknown]) == 1
    assert code_of([odd]) == 1
    assert code_of([unknown, unread, clean]) == 2
