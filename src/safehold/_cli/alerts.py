"""``safehold alerts render``: what Prometheus, Alertmanager and Grafana need to watch a service."""

from __future__ import annotations

import argparse

HELP = """Write rules for Prometheus with their tests, a configuration of Alertmanager and a
dashboard for Grafana, made from the policy: safehold.rules.yml, safehold.rules.test.yml,
alertmanager.yml, grafana-dashboard.json. Files that are there are replaced."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("action", choices=("render",), help="what to do")
    parser.add_argument("--output", metavar="DIR", required=True, help="where the files go")
    parser.add_argument(
        "--job",
        default="safehold",
        metavar="NAME",
        type=_job,
        help="the job under which Prometheus scrapes the service (default: safehold)",
    )
    parser.add_argument(
        "--webhook",
        default="",
        metavar="URL",
        type=_url,
        help="where Alertmanager sends alerts; without it its receiver is yours to fill in",
    )
    _shared.add_policy(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    from contextlib import ExitStack
    from pathlib import Path

    from safehold._cli import _shared
    from safehold._cli._targets import Target
    from safehold.observe.rendering import render

    policy = _shared.load_policy(options)
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    files = render(policy, job=options.job, webhook=options.webhook)
    with ExitStack() as stack:
        targets = [Target.of("", str(folder / name), stack) for name in files]
        for target, (name, text) in zip(targets, files.items(), strict=True):
            target.write(text)
            print(_shared.printable(f"wrote {folder / name}"))
    return 0


def _job(text: str) -> str:
    import re

    if not re.fullmatch(r"[A-Za-z0-9_.:/-]{1,100}", text):
        raise argparse.ArgumentTypeError("up to 100 letters, digits and _.:/-")
    return text


def _url(text: str) -> str:
    from safehold.policy.alerts import url_problem

    if problem := url_problem("webhook", text):
        raise argparse.ArgumentTypeError(problem)
    return text
