"""``safehold keygen``: make a key."""

from __future__ import annotations

import argparse
import os
import sys

HELP = """Print a new key of 256 random bits, or write it to a file that only you can read. Set it
with: export SAFEHOLD_SECRET_KEY="$(safehold keygen)"."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "--output", metavar="FILE", help="write the key to a new file with mode 0600"
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 2 when the file exists or cannot be written."""
    from safehold.keys import generate_key

    key = generate_key()
    if options.output is None:
        print(key)
        return 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(options.output, flags, 0o600), "w", encoding="ascii") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
    print(f'wrote {options.output}; use it with: source = "file:{options.output}"', file=sys.stderr)
    return 0
