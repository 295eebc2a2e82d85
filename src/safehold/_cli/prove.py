"""``safehold prove``: try attacks on a copy of a service and say which got in."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safehold.prove import Proof, Result

HELP = """Copy a service's tree, start it there without any network but its own loopback, and really
try attacks: commands planted in artifacts, artifacts tampered with, exchanged and replayed, SQL,
scripts, paths, headers, known keys, oversize bodies. Payloads touch a marker file and do nothing
else. Exit code 1 if something got in, 2 if the service does not run. A probe that cannot be tried
is "not tried" and says why."""

_WORDS = {"got-in": "GOT IN", "held": "held", "not-tried": "not tried"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "path", nargs="?", default=".", metavar="PATH", help="the tree (default: .)"
    )
    parser.add_argument(
        "--against",
        default="",
        metavar="CMD|URL",
        help="the command that starts it, with {port}, run in the copy; or where it runs already, "
        "on this machine alone: then nothing is said about its files",
    )
    parser.add_argument(
        "--hints", metavar="FILE", help="the [prove] table (default: PATH/prove.toml, if there)"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="PROBE", help="this probe; may be repeated"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=300, metavar="N",
        help="after that nothing more is tried (default: 300)",
    )  # fmt: skip
    parser.add_argument(
        "--host-network", action="store_true",
        help="leave the network as it is, for a service whose database runs on this machine",
    )  # fmt: skip
    parser.add_argument(
        "--keep", metavar="DIR", help="leave copy, trail and log in DIR, which is new or empty"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format")
    parser.add_argument(
        "--output", metavar="FILE", help="also write the document that reports read to FILE"
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when something got in."""
    import os

    from safehold._cli import _shared
    from safehold._cli._targets import Target
    from safehold.errors import ConfigError
    from safehold.prove import Plan, prove
    from safehold.prove.hints import FILE, Hints
    from safehold.prove.probes import PROBES
    from safehold.report.shown import json_text

    root = Path(options.path).resolve()
    if not root.is_dir():
        message = f"{options.path} is no directory"
        raise ConfigError(message)
    known = [probe.id for probe in PROBES]
    if unknown := [name for name in options.only if name not in known]:
        message = f"no probe is called {unknown[0]}; there are {', '.join(known)}"
        raise ConfigError(message)
    given = Path(options.hints) if options.hints else root / FILE
    hints = Hints.load(given) if options.hints or given.is_file() else Hints()
    plan = Plan(
        root, hints, options.against, frozenset(options.only), options.seconds,
        own_network=not options.host_network,
    )  # fmt: skip
    with ExitStack() as stack:
        # Opened before there is a document: minutes are not to end with a missing directory.
        output = Target.of("json", options.output, stack) if options.output else None
        proof = prove(plan, stack.enter_context(_place(options.keep)), dict(os.environ))
        if output is not None:
            output.write(json_text(proof.as_json()))
    if options.format == "json":
        _shared.print_json(proof.as_json())
    else:
        _print(proof)
    return 1 if proof.count("got-in") else 0


@contextmanager
def _place(keep: str | None) -> Iterator[Path]:
    """Yield the directory of the run, which goes afterwards unless it is to be kept."""
    import tempfile

    from safehold.errors import ConfigError

    if keep is None:
        with tempfile.TemporaryDirectory(prefix="safehold-prove-") as folder:
            yield Path(folder).resolve()
        return
    place = Path(keep).resolve()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(place.iterdir()):
        message = f"{keep} is not empty"
        raise ConfigError(message)
    yield place


def _print(proof: Proof) -> None:
    from safehold._cli._text import printable

    for note in proof.notes:
        print(f"note: {printable(note)}")
    for result in proof.results:
        for line in _lines(result):
            print(printable(line))
    counts = (f"{proof.count(outcome)} {word.lower()}" for outcome, word in _WORDS.items())
    print(f"\n{len(proof.results)} probes in {proof.seconds:.0f} s: {', '.join(counts)}")
    if proof.tree:
        print(f"tree: {proof.tree}")


def _lines(result: Result) -> Iterator[str]:
    probe = result.probe
    yield f"{_WORDS[result.outcome]:<10} {probe.id} ({probe.rule}): {probe.title}"
    if result.reason:
        yield f"    why not: {result.reason}"
    for row in result.tried:
        yield f"    {_WORDS[row.outcome]:<9} {row.what}: {row.evidence}"
        # What it allowed meanwhile is in the document.
        for seen in (one for one in row.noticed if one["outcome"] in ("refused", "failed")):
            said = " ".join(str(seen[key]) for key in ("action", "outcome", "rule", "reason"))
            yield f"              trail: {' '.join(said.split())} ({seen['count']})"


def _seconds(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= 3600:
        message = "a number, 1 to 3600"
        raise argparse.ArgumentTypeError(message)
    return number
