"""Where the result of a scan goes: formats, files, the baseline; and the exit code."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime
from itertools import combinations
from typing import TYPE_CHECKING, Final

from safehold._cli._targets import STDOUT, Target, descriptor_of, is_same_file

if TYPE_CHECKING:
    from safehold.report.baseline import Baseline
    from safehold.report.result import Entry, Origin, Result
    from safehold.scan import FileReport

# `report.formats` has the table; a test compares. Here, so that no format is imported in vain.
FORMATS: Final = ("text", "json", "sarif", "cyclonedx", "html", "codequality")
# The runner's mark, the repository (whole, or server and path), commit, branch, checkout.
_RUNNERS: Final = (
    (
        "GITHUB_ACTIONS",
        "GITHUB_SERVER_URL",
        "GITHUB_REPOSITORY",
        "GITHUB_SHA",
        "GITHUB_REF_NAME",
        "GITHUB_WORKSPACE",
    ),
    ("GITLAB_CI", "CI_PROJECT_URL", "", "CI_COMMIT_SHA", "CI_COMMIT_BRANCH", "CI_PROJECT_DIR"),
)
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9._~:/-]+")
_REVISION: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says in which formats the result is written, and where to."""
    parser.add_argument("--format", choices=FORMATS, default="text", help="output format")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=_output,
        default=STDOUT,
        help="write it to FILE, whole or not at all, instead of standard output",
    )
    parser.add_argument(
        "--quiet",
        action="store_true",
        help="print only findings that count for the exit code: no clean files, no sum, no notes, "
        "no progress; documents of other formats stay as they are",
    )
    parser.add_argument(
        "--also",
        metavar="FORMAT=FILE",
        type=_also,
        action="append",
        default=[],
        help="write the result to FILE in another format too; may be repeated",
    )
    parser.add_argument(
        "--timestamp",
        metavar="TIME",
        type=_time,
        help="write this time into documents, as 2026-01-31T12:00:00Z, or now; without it the "
        "same result gives the same bytes",
    )
    parser.add_argument(
        "--category",
        metavar="NAME",
        default="safehold",
        help="what SARIF calls this scan, if there are several of one revision",
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--baseline",
        metavar="FILE",
        help="findings in FILE are known: they are shown, but do not count for the exit code",
    )
    group.add_argument(
        "--write-baseline",
        metavar="FILE",
        help="write what is found to FILE as known, keeping the reasons and dates that are in it",
    )
    parser.add_argument(
        "--reason",
        default="",
        metavar="TEXT",
        help="why the new entries are accepted; without one, findings that make a file malicious "
        "are left out of the baseline",
    )
    parser.add_argument(
        "--expires",
        metavar="DATE",
        type=_date,
        help="the last day on which the new entries count, as 2027-01-31",
    )


def wants_digests(options: argparse.Namespace) -> bool:
    """Say whether the output needs the digest of every file."""
    formats = {options.format, *(form for form, _ in options.also)}
    return bool(options.baseline or options.write_baseline or formats - {"text", "json"})


def emit(
    reports: Iterable[FileReport],
    options: argparse.Namespace,
    before: Callable[[], None] = lambda: None,
) -> int:
    """Write what the reports say and return the exit code.

    ``before`` is called before anything is printed.

    Raises:
        ConfigError: the baseline is broken, or options contradict each other.
        OSError: a file cannot be written; it is left as it was.
    """
    from safehold._cli._text import printable

    _check(options)
    with ExitStack() as stack:
        files = [Target.of(form, name, stack) for form, name in _wanted(options)]
        if options.write_baseline:
            target = Target.of("", options.write_baseline, stack)
            result, text = _renewed(reports, options)
            target.write(text)
        else:
            baseline = _baseline(options.baseline)
            marked = _marked(reports, baseline)
            # Lines are printed as they come; documents are written whole.
            if options.format == "text" and options.output == STDOUT:
                marked = _printed(marked, before, quiet=options.quiet)
            result = _result(marked, baseline, options)
        before()
        for line in () if options.quiet else result.stale:
            print(printable(f"safehold: baseline: {line}"), file=sys.stderr)
        _print(result, options)
        for file in files:
            file.write(_document(file.format, result))
    return result.code


def _wanted(options: argparse.Namespace) -> list[tuple[str, str]]:
    first = [] if options.output == STDOUT else [(options.format, options.output)]
    return [*first, *options.also]


def _check(options: argparse.Namespace) -> None:
    from safehold.errors import ConfigError

    names = [name for _, name in _wanted(options)]
    names += [name for name in (options.baseline, options.write_baseline) if name]
    if any(is_same_file(first, second) for first, second in combinations(names, 2)):
        message = "two outputs have the same file; give each its own"
        raise ConfigError(message)
    if (options.reason or options.expires) and not options.write_baseline:
        message = "--reason and --expires belong to --write-baseline"
        raise ConfigError(message)


