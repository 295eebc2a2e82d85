"""``safehold rotate``: another key for sealed artifacts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold._cli._each import Done
    from safehold.artifacts import Store

HELP = """Put artifacts of the key OLD under NEW, which must be the policy's signing key. Generation
and content stay; of large files nothing is written but the two places where their key is. Files of
other keys are left as they are. Below a directory the sealed files are taken. When others may have
had OLD, --rekey seals each file anew instead, with the next generation."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("old", metavar="OLD", help="id of the key that goes")
    parser.add_argument("new", metavar="NEW", help="id of the key that signs")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files or directories")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--rekey", action="store_true", help="after a compromise: read, check and seal all anew"
    )
    how.add_argument(
        "--repair", action="store_true", help="also mend a slot that a power loss has torn"
    )
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when a file is refused, 2 when a key is not the one to use."""
    from safehold._cli import _each

    def act(store: Store, path: str) -> Done:
        (info,) = store.rotate(
            options.old, options.new, [path], rekey=options.rekey, repair=options.repair
        )
        done = "rotated" if info.key == options.new else "left"
        text = f": key {info.key}, suite {info.suite}, generation {info.generation}"
        return _each.Done(done, text, info)

    return _each.each(options, act, below=lambda file: file.is_sealed)
