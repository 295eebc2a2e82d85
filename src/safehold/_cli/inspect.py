"""``safehold inspect``: verified metadata of one artifact."""

from __future__ import annotations

import argparse

HELP = """Show what a sealed artifact says about itself. The seal over this metadata is verified
first; the payload is neither read nor decoded."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("path", metavar="PATH", help="a sealed file")
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when the file is refused."""
    import dataclasses
    from datetime import UTC, datetime

    from safehold._cli import _shared
    from safehold.artifacts import Store

    with _shared.load_context(options) as hold:
        info = dataclasses.asdict(Store(hold).inspect(options.path))
    if options.format == "json":
        _shared.print_json({"schema": 1, **info})
        return 0
    created = datetime.fromtimestamp(info["created"], UTC)
    for name, value in (info | {"created": f"{created:%Y-%m-%d %H:%M:%S} UTC"}).items():
        text = ", ".join(value) if isinstance(value, tuple) else value
        print(_shared.printable(f"{name + ':':<12} {text}"))
    return 0
