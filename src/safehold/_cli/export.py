"""``safehold export``: a copy of a sealed artifact for another zone, name or service."""

from __future__ import annotations

import argparse

HELP = """Write a copy of a sealed artifact that is sealed for another zone and name, here or in
another service, where `safehold import` takes it. The file is verified first. Generation, times,
metadata and declared names stay. No file is overwritten."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("path", metavar="PATH", help="a sealed file")
    parser.add_argument("--zone", required=True, help="the zone that it is for")
    parser.add_argument(
        "--name", required=True, help="its path below the root of the policy that it is for"
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the new file")
    parser.add_argument(
        "--key", metavar="ID", help="seal with this key of the policy (default: the signing key)"
    )
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when the file is refused."""
    from safehold._cli import _shared
    from safehold.artifacts import Store

    with _shared.load_context(options) as hold:
        info = Store(hold).export(
            options.path,
            options.output,
            for_zone=options.zone,
            for_name=options.name,
            key=options.key,
        )
    _shared.print_info(options, f"{options.path}: exported for {info.name}", info)
    return 0
