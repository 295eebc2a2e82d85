"""Lines of text: one for each finding, none that a runner obeys."""

from __future__ import annotations

from dataclasses import replace

from safehold.report.formats import text
from safehold.report.result import Item, Result, Suppression, entry_of
from safehold.scan import FileReport, Verdict, scan_bytes
from tests.report.samples import EVIL, GOOD, result, tree


def test_no_line_acts_on_a_terminal_or_a_runner(tmp_path, monkeypatch):
    root = tree(tmp_path)
    monkeypatch.chdir(root)
    # As `scan *` names them: without a directory before the name.
    whole = result(root)
    bare = tuple(
        replace(entry, report=replace(entry.report, path=entry.report.path.rpartition("/")[2]))
        for entry in whole.entries
    )

    lines = text.render(replace(whole, entries=bare)).splitlines()

    assert len(lines) == 1 + sum(max(1, len(entry.items)) for entry in whole.entries)
    assert all(line.isprintable() for line in lines)
    assert not any(line.lstrip().startswith("::") for line in lines)
    assert not any(mark in line for line in lines for mark in ("##[", "##vso["))
    assert any(line.startswith("\\x3a:error::x.pkl: ") for line in lines)


def test_lines():
    made = Result(
        (entry_of(scan_bytes(EVIL, "e.pkl")), entry_of(scan_bytes(GOOD, "g.pkl"))), "/", 1
    )

    assert text.render(made).splitlines() == [
        "e.pkl: malicious  SH101 critical names posix.system, which starts programs (@2)",
        "g.pkl: clean",
        "2 files: 1 clean, 1 malicious",
    ]


def test_a_clean_source_is_only_counted():
    made = Result((entry_of(FileReport("a.py", "python", Verdict.CLEAN)),), "/", 0)

    assert text.render(made) == "1 file: 1 clean\n"


def test_known_findings_are_told_apart():
    entry = entry_of(scan_bytes(EVIL, "e.pkl"))
    known = tuple(Item(x.finding, x.fingerprint, Suppression("mine\n::x")) for x in entry.items)

    lines = text.render(Result((replace(entry, items=known),), "/", 0, compared=True)).splitlines()

    assert lines[0].endswith("[in the baseline: mine\\x0a::x]")
    assert lines[1] == "1 file: 1 malicious; in the baseline: 1 of the findings"


def test_colour_is_only_around_the_verdict():
    entry = entry_of(scan_bytes(EVIL, "e\x1b[0m.pkl"))

    (line,) = text.lines_of(entry, colour=True)

    assert line.startswith("e\\x1b[0m.pkl: \x1b[1;31mmalicious\x1b[0m  SH101")
    assert line.count("\x1b") == 2
