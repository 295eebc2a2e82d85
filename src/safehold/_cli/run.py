"""``safehold run``: start a program with the guard on, before its first import."""

from __future__ import annotations

import argparse
import os
import sys

from safehold.errors import ConfigError
from safehold.guard.starting import MODES, POLICY, environment

HELP = "Starts a Python program, and the Python programs it starts, with the guard on."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--policy", metavar="FILE", help=f"the policy; else ${POLICY}")
    parser.add_argument("--mode", choices=MODES, help="instead of the policy's mode")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD ...")


def run(options: argparse.Namespace) -> int:
    """Check policy and keys, then become the program.

    Raises:
        ConfigError: no policy, one that cannot be used, or no such program.
    """
    from safehold.context import Context

    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        message = "no program to run: safehold run [--policy FILE] -- python app.py"
        raise ConfigError(message)
    policy = options.policy or os.environ.get(POLICY)
    if not policy:
        message = f"no policy: give --policy FILE, or set {POLICY} to the path of safehold.toml"
        raise ConfigError(message)
    with Context.load(policy) as hold:  # what is wrong with it shows here, not in the middle
        mode = options.mode or hold.policy.mode
        strict = hold.policy.guard.strict
    environ = environment(os.environ, policy, mode, strict=strict)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606  (the user's own command)
    except OSError as error:
        message = f"{command[0]} cannot be started: {error.strerror}"
        raise ConfigError(message) from error
