"""What several verbs share: the policy argument and JSON output."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from safehold._cli._text import printable
from safehold.context import Context
from safehold.errors import ConfigError
from safehold.policy import Policy
from safehold.report.shown import json_text

if TYPE_CHECKING:
    from safehold.artifacts.info import Info

__all__ = [
    "add_format",
    "add_policy",
    "has_policy",
    "jobs",
    "load_context",
    "load_policy",
    "print_info",
    "print_json",
    "printable",
]

VARIABLE = "SAFEHOLD_POLICY"


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Add ``--policy FILE``."""
    parser.add_argument(
        "--policy", metavar="FILE", help=f"the policy file (default: what {VARIABLE} names)"
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add ``--format text|json``."""
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format")


def jobs(text: str) -> int:
    """Parse the number of ``--jobs``."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < -1 or number == 0:
        raise argparse.ArgumentTypeError("a positive number, or -1 for all cores")
    return number


def load_policy(options: argparse.Namespace) -> Policy:
    """Load the policy that the command line or the environment names. Raises ConfigError."""
    path = _policy_path(options)
    if not path:
        message = (
            f"no policy: give --policy FILE or set {VARIABLE}; write one with: "
            f"safehold harden PATH --write"
        )
        raise ConfigError(message)
    return Policy.load(path)


def has_policy(options: argparse.Namespace) -> bool:
    """Say whether the command line or the environment names a policy."""
    return bool(_policy_path(options))


def _policy_path(options: argparse.Namespace) -> str | None:
    return options.policy or os.environ.get(VARIABLE)


def load_context(options: argparse.Namespace) -> Context:
    """Load policy, keys and trail. Raises ConfigError, WeakKey."""
    return Context.load(load_policy(options))


def print_json(value: Any) -> None:
    """Print one JSON document; printable ASCII, so that no terminal or log is confused."""
    sys.stdout.write(json_text(value))


def print_info(options: argparse.Namespace, done: str, info: Info) -> None:
    """Print what was done to an artifact, or as JSON its metadata as `inspect` does."""
    if options.format == "json":
        import dataclasses

        print_json({"schema": 1, **dataclasses.asdict(info)})
    else:
        print(printable(f"{done}: zone {info.zone}, key {info.key}, generation {info.generation}"))
