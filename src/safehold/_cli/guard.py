"""``safehold guard``: the guard of a whole environment, and what a monitored run teaches."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from safehold._cli import _shared

HELP = """`enable` turns the guard on in every Python process of this environment in which the
policy's [activation] holds; `disable` takes that back; `status` says what applies here; `learn`
prints the smallest policy under which what was recorded in mode monitor would be allowed."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=("enable", "disable", "status", "learn"))
    parser.add_argument("--directory", type=Path, metavar="DIR",
                        help="site-packages, if not this environment's")  # fmt: skip
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the action. Exit code 1: learn found what cannot be allowed."""
    return {"enable": _enable, "disable": _disable, "status": _status, "learn": _learn}[
        options.action
    ](options)


def _enable(options: argparse.Namespace) -> int:
    from safehold.guard.activation import enable

    # The keys as well: with keys that cannot be loaded, no process would start any more.
    with _shared.load_context(options) as hold:
        policy = hold.policy
    paths = [str(path) for path in enable(policy, options.directory)]
    if options.format == "json":
        _shared.print_json({"schema": 1, "written": paths})
        return 0
    for path in paths:
        print(f"wrote {_shared.printable(path)}")
    activation = policy.activation
    print(f"the guard is on in processes with {activation.variable} set to one of: "
          f"{', '.join(activation.values)}")  # fmt: skip
    return 0


def _disable(options: argparse.Namespace) -> int:
    from safehold.guard.activation import disable

    paths = [str(path) for path in disable(options.directory)]
    if options.format == "json":
        _shared.print_json({"schema": 1, "removed": paths})
        return 0
    for path in paths:
        print(f"removed {_shared.printable(path)}")
    if not paths:
        print("the guard was not enabled here")
    return 0


def _status(options: argparse.Namespace) -> int:
    from safehold.guard import is_installed
    from safehold.guard.activation import enabled_policy, holds
    from safehold.guard.native import native
    from safehold.policy import Policy

    enabled = enabled_policy(options.directory)
    path = enabled[0] if enabled else ""
    policy = Policy.load(path) if path else None
    rows = {
        "schema": 1,
        "python": sys.executable,
        "on": is_installed(),
        "native": native is not None,
        "enabled": enabled is not None,
        "policy": path,
        "variable": policy.activation.variable if policy else "",
        "holds": bool(policy and holds(policy, os.environ)),
        "mode": policy.mode if policy else "",
        "stale": bool(policy and enabled and enabled[1] != policy.activation.variable),
    }
    if options.format == "json":
        _shared.print_json(rows)
        return 0
    extension = "with" if rows["native"] else "without"
    print(f"in this process: {'on' if rows['on'] else 'off'}, {extension} the extension in C")
    if policy is None:
        print(
            "in this environment: not enabled; turn it on with: safehold guard enable --policy FILE"
        )
        return 0
    print(f"in this environment: enabled, policy {_shared.printable(path)}, mode {policy.mode}")
    print(f"{policy.activation.variable} {'holds' if rows['holds'] else 'does not hold'} here")
    if rows["stale"]:
        print("the policy names another variable by now: run safehold guard enable again")
    return 0


def _learn(options: argparse.Namespace) -> int:
    from safehold.errors import ConfigError
    from safehold.guard.learn import learn, widened
    from safehold.observe.tail import Tail
    from safehold.policy.rendering import render_policy

    policy = _shared.load_policy(options)
    directory = policy.root / policy.trail
    if not directory.is_dir():
        message = f"no trail at {directory}: run the program first: safehold run --mode monitor"
        raise ConfigError(message)
    learned = learn(Tail(directory).new(), policy)
    wider, refused = widened(policy, learned)
    text = render_policy(wider)
    if options.format == "json":
        _shared.print_json({"schema": 1, "policy": text, "seal": sorted(learned.to_seal),
                            "refused": refused})  # fmt: skip
    else:
        print(text)
        for path in sorted(learned.to_seal):
            print(f"# to be sealed: safehold seal {_shared.printable(path)}")
        for line in refused:
            print(f"# stays refused: {_shared.printable(line)}")
    return 1 if refused else 0
