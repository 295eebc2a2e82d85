"""What several verbs share: the policy argument and JSON output."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from safehold.context import Context
from safehold.errors import ConfigError
from safehold.policy import Policy

VARIABLE = "SAFEHOLD_POLICY"


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Add ``--policy FILE``."""
    parser.add_argument(
        "--policy", metavar="FILE", help=f"the policy file (default: what {VARIABLE} names)"
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add ``--format text|json``."""
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format")


def load_policy(options: argparse.Namespace) -> Policy:
    """Load the policy that the command line or the environment names. Raises ConfigError."""
    path = options.policy or os.environ.get(VARIABLE)
    if not path:
        message = (
            f"no policy: give --policy FILE or set {VARIABLE}; write one with: "
            f"safehold harden PATH --write"
        )
        raise ConfigError(message)
    return Policy.load(path)


def load_context(options: argparse.Namespace) -> Context:
    """Load policy, keys and trail. Raises ConfigError, WeakKey."""
    return Context.load(load_policy(options))


def print_json(value: Any) -> None:
    """Print one JSON document; printable ASCII, so that no terminal or log is confused."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=True, default=str)
    sys.stdout.write("\n")


def printable(text: object) -> str:
    """Make text from files and file names harmless for a terminal."""
    return (
        "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in str(text))
        .encode(sys.stdout.encoding or "utf-8", "backslashreplace")
        .decode(sys.stdout.encoding or "utf-8")
    )


def files_below(paths: list[str]) -> list[Path]:
    """List the named files, and the regular files below the named directories, in order."""
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found += sorted(item for item in path.rglob("*") if item.is_file())
        else:
            found.append(path)
    return found
