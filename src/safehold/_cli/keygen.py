"""``safehold keygen``: make a key."""

from __future__ import annotations

import argparse
import os
import sys

HELP = """Print a new key of 256 random bits, or write it to a file that only you can read. Set it
with: export SAFEHOLD_SECRET_KEY="$(safehold keygen)". For suite ED25519 it is a pair: the private
half signs and stays where artifacts are written, the public half goes to those who load them. With
`--output FILE` the private half goes to FILE, the public half to FILE.pub."""

_SYMMETRIC = "HS256"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold.sfh1 import SUITES

    parser.add_argument(
        "--suite", choices=tuple(SUITES), default=_SYMMETRIC, help="what the key is for"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="write the key to a new file with mode 0600"
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 2 when the file exists or cannot be written."""
    from safehold.keys import generate_key, generate_pair
    from safehold.sfh1 import SUITES

    pair = generate_pair() if SUITES[options.suite].signs else None
    if options.output is None:
        print(generate_key() if pair is None else f"{pair.private}\n{pair.public}")
        return 0
    path = os.path.abspath(options.output)
    if pair is None:
        _write(path, options.output, generate_key() + "\n", 0o600)
    else:
        _write(path, options.output, pair.private_pem, 0o600)
        try:
            _write(f"{path}.pub", f"{options.output}.pub", pair.public_pem, 0o644)
        except BaseException:  # also an interrupt: no private half without its public one
            os.unlink(path)
            raise
    _tell(path, options.suite)
    if pair is not None:
        _tell(f"{path}.pub", options.suite)
    return 0


def _tell(path: str, suite: str) -> None:
    from safehold._cli._text import printable

    text = f'wrote {path}; name it in the policy: source = "file:{path}"'
    if suite != _SYMMETRIC:
        text += f', suite = "{suite}"'
    print(printable(text), file=sys.stderr)


def _write(path: str, shown: str, text: str, mode: int) -> None:
    """Write a new file. Raises ConfigError."""
    from safehold.errors import ConfigError

    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, mode)
    except FileExistsError as error:
        message = f"{shown!r} exists and is not overwritten; name another file"
        raise ConfigError(message) from error
    except ValueError as error:  # NUL in the name
        message = f"{shown!r} cannot be a file name: {error}"
        raise ConfigError(message) from error
    try:
        with open(fd, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # also an interrupt: half a key would be taken for a weak one
        os.unlink(path)
        raise
