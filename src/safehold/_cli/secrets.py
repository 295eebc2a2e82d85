"""``safehold secrets scan``: secrets in the files of a tree, and in its history."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold.scan import FileReport

HELP = """`scan` looks for secrets in texts: keys and tokens by the shapes that services give them,
URLs with passwords, private keys, and values whose names say that they are secret. What is found
is named by place, kind and a fingerprint, never shown. With --history it also reads what every
commit of the checkout added. A comment `safehold: ignore[SH340] reason` in the line accepts one."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _output

    parser.add_argument("task", choices=("scan",), help="what to do")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files or directories")
    parser.add_argument(
        "--history", action="store_true", help="also what the commits of the checkout added"
    )
    parser.add_argument(
        "--since",
        metavar="REV",
        help="only files that differ from this git revision, and commits that it does not reach",
    )
    parser.add_argument(
        "--max-age",
        type=_days,
        metavar="DAYS",
        help="with --history: a secret that was committed more days ago is due for rotation",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out names, or paths below a directory, that match; may be repeated",
    )
    _output.arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 after a finding, 2 if something could not be read."""
    from safehold._cli import _output
    from safehold.errors import ConfigError

    if options.max_age is not None and not options.history:
        raise ConfigError("--max-age belongs to --history, which knows when a line was committed")
    return _output.emit(_reports(options), options)


def _days(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError("a number of days")
    return number


def _reports(options: argparse.Namespace) -> Iterator[FileReport]:
    from datetime import UTC, datetime

    from safehold._cli._since import Revision
    from safehold.secrets.history import scan_history
    from safehold.secrets.tree import scan_tree

    revision = Revision.of(options.since) if options.since else None
    for path in options.paths:
        if revision is None:
            yield from scan_tree(path, options.exclude)
        else:
            revision.check(path)
            yield from scan_tree(
                path, options.exclude, keep=lambda found: revision.differs(found.path)
            )
        if options.history:
            yield from scan_history(
                path,
                options.since or "",
                tuple(options.exclude),
                today=datetime.now(UTC).date(),
                max_age=options.max_age,
            )
