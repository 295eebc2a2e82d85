"""``safehold inspect``: verified metadata of one artifact, or the allow list that files need."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold.artifacts.suggesting import Suggestion

HELP = """Show what a sealed artifact says about itself. The seal over this metadata is verified
first; the payload is neither read nor decoded. `--suggest-allow` prints the smallest allow list
under which artifacts load, sealed or plain, for a zone of the policy. They are scanned and never
loaded. What runs code is never proposed: then the exit code is 1. Below a directory files are
taken that are sealed or have a codec's suffix."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a sealed file; several with --suggest-allow"
    )
    parser.add_argument(
        "--suggest-allow", action="store_true", help="print the allow list that the files need"
    )
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when a file is refused, or needs what no list permits."""
    from safehold.errors import ConfigError

    if options.suggest_allow:
        return _suggest(options)
    if len(options.paths) > 1:
        message = "inspect shows one file at a time"
        raise ConfigError(message)
    return _show(options)


def _show(options: argparse.Namespace) -> int:
    import dataclasses
    from datetime import UTC, datetime

    from safehold._cli import _shared
    from safehold.artifacts import Store

    with _shared.load_context(options) as hold:
        info = dataclasses.asdict(Store(hold).inspect(options.paths[0]))
    if options.format == "json":
        _shared.print_json({"schema": 1, **info})
        return 0
    created = datetime.fromtimestamp(info["created"], UTC)
    for name, value in (info | {"created": f"{created:%Y-%m-%d %H:%M:%S} UTC"}).items():
        text = ", ".join(value) if isinstance(value, tuple) else value
        print(_shared.printable(f"{name + ':':<12} {text}"))
    return 0


def _suggest(options: argparse.Namespace) -> int:
    """Plain files need no policy, sealed ones the keys of one."""
    import contextlib

    from safehold._cli import _each, _shared
    from safehold.artifacts import Store
    from safehold.artifacts.suggesting import suggest_allow

    files = list(_each.named(options.paths))
    with contextlib.ExitStack() as stack:
        store = None
        if any(file.is_sealed for file in files):
            store = Store(stack.enter_context(_shared.load_context(options)))
        limits = _shared.load_policy(options).limits if _shared.has_policy(options) else None
        suggestion = suggest_allow([file.path for file in files], store, limits)
    if options.format == "json":
        _print_json(suggestion)
    else:
        _print_text(suggestion)
    return 0 if suggestion.suffices else 1


def _print_json(suggestion: Suggestion) -> None:
    from safehold._cli import _shared

    _shared.print_json(
        {
            "schema": 1,
            "allow": suggestion.allow,
            "refused": [
                {"name": name, "reason": reason} for name, reason in suggestion.refused.items()
            ],
            "files": [
                {
                    "path": file.path,
                    "sealed": file.is_sealed,
                    "names": file.names,
                    "findings": file.findings,
                }
                for file in suggestion.files
            ],
        }
    )


def _print_text(suggestion: Suggestion) -> None:
    """Print the line for the policy, and what speaks against it where it does not disturb."""
    import sys

    from safehold._cli import _shared

    entries = ", ".join(f'"{entry}"' for entry in suggestion.allow)
    print(_shared.printable(f"allow = [{entries}]"))
    for reason in suggestion.refused.values():
        print(_shared.printable(f"not proposed: {reason}"), file=sys.stderr)
    for file in suggestion.files:
        for finding in file.findings:
            print(_shared.printable(f"{file.path}: {finding}"), file=sys.stderr)
