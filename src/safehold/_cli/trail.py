"""``safehold trail``: verify or follow the trail of decisions."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold.observe.check import Problem

HELP = """`verify` recomputes the chain of every writer and names the first bad line; `tail` prints
the newest lines without verifying them, `tail -f` goes on with new ones."""

_POLL_SECONDS = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("action", choices=("verify", "tail"), help="what to do")
    parser.add_argument("-n", "--lines", type=int, default=10, metavar="N", help="lines of tail")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines")
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when the trail was changed."""
    from safehold._cli import _shared
    from safehold.errors import ConfigError

    policy = _shared.load_policy(options)
    directory = policy.root / policy.trail
    if not directory.is_dir():
        message = f"no trail at {directory}: nothing was recorded under this policy yet"
        raise ConfigError(message)
    if options.action == "tail":
        return _tail(options, directory)
    from safehold.keys import Keyring
    from safehold.observe.check import check_trail

    keyring = Keyring.load(policy.key_sources, policy.root, local=policy.local_key)
    keyring = keyring.revoking(policy.revoked.with_file(policy.root).keys)
    results = list(check_trail(directory, keyring))
    bad = [result for result in results if result.problem is not None]
    if options.format == "json":
        rows = [
            {
                "writer": result.writer,
                "lines": result.lines,
                "problem": _problem(result.problem),
                "torn": _problem(result.torn),
            }
            for result in results
        ]
        _shared.print_json({"schema": 1, "writers": rows})
    else:
        for result in results:
            for found in (result.torn, result.problem):
                if found is not None:
                    print(_shared.printable(found))
        lines = sum(result.lines for result in results)
        print(f"{len(results)} writers, {lines} lines verified, {len(bad)} with a problem")
    return 1 if bad else 0


def _problem(found: Problem | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {**dataclasses.asdict(found), "path": str(found.path)}


def _tail(options: argparse.Namespace, directory: Path) -> int:
    from safehold.observe.tail import Tail

    tail = Tail(directory)
    rows = tail.last(options.lines)
    while True:
        for row in rows:
            print(_line(row, options.format), flush=True)
        if not options.follow:
            return 0
        time.sleep(_POLL_SECONDS)
        rows = tail.new()


def _line(row: dict[str, object], form: str) -> str:
    from safehold._cli import _shared

    if form == "json":
        return json.dumps(row, ensure_ascii=True)
    event = row.get("e")
    event = event if isinstance(event, dict) else {}
    parts = [str(row.get("t")), str(event.get("action")), str(event.get("outcome"))]
    parts += [
        f"{name}={event[name]}"
        for name in ("reason", "rule", "zone", "artifact", "codec", "generation", "caller")
        if event.get(name)
    ]
    return _shared.printable(" ".join(parts))
