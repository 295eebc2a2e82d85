"""``safehold check``: judge the settings of a service, or a running site by what it sends."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold.scan import FileReport

HELP = """Judge the settings of a service: its files, an environment, or both. Nothing is imported
or run. With --deploy they have to be fit for production; else only what is unsafe anywhere is
found.

With --url fetch pages of a running site instead, and judge their headers, cookies, certificate,
the way from HTTP to HTTPS and what they load without encryption. Redirects are followed. Nothing
but GET is sent."""

FORMATS = ("text", "json", "sarif", "html")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="a file of settings, or a directory that is searched for such files; without one the "
        "working directory and the environment",
    )
    parser.add_argument(
        "--deploy", action="store_true", help="settings have to be fit for production"
    )
    parser.add_argument(
        "--env-file",
        action="append",
        default=[],
        metavar="FILE",
        help="read FILE as variables of an environment, whatever it is called; may be repeated",
    )
    parser.add_argument(
        "--environment", action="store_true", help="read the environment of this command, too"
    )
    parser.add_argument(
        "--policy", metavar="FILE", help="check this policy, and use its [deploy] names"
    )
    parser.add_argument(
        "--url",
        action="append",
        default=[],
        metavar="URL",
        help="a page, from http:// or https:// on; may be repeated",
    )
    parser.add_argument(
        "--pages",
        type=_count,
        default=1,
        metavar="N",
        help="of each URL up to N pages of its site, as it links to them (default: 1)",
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="authorities to trust in place of the system's, as PEM"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="output format")
    parser.add_argument(
        "--output",
        metavar="FILE",
        default="-",
        help="write it to FILE, whole or not at all, instead of standard output",
    )
    parser.add_argument("--quiet", action="store_true", help="print only findings")


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 after a finding, 2 if a page or file could not be read."""
    from safehold._cli import _output
    from safehold._cli._targets import STDOUT

    found, category = _found(options)
    vars(options).update(
        exclude=[], also=[], timestamp=None, category=category,
        baseline=None, write_baseline=None, reason="", expires=None,
    )  # fmt: skip
    kept: list[FileReport] = []
    code = _output.emit(_keeping(found, kept), options)
    if options.format == "text" and options.output == STDOUT and not options.quiet:
        _explain(kept, with_grade=bool(options.url))
    return code


def _found(options: argparse.Namespace) -> tuple[Iterable[FileReport], str]:
    from safehold.errors import ConfigError

    if options.url:
        from safehold.web.fetching import Fetcher
        from safehold.web.grading import check_site

        if options.paths or options.deploy or options.env_file or options.environment:
            raise ConfigError("--url judges a site; run check once more for its settings")
        options.paths = options.url
        return check_site(options.url, Fetcher(options.ca), pages=options.pages), "safehold-site"
    from safehold._cli._settings import reports

    if not (options.paths or options.env_file or options.environment):
        options.paths, options.environment = ["."], True
    return reports(options), "safehold-settings"


def _keeping(found: Iterable[FileReport], kept: list[FileReport]) -> Iterable[FileReport]:
    for report in found:
        kept.append(report)
        yield report


def _explain(reports: list[FileReport], *, with_grade: bool) -> None:
    """Print of each rule why it matters and what to do, and the grade of a site."""
    rules = {finding.rule.id: finding.rule for one in reports for finding in one.findings}
    for name in sorted(rules):
        rule = rules[name]
        print(f"\n{rule.id} {rule.title}")
        print(f"  why: {rule.why}")
        print(f"  remedy: {rule.remedy}")
    if with_grade:
        from safehold.web.grading import grade

        print(f"\ngrade: {grade(reports)}")


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= 1000:
        message = "a number, 1 to 1000"
        raise argparse.ArgumentTypeError(message)
    return number
