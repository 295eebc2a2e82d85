"""``safehold scan``: look for what could run code in artifacts and sources."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold.policy import Policy
    from safehold.scan import FileReport
    from safehold.source import FileAudit

HELP = """Look for what could run code in artifacts, also inside archives and compressed files, and
for calls in Python sources that load such artifacts. Nothing that is scanned is imported or run.
Below a directory, files that are neither are left out; a file given by name always gets a
verdict. "-" reads an artifact from standard input."""

_STDIN = "-"
_SOURCE = "python"
_SOURCE_SUFFIXES = (".py", ".pyw")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("paths", nargs="+", metavar="PATH", help='files, directories, or "-"')
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
    from safehold.scan import Scan, Verdict

    reports = _reports(options)
    if options.format == "json":
        scan = Scan(tuple(reports))
        _shared.print_json(scan.as_json())
    else:
        scan = Scan(tuple(_printed(reports)))
        print(_summary(scan.summary))
    verdicts = {report.verdict for report in scan.files}
    if Verdict.ERROR in verdicts:
        return ERROR
    return FINDINGS if verdicts - {Verdict.CLEAN} else CLEAN


def _reports(options: argparse.Namespace) -> Iterator[FileReport]:
    import sys

    from safehold._cli import _shared
    from safehold.allow import PRESETS, AllowList
    from safehold.policy import Limits, Policy
    from safehold.scan import scan_bytes, scan_paths

    named = options.policy or os.environ.get(_shared.VARIABLE)
    policy = Policy.load(named) if named else None
    limits = policy.limits if policy is not None else Limits()
    allow = AllowList.of({*PRESETS, *(_own_names(policy) if policy is not None else ())})
    paths = [path for path in options.paths if path != _STDIN]
    if len(paths) < len(options.paths):
        # One byte more than allowed, so that the limit is noticed.
        data = sys.stdin.buffer.read(limits.artifact + 1)
        yield scan_bytes(data, "<stdin>", limits, allow=allow)
    artifacts = [path for path in paths if not path.endswith(_SOURCE_SUFFIXES)]
    yield from scan_paths(
        artifacts, limits, allow=allow, exclude=options.exclude, jobs=options.jobs
    )
    for path in paths:
        yield from _sources(path, policy, options.exclude)


def _sources(path: str, policy: Policy | None, exclude: list[str]) -> Iterator[FileReport]:
    """Yield a report for a source file, or for those below a directory that have findings."""
    from safehold.policy import default_policy
    from safehold.source import audit_file, audit_tree

    if os.path.isdir(path):
        known = policy or default_policy(path)
        for audit in audit_tree(path, policy=known, exclude=exclude):
            yield _report(audit, os.path.join(path, audit.path))
    elif path.endswith(_SOURCE_SUFFIXES):
        known = policy or default_policy(os.path.dirname(path) or ".")
        yield _report(audit_file(path, policy=known), path)


def _report(audit: FileAudit, path: str) -> FileReport:
    from safehold.scan import FileReport, Verdict
    from safehold.source.rules.unreadable import UNREADABLE

    unread = any(finding.rule.id == UNREADABLE.rule.id for finding in audit.findings)
    verdict = Verdict.SUSPICIOUS if audit.findings else Verdict.CLEAN
    return FileReport(path, _SOURCE, Verdict.ERROR if unread else verdict, audit.findings)


def _own_names(policy: Policy) -> Iterator[str]:
    """Exact names that the zones allow; presets count anyway, and ``*`` would hide everything."""
    for zone in policy.zones:
        yield from (name for name in zone.allow if "." in name)


def _printed(reports: Iterable[FileReport]) -> Iterator[FileReport]:
    from safehold._cli import _shared

    for report in reports:
        if not report.findings and report.format != _SOURCE:  # clean sources are only counted
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
