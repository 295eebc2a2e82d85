"""``safehold check``: judge a running site by what it sends."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold.scan import FileReport

HELP = """Fetch pages of a running site and judge their headers, cookies, certificate, the way from
HTTP to HTTPS and what they load without encryption. Redirects are followed. Nothing but GET is
sent."""

FORMATS = ("text", "json", "sarif", "html")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "--url",
        action="append",
        required=True,
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
    """Run the verb; exit code 1 after a finding, 2 if a page could not be fetched."""
    from safehold._cli import _output
    from safehold._cli._targets import STDOUT
    from safehold.web.fetching import Fetcher
    from safehold.web.grading import check_site

    vars(options).update(
        paths=options.url, exclude=[], also=[], timestamp=None, category="safehold-site",
        baseline=None, write_baseline=None, reason="", expires=None,
    )  # fmt: skip
    kept: list[FileReport] = []
    found = check_site(options.url, Fetcher(options.ca), pages=options.pages)
    code = _output.emit(_keeping(found, kept), options)
    if options.format == "text" and options.output == STDOUT and not options.quiet:
        _explain(kept)
    return code


def _keeping(found: Iterable[FileReport], kept: list[FileReport]) -> Iterable[FileReport]:
    for report in found:
        kept.append(report)
        yield report


def _explain(reports: list[FileReport]) -> None:
    """Print of each rule why it matters and what to do, and the grade of all."""
    from safehold.web.grading import grade

    rules = {finding.rule.id: finding.rule for one in reports for finding in one.findings}
    for name in sorted(rules):
        rule = rules[name]
        print(f"\n{rule.id} {rule.title}")
        print(f"  why: {rule.why}")
        print(f"  remedy: {rule.remedy}")
    print(f"\ngrade: {grade(reports)}")


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= 1000:
        message = "a number, 1 to 1000"
        raise argparse.ArgumentTypeError(message)
    return number
