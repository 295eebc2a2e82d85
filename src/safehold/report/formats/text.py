"""One line for each finding, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from safehold.report.result import LINES, Entry, Item, Result
from safehold.report.shown import log_line
from safehold.scan import Verdict

_COLOURS: Mapping[Verdict, str] = {
    Verdict.CLEAN: "32",
    Verdict.SUSPICIOUS: "33",
    Verdict.MALICIOUS: "1;31",
    Verdict.ERROR: "35",
}


def render(result: Result) -> str:
    """Return the lines of every file, and the sum."""
    lines = [line for entry in result.entries for line in lines_of(entry)]
    return "".join(f"{line}\n" for line in (*lines, summary_line(result)))


def lines_of(entry: Entry, *, colour: bool = False, quiet: bool = False) -> Iterator[str]:
    """Yield the lines of one file; none for a clean source, which is only counted.

    If ``quiet``, only those of findings that count.
    """
    report = entry.report
    if not (entry.items or quiet) and report.format not in LINES:
        yield _line(report.path, report.verdict, "", colour=colour)
    for item in entry.items:
        if quiet and item.known is not None:
            continue
        yield _line(report.path, report.verdict, f"  {_told(item)}", colour=colour)


def summary_line(result: Result) -> str:
    """Return how many files there are, per verdict, and how many findings are known."""
    counts = result.summary
    total = counts["files"]
    parts = [f"{number} {word}" for word, number in counts.items() if word != "files" and number]
    files = "1 file" if total == 1 else f"{total} files"
    line = f"{files}: {', '.join(parts)}" if parts else files
    if result.suppressed:
        line += f"; in the baseline: {result.suppressed} of the findings"
    if result.cached:
        line += f"; from the cache: {result.cached}"
    return line


def _line(path: str, verdict: Verdict, rest: str, *, colour: bool) -> str:
    shown = f"\x1b[{_COLOURS[verdict]}m{verdict}\x1b[0m" if colour else str(verdict)
    # Whole lines are judged: what begins one could be a command of the runner.
    return f"{log_line(path + ': ')}{shown}{log_line(rest)}"


def _told(item: Item) -> str:
    finding = item.finding
    where = finding.location
    place = where.member or ""
    if where.offset is not None:
        place += f"@{where.offset}"
    if where.line is not None:
        place += f"{', ' if place else ''}line {where.line}"
    text = f"{finding.rule.id} {finding.severity.label} {finding.message}"
    if place:
        text += f" ({place})"
    if item.known is not None:
        reason = f": {item.known.reason}" if item.known.reason else ""
        text += f" [in the baseline{reason}]"
    return text
