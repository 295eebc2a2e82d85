"""What `safehold trail export` and `stats` do, and the options that say which lines are meant."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safehold.keys import Keyring
    from safehold.observe.lines import Line, Query

FORMATS = ("jsonl", "ocsf", "ecs", "cef", "parquet")
"""As in `observe.formats`; a test compares. Here, so that none is imported in vain."""
_SHOWN = 10  # values of a field that the text of `stats` shows


def add_query(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which lines are meant."""
    group = parser.add_argument_group("which lines (tail, export, stats); * is any text")
    group.add_argument("--since", default="", metavar="TIME", help="from then on: 2026-01-31, 2h")
    group.add_argument("--until", default="", metavar="TIME", help="before that")
    for name in ("rule", "caller", "artifact", "action", "outcome", "zone"):
        group.add_argument(f"--{name}", default="", metavar="TEXT", help=f"with this {name}")
    group.add_argument("--request", default="", metavar="ID", help="with this id, or NAME=ID")


def query_of(options: argparse.Namespace) -> Query:
    """Return what the options ask for. Raises ConfigError."""
    from safehold.observe.lines import FIELDS, Query, parse_time

    now = datetime.now(UTC)
    times = {name: getattr(options, name) for name in ("since", "until")}
    return Query(
        **{name: parse_time(text, now) if text else "" for name, text in times.items()},
        **{name: getattr(options, name) for name in (*FIELDS, "request")},
    )


def export(options: argparse.Namespace, directory: Path, keyring: Keyring) -> int:
    """Write the lines that are asked for; a file appears when all of them are in it.

    Raises:
        Tampered: the trail does not verify.
        OSError
    """
    from safehold._cli._targets import Target
    from safehold.observe.formats import open_writer
    from safehold.replacing import FileRange, replace_file
    from safehold.report.rules import all_rules

    all_rules()  # how bad a violation is says its rule
    lines = _lines(options, directory, keyring)
    with ExitStack() as stack:
        target = Target.of("", options.output, stack) if options.output else None
        file: IO[bytes]
        if target is None:
            sys.stdout.flush()
            file = sys.stdout.buffer
        elif not target.name:
            file = stack.enter_context(os.fdopen(os.dup(target.handle), "wb"))
        else:
            place = f"/proc/self/fd/{target.handle}"
            file = stack.enter_context(tempfile.TemporaryFile(dir=place))
        writer = open_writer(options.format, file, options.host or os.uname().nodename)
        for line in lines:
            writer.write(line)
        writer.close()
        file.flush()
        if target is not None and target.name:
            pieces = [FileRange(file.fileno(), 0, os.fstat(file.fileno()).st_size)]
            replace_file(target.handle, target.name, pieces)
    return 0


def stats(options: argparse.Namespace, directory: Path, keyring: Keyring) -> int:
    """Print counts of the lines that are asked for. Raises Tampered, OSError."""
    from safehold._cli import _shared
    from safehold.observe.stats import Stats

    counts = Stats()
    for line in _lines(options, directory, keyring):
        counts.add(line)
    document = counts.document()
    if options.format == "json":
        _shared.print_json(document)
    else:
        for text in _text(document):
            print(_shared.printable(text))
    return 0


def _text(document: dict[str, Any]) -> Iterator[str]:
    between = f", {document['first']} to {document['last']}" if document["events"] else ""
    yield f"{document['events']} events{between}"
    for name, counts in document.items():
        if isinstance(counts, dict) and counts:
            rows = list(counts.items())
            shown = rows if name == "hours" else rows[:_SHOWN]
            yield f"{name}:"
            yield from (f"  {count:>8}  {value}" for value, count in shown)
            if len(rows) > len(shown):
                rest = sum(count for _, count in rows[_SHOWN:])
                yield f"  {rest:>8}  in {len(rows) - _SHOWN} others"


def _lines(options: argparse.Namespace, directory: Path, keyring: Keyring) -> Iterator[Line]:
    from safehold.observe.lines import read_lines
    from safehold.observe.reading import verified_lines

    query = query_of(options)
    every = read_lines(directory) if options.unverified else verified_lines(directory, keyring)
    return (line for line in every if query.takes(line.time, line.event))
