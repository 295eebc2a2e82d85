"""The baseline: what is in it does not count, and nothing else is let through by it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest

from safehold.errors import ConfigError
from safehold.findings import Finding, Location
from safehold.report.baseline import Baseline
from safehold.report.result import code_of, entry_of
from safehold.scan import Verdict, scan_paths
from safehold.scan.rules import UNREADABLE_FILE
from tests.report.samples import EVIL, GOOD, UNKNOWN, archive

TODAY = date(2026, 6, 1)
PRINT = "0" * 32
ROW = {
    "rule": "SH102", "path": "a.pkl", "member": None, "fingerprint": PRINT, "sha256": "0" * 64,
    "message": "m", "reason": "", "expires": None,
}  # fmt: skip


def scanned(root, **options):
    return list(scan_paths([root], digests=True, **options))


def written(root, reason="", expires=None, roots=None, whole=True):
    """Write the baseline of a directory beside it and return its path."""
    path = root.parent / "baseline.json"
    old = Baseline.load(str(path), TODAY) if path.exists() else Baseline(str(path), {}, TODAY)
    entries = [old.mark(report) for report in scanned(root)]
    new = old.renewed(entries, roots or [str(root)], reason, expires, whole=whole)
    path.write_text(new.document())
    return path


def code(root, path, today=TODAY):
    baseline = Baseline.load(str(path), today)
    return code_of([baseline.mark(report) for report in scanned(root)])


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "a.pkl").write_bytes(UNKNOWN)
    return folder


def test_what_is_known_does_not_count(root):
    assert code_of(map(entry_of, scanned(root))) == 1
    assert code(root, written(root)) == 0


def test_a_changed_file_is_new(root):
    path = written(root)
    (root / "a.pkl").write_bytes(UNKNOWN + b"\0")

    assert code(root, path) == 1


def test_a_file_that_changed_without_changing_its_finding_is_new(root):
    path = written(root)
    before = scanned(root)[0].findings[0].message
    (root / "a.pkl").write_bytes(UNKNOWN[:2] + b"N0" + UNKNOWN[2:])  # NONE, POP
    assert scanned(root)[0].findings[0].message == before

    assert code(root, path) == 1


def test_another_path_or_member_is_new(root):
    path = written(root)
    (root / "b.pkl").write_bytes(UNKNOWN)

    assert code(root, path) == 1

    (root / "b.pkl").unlink()
    (root / "a.pkl").write_bytes(archive(("m.pkl", UNKNOWN)))
    path = written(root)
    row = json.loads(path.read_text())
    row["findings"][0]["member"] = "n.pkl"
    path.write_text(json.dumps(row))

    assert code(root, path) == 1


def test_a_new_finding_beside_a_known_one_counts(root):
    path = written(root)
    (root / "evil.pkl").write_bytes(EVIL)

    assert code(root, path) == 1


def test_the_baseline_holds_wherever_the_scan_is_started(root, monkeypatch):
    path = written(root)
    monkeypatch.chdir(root)

    baseline = Baseline.load("../baseline.json", TODAY)

    assert code_of(baseline.mark(report) for report in scan_paths(["."], digests=True)) == 0
    assert code(root, path) == 0


def test_without_digests_nothing_is_known(root):
    baseline = Baseline.load(str(written(root)), TODAY)

    assert code_of(baseline.mark(report) for report in scan_paths([root])) == 1


def test_what_could_not_be_read_is_never_known(root):
    (root / "b.pkl").symlink_to("nowhere")
    path = written(root, "we know")

    assert "b.pkl" not in path.read_text()
    assert code(root, path) == 2


def test_what_was_read_in_part_is_never_known(root):
    old = Baseline(str(root.parent / "baseline.json"), {}, TODAY)
    (report,) = scanned(root)
    where = Location(report.path)
    stopped = Finding.of(UNREADABLE_FILE, "the scanner failed", where)
    read = replace(report, findings=(*report.findings, stopped), verdict=Verdict.ERROR)
    evil = replace(read, verdict=Verdict.MALICIOUS)

    def known(one):
        new = old.renewed([old.mark(one)], [str(root)], "we know")
        return [item.known is not None for item in new.mark(one).items]

    assert report.digest
    assert known(report) == [True]
    assert known(read) == [False, False]
    assert known(evil) == [True, False]


def test_what_is_too_large_to_be_read_is_never_known(root):
    from safehold.policy import Limits

    old = Baseline(str(root.parent / "baseline.json"), {}, TODAY)
    entries = [old.mark(report) for report in scanned(root, limits=Limits(artifact=3))]

    assert entries[0].items
    assert not old.renewed(entries, [str(root)], "we know").entries


def test_what_makes_a_file_malicious_needs_a_reason(root):
    (root / "evil.pkl").write_bytes(EVIL)

    assert code(root, written(root)) == 1
    assert code(root, written(root, " ")) == 1
    path = written(root, "a test file")
    assert code(root, path) == 0

    path.write_text(path.read_text().replace("a test file", ""))
    with pytest.raises(ConfigError, match="reason"):
        Baseline.load(str(path), TODAY)


def test_an_entry_counts_until_its_last_day(root):
    path = written(root, expires=TODAY)

    assert code(root, path) == 0
    assert code(root, path, date(2026, 6, 2)) == 1
    late = Baseline.load(str(path), date(2026, 6, 2))
    assert [line.partition(":")[0] for line in late.stale([])] == ["expired on 2026-06-01"]


def test_reasons_and_dates_stay_when_it_is_written_again(root):
    written(root, "first", date(2027, 1, 1))
    (root / "b.pkl").write_bytes(UNKNOWN)

    rows = json.loads(written(root, "second").read_text())["findings"]

    assert [(row["path"], row["reason"], row["expires"]) for row in rows] == [
        ("models/a.pkl", "first", "2027-01-01"),
        ("models/b.pkl", "second", None),
    ]


def test_what_is_over_gets_the_new_reason(root):
    written(root, "first", date(2026, 5, 1))

    (row,) = json.loads(written(root, "second").read_text())["findings"]

    assert (row["reason"], row["expires"]) == ("second", None)


def test_what_was_fixed_is_told_and_leaves(root):
    path = written(root)
    (root / "a.pkl").write_bytes(GOOD)
    baseline = Baseline.load(str(path), TODAY)
    for report in scanned(root):
        baseline.mark(report)

    assert [line.partition(":")[0] for line in baseline.stale([])] == ["no longer found"]
    assert json.loads(written(root).read_text())["findings"] == []


def test_what_was_not_scanned_is_not_told_and_stays(root, tmp_path):
    path = written(root)
    other = tmp_path / "other"
    other.mkdir()
    baseline = Baseline.load(str(path), TODAY)

    assert list(baseline.stale([str(other)])) == []
    assert list(baseline.stale([str(root)], whole=False)) == []
    assert len(list(baseline.stale([str(root)]))) == 1
    assert len(json.loads(written(other).read_text())["findings"]) == 1


def test_the_document_does_not_depend_on_the_order(root):
    (root / "b.pkl").write_bytes(UNKNOWN)
    path = written(root)
    first = path.read_bytes()
    baseline = Baseline(str(path), {}, TODAY)
    entries = [baseline.mark(report) for report in reversed(scanned(root))]

    assert baseline.renewed(entries, [str(root)]).document().encode() == first


def whole(**changes):
    return {"safehold": "baseline", "version": 1, "findings": [ROW], **changes}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON"),
        ("[]", "cannot be used"),
        ("[" * 100_000, "not JSON"),
        (json.dumps(whole(version=2)), "version 2"),
        (json.dumps(whole(version="1")), "version"),
        (json.dumps(whole(safehold="policy")), "baseline"),
        (json.dumps(whole(extra=1)), "extra"),
        (json.dumps({"findings": []}), "safehold"),
        (json.dumps(whole(findings=[ROW, ROW])), "twice"),
        (json.dumps(whole(findings=[{**ROW, "rule": "x"}])), "rule"),
        (json.dumps(whole(findings=[{**ROW, "sha256": "0"}])), "sha256"),
        (json.dumps(whole(findings=[{**ROW, "expires": "soon"}])), "expires"),
        (json.dumps(whole(findings=[{**ROW, "path": ""}])), "path"),
        (json.dumps(whole(findings=[{**ROW, "also": 1}])), "also"),
        (json.dumps(whole()).replace('"reason": ""', '"reason": "", "reason": "x"'), "twice"),
    ],
)
def test_a_broken_baseline_is_an_error(tmp_path, text, told):
    path = tmp_path / "baseline.json"
    path.write_text(text)

    with pytest.raises(ConfigError, match=told):
        Baseline.load(str(path), TODAY)


def test_a_whole_one_is_none(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(whole()))

    assert len(Baseline.load(str(path), TODAY).entries) == 1


@pytest.fixture
def known(tmp_path):
    """Say of each finding of a later source whether the baseline of an earlier one knows it."""
    from safehold.policy import default_policy
    from safehold.scan import FileReport, Verdict
    from safehold.source import audit_source

    def report(text):
        audit = audit_source(text, "a.py", default_policy(tmp_path))
        return FileReport(str(tmp_path / "a.py"), "python", Verdict.SUSPICIOUS, audit.findings)

    def compare(before, after):
        old = Baseline(str(tmp_path / "baseline.json"), {}, TODAY)
        new = old.renewed([old.mark(report(before))], [str(tmp_path)])
        assert not new.mark(report(before)).counts
        return [item.known is not None for item in new.mark(report(after)).items]

    return compare


ONE = b"import pickle\npickle.loads(b'')\n"


def test_a_finding_of_a_source_is_known_where_it_moves(known):
    assert known(ONE, b"# a comment\n\n" + ONE) == [True]
    moved = b"import pickle\ndef f():\n    pickle.loads(b'')  \n"
    assert known(ONE, moved) == [True]


def test_a_second_one_of_the_same_text_is_new(known):
    assert known(ONE, ONE + b"pickle.loads(b'')\n") == [True, False]
    assert known(ONE + b"pickle.loads(b'')\n", ONE) == [True]


def test_another_text_is_new_although_as_many_are_found(known):
    assert known(ONE, b"import pickle\npickle.loads(data)\n") == [False]
    two = b"import pickle\npickle.loads(a)\npickle.loads(b)\n"
    assert known(two, b"import pickle\npickle.loads(b)\npickle.loads(c)\n") == [True, False]


def test_words_that_tell_of_a_line_do_not_make_it_new(known):
    text = (
        b"import os\nimport safehold.compat.pickle as pickle\ndef keep(v, p):\n"
        b"    pickle.dump(v, open(p, 'wb'))\n    os.replace(p, p + 'x')\n"
    )
    assert known(text, b"#\n" + text) == [True]


def test_another_secret_is_new_and_none_is_told_by_the_baseline(known):
    one = b"SECRET_KEY = 'q9Zf3mB7xT2kLw8Rv5Yd'\n"
    assert known(one, b"#\n" + one) == [True]
    assert known(one, one.replace(b"q9Z", b"r8Y")) == [False]
    weak = b"SECRET_KEY = 'changeme'\n"
    assert known(weak, weak.replace(b"changeme", b"letmein")) == [True]  # as no guess is checked
