"""``safehold import``: put an exported artifact in its place."""

from __future__ import annotations

import argparse

HELP = """Put a file that `safehold export` made for this place there. It must be sealed for the
zone and name of PATH, be newer than what was seen there, have a codec of the zone and name only
what the zone allows. Its seal stays, so that the key which made it has to stay in the policy."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("file", metavar="FILE", help="what was exported")
    parser.add_argument("path", metavar="PATH", help="where it belongs")
    parser.add_argument(
        "--renew",
        action="store_true",
        help="seal it with this policy's own key as the next generation here, also when it is "
        "older than what was seen",
    )
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when the file is refused."""
    from safehold._cli import _shared
    from safehold.artifacts import Store

    with _shared.load_context(options) as hold:
        info = Store(hold).import_(options.file, options.path, renew=options.renew)
    _shared.print_info(options, f"{options.file}: imported as {info.name}", info)
    return 0
