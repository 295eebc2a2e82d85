"""``safehold report``: the risk of a service, scored from what this run finds."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from safehold.policy import Policy
    from safehold.report.risk.model import Risk

HELP = """Look at a service's tree and settings, and score what is open: each finding by CVSS 4.0,
computed in this run, and their sum. Attacks of safehold prove count if they were tried on this
very tree. Accepted risks are shown with owner, reason and expiry. With an earlier report, what is
gone is closed only if its check ran or its probe held. Reads only."""

FORMATS = ("text", "json", "markdown", "html", "sarif")
ACCEPTED = "accepted.toml"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "path", nargs="?", default=".", metavar="PATH", help="the tree (default: .)"
    )
    parser.add_argument("--prove", metavar="FILE", help="what safehold prove --output wrote")
    parser.add_argument(
        "--baseline", metavar="OLD.json", help="the earlier report to compare with, as JSON"
    )
    parser.add_argument(
        "--trend",
        action="append",
        default=[],
        metavar="OLD.json",
        help="a still earlier report, for the trend; may be repeated",
    )
    parser.add_argument(
        "--accepted",
        metavar="FILE",
        help=f"the [[accepted]] tables (default: PATH/{ACCEPTED}, if there)",
    )
    parser.add_argument(
        "--policy", metavar="FILE", help="follow this policy (default: PATH/safehold.toml)"
    )
    parser.add_argument(
        "--seals", action="store_true", help="verify seals as well, which needs the policy's keys"
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out matching names or paths below PATH; may be repeated",
    )
    parser.add_argument(
        "--fail-on",
        choices=("info", "low", "medium", "high", "critical"),
        default="info",
        help="exit code 1 for an open finding at least as bad as this (default: info)",
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="output format")
    parser.add_argument(
        "--output",
        metavar="FILE",
        default="-",
        help="write it to FILE, whole or not at all, instead of standard output",
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 while something as bad as --fail-on is open."""
    from safehold._cli._targets import STDOUT, Target
    from safehold.findings import Severity

    with ExitStack() as stack:
        # Opened before there is a document: a long look is not to end with a missing directory.
        to_file = options.output != STDOUT
        target = Target.of(options.format, options.output, stack) if to_file else None
        risk = _risk(options)
        document = _renderer(options.format)(risk)
        if target is None:
            print(document, end="")
        else:
            target.write(document)
    return 1 if risk.fails(Severity[options.fail_on.upper()]) else 0


def _risk(options: argparse.Namespace) -> Risk:
    from safehold._cli._progress import progress
    from safehold.context import Context
    from safehold.prove.tree import digest_of
    from safehold.report.risk.documents import Earlier, Proof, load_accepted
    from safehold.report.risk.looking import look
    from safehold.report.risk.model import risk_of
    from safehold.report.risk.scores import tenths_of

    policy = _policy(options)
    root = policy.root
    tenths_of("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N")  # is it there?
    given = Path(options.accepted) if options.accepted else root / ACCEPTED
    accepted = load_accepted(str(given)) if options.accepted or given.is_file() else ()
    before = Earlier.load(options.baseline) if options.baseline else None
    trend = [Earlier.load(path) for path in options.trend]
    state = (root / policy.trail, root / policy.marks)
    tree = digest_of(root, state)
    digests = frozenset({tree, digest_of(root)})
    proof = Proof.load(options.prove, digests) if options.prove else Proof()
    with ExitStack() as stack:
        hold = stack.enter_context(Context.load(policy)) if options.seals else None
        tell = stack.enter_context(progress())
        seen = look(policy, hold=hold, exclude=options.exclude, progress=tell)
    if digest_of(root, state) != tree:
        now = datetime.now(UTC)
        proof = Proof((), f"the tree changed before {now:%H:%M:%S}: no proof counts")
    return risk_of(seen, tree, proof=proof, accepted=accepted, before=before, trend=trend)


def _policy(options: argparse.Namespace) -> Policy:
    from safehold.errors import ConfigError
    from safehold.policy import Policy, default_policy

    root = Path(options.path).resolve()
    if not root.is_dir():
        message = f"{options.path} is no directory"
        raise ConfigError(message)
    given = Path(options.policy) if options.policy else root / "safehold.toml"
    if not options.policy and not given.exists():
        return default_policy(root)
    policy = Policy.load(given)
    if policy.root != root:
        message = f"the policy's root is {policy.root}, not {root}; name that as PATH"
        raise ConfigError(message)
    return policy


def _renderer(name: str) -> Callable[[Risk], str]:
    from safehold.report.risk.document import render_json, render_sarif
    from safehold.report.risk.html import render_html
    from safehold.report.risk.text import render_markdown, render_text

    return {
        "text": render_text,
        "json": render_json,
        "markdown": render_markdown,
        "html": render_html,
        "sarif": render_sarif,
    }[name]
