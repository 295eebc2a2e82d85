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

    if options.output is None:
        print(generate_key())
        return 0
    from safehold._cli._text import printable
    from safehold.errors import ConfigError

    path = os.path.abspath(options.output)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
    except FileExistsError as error:
        message = f"{options.output!r} exists and is not overwritten; name another file"
        raise ConfigError(message) from error
    except ValueError as error:  # NUL in the name
        message = f"{options.output!r} cannot be a file name: {error}"
        raise ConfigError(message) from error
    try:
        with open(fd, "w", encoding="ascii") as file:
            file.write(generate_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(path)  # half a key would be taken for a weak one
        raise
    text = f'wrote {path}; name it in the policy: source = "file:{path}"'
    print(printable(text), file=sys.stderr)
    return 0
