"""``safehold scan``: look for what could run code in artifacts and sources."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold.scan import FileReport

HELP = """Look for what could run code in artifacts, also inside archives and compressed files, and
for calls in Python sources that load such artifacts. Nothing that is scanned is imported or run.
Below a directory, files that are neither are left out; a file given by name always gets a
verdict. "-" reads an artifact from standard input."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("paths", nargs="+", metavar="PATH", help='files, directories, or "-"')
    parser.add_argument(
        "--stdin-name",
        metavar="NAME",
        default="<stdin>",
        help='what "-" is called in reports; NAME.py is read as source',
    )
    _shared.add_format(parser)
    parser.add_argument(
        "--policy",
        metavar="FILE",
        help="take limits from this policy, and accept the classes of its zones as known "
        f"(default: what {_shared.VARIABLE} names, if it is set)",
    )
    parser.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N", help="processes to use; -1 for all cores"
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out names, or paths below a directory, that match; may be repeated",
    )


def _jobs(text: str) -> int:
    number = int(text)
    if number < -1 or number == 0:
        raise argparse.ArgumentTypeError("a positive number, or -1 for all cores")
    return number


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 after a finding, 2 if a file could not be read."""
    from safehold._cli import CLEAN, ERROR, FINDINGS, _shared
    from safehold._cli._scanning import reports
    from safehold.scan import Scan, Verdict

    found = reports(options)
    if options.format == "json":
        scan = Scan(tuple(found))
        _shared.print_json(scan.as_json())
    else:
        scan = Scan(tuple(_printed(found)))
        print(_summary(scan.summary))
    verdicts = {report.verdict for report in scan.files}
    if Verdict.ERROR in verdicts:
        return ERROR
    return FINDINGS if verdicts - {Verdict.CLEAN} else CLEAN


def _printed(reports: Iterable[FileReport]) -> Iterator[FileReport]:
    from safehold._cli import _shared
    from safehold._cli._scanning import SOURCE

    for report in reports:
        if not report.findings and report.format != SOURCE:  # clean sources are only counted
            print(_shared.printable(f"{report.path}: {report.verdict}"))
        for finding in report.findings:
            where = finding.location
            place = where.member or ""
            if where.offset is not None:
                place += f"@{where.offset}"
            if where.line is not None:
                place = f"line {where.line}"
            line = (
                f"{report.path}: {report.verdict}  {finding.rule.id} {finding.severity.label} "
                f"{finding.message}{f' ({place})' if place else ''}"
            )
            print(_shared.printable(line))
        yield report


def _summary(counts: dict[str, int]) -> str:
    total = counts["files"]
    parts = [f"{number} {word}" for word, number in counts.items() if word != "files" and number]
    files = "1 file" if total == 1 else f"{total} files"
    return f"{files}: {', '.join(parts)}" if parts else files
