"""``safehold rename``: another name for a sealed artifact."""

from __future__ import annotations

import argparse

HELP = """Give a sealed artifact another name, perhaps in another zone, and seal it for that. It is
verified first; the new file is whole before the old one goes, and no file is overwritten. Copies of
the old file are refused from then on."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("old", metavar="OLD", help="a sealed file")
    parser.add_argument("new", metavar="NEW", help="its new path")
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when the file is refused."""
    from safehold._cli import _shared
    from safehold.artifacts import Store

    with _shared.load_context(options) as hold:
        info = Store(hold).rename(options.old, options.new)
    _shared.print_info(options, f"{options.old}: renamed to {info.name}", info)
    return 0