def _baseline(path: str | None) -> Baseline | None:
    if not path:
        return None
    from safehold.report.baseline import Baseline

    return Baseline.load(path, datetime.now(UTC).date())


def _marked(reports: Iterable[FileReport], baseline: Baseline | None) -> Iterator[Entry]:
    from safehold.report.result import entry_of

    return map(entry_of if baseline is None else baseline.mark, reports)


def _renewed(reports: Iterable[FileReport], options: argparse.Namespace) -> tuple[Result, str]:
    """Return the result under a new baseline, and the text of that."""
    from safehold.report.baseline import Baseline

    path, today = options.write_baseline, datetime.now(UTC).date()
    there = os.path.lexists(path)
    old = Baseline.load(path, today) if there else Baseline(path, {}, today)
    found = tuple(_marked(reports, old))
    new = old.renewed(
        found, options.paths, options.reason, options.expires, whole=_is_whole(options)
    )
    result = _result(_marked((entry.report for entry in found), new), new, options)
    left = sum(item.known is None for entry in result.entries for item in entry.items)
    if left and not options.quiet:
        why = "the file has no digest, or it makes a file malicious and there is no --reason"
        print(f"safehold: baseline: findings left out: {left} ({why})", file=sys.stderr)
    return result, new.document()


def _result(
    entries: Iterable[Entry], baseline: Baseline | None, options: argparse.Namespace
) -> Result:
    from safehold.report.result import Result, code_of

    found = tuple(entries)
    stale: Iterable[str] = ()
    if baseline is not None:
        stale = baseline.stale(options.paths, whole=_is_whole(options))
    return Result(
        entries=found,
        root=os.getcwd(),
        code=code_of(found),
        compared=baseline is not None,
        stale=tuple(stale),
        made=options.timestamp,
        category=options.category,
        origin=_origin(os.environ, os.getcwd()),
    )


def _is_whole(options: argparse.Namespace) -> bool:
    """Say whether everything below the given paths was scanned."""
    return not options.exclude and not getattr(options, "since", None)


def _printed(
    entries: Iterable[Entry], before: Callable[[], None], *, quiet: bool
) -> Iterator[Entry]:
    shared = sys.stdout.isatty()  # with what may stand on the last line
    for entry in entries:
        if shared and (entry.items or not quiet):
            before()
        _print_lines(entry, quiet=quiet)
        yield entry


def _print_lines(entry: Entry, *, quiet: bool) -> None:
    from safehold._cli._text import encodable
    from safehold.report.formats.text import lines_of

    for line in lines_of(entry, colour=_wants_colour(), quiet=quiet):
        print(encodable(line))


def _print(result: Result, options: argparse.Namespace) -> None:
    """Print what standard output is still to get: the document, or the sum of the lines."""
    if options.output != STDOUT:
        return
    if options.format != "text":
        from safehold._cli._text import encodable

        sys.stdout.write(encodable(_document(options.format, result)))
        return
    if options.write_baseline:
        for entry in result.entries:
            _print_lines(entry, quiet=options.quiet)
    if options.quiet:
        return
    from safehold.report.formats.text import summary_line

    print(summary_line(result))
    counted = [item.finding for entry in result.entries for item in entry.items if not item.known]
    if counted and sys.stdout.isatty():
        worst = max(counted, key=lambda finding: (finding.severity, finding.rule.score))
        print(f"what it means and what to do: safehold rules {worst.rule.id}")


def _document(form: str, result: Result) -> str:
    from safehold.report import formats

    return formats.FORMATS[form].render(result)


def _wants_colour() -> bool:
    """Say whether a terminal shows the lines, and nobody asked for none (https://no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def _origin(environment: Mapping[str, str], directory: str) -> Origin | None:
    """Return the revision that a runner says it has checked out here; None if none says so."""
    from safehold.report.result import Origin

    for mark, url, path, revision, branch, root in _RUNNERS:
        if environment.get(mark) != "true":
            continue
        parts = (environment.get(url, ""), environment.get(path, "") if path else "")
        address = "/".join(part.strip("/") for part in parts if part)
        commit = environment.get(revision, "")
        here = os.path.realpath(environment.get(root) or os.devnull) == os.path.realpath(directory)
        if here and _ADDRESS.fullmatch(address) and _REVISION.fullmatch(commit):
            return Origin(address, commit, environment.get(branch, ""))
    return None


def _also(text: str) -> tuple[str, str]:
    form, _, name = text.partition("=")
    if form not in FORMATS or name in {"", STDOUT}:
        message = f"FORMAT=FILE with a file and one of {', '.join(FORMATS)}"
        raise argparse.ArgumentTypeError(message)
    return form, name


def _output(text: str) -> str:
    return STDOUT if descriptor_of(text) == 1 else text


def _time(text: str) -> datetime:
    if text == "now":
        return datetime.now(UTC)
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a time as 2026-01-31T12:00:00Z, or now") from None
    return made.replace(tzinfo=UTC) if made.tzinfo is None else made.astimezone(UTC)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a date as 2027-01-31") from None
