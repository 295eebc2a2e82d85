"""``safehold verify``: check seals."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold._cli._each import Done
    from safehold.artifacts import Store

HELP = """Check seal, zone, name and freshness of artifacts; nothing is decoded. Below a directory
the sealed files are checked, and files with a suffix of pickle or joblib are refused when they have
no seal."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("paths", nargs="+", metavar="PATH", help="files or directories")
    parser.add_argument(
        "--min-generation", type=int, default=0, metavar="N", help="refuse older generations"
    )
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when a file is refused."""
    from safehold._cli import _each

    def act(store: Store, path: str) -> Done:
        store.verify(path, min_generation=options.min_generation)
        return _each.Done("ok")

    return _each.each(options, act, below=lambda file: file.is_sealed or file.carries_code)
