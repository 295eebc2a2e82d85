"""``safehold trail``: verify or follow the trail of decisions."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold.context import Context
    from safehold.keys import Keyring
    from safehold.observe.problems import Problem
    from safehold.observe.retention import Pruned

HELP = """`verify` recomputes the chain of every writer and names the first bad line; `tail` prints
the newest lines without verifying them, `tail -f` goes on with new ones; `prune` removes writers
whose last line is older than `--keep-days`, and says so in the manifest; `checkpoint` says what the
trail is now, signed, for a witness elsewhere to keep: `verify --witness` compares. `export`
writes lines for other programs, `stats` counts them; both verify the whole trail first, unless
`--unverified`."""

_POLL_SECONDS = 0.5
_TASKS = ("verify", "tail", "prune", "checkpoint", "export", "stats")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _exporting, _shared

    parser.add_argument("task", choices=_TASKS, help="what to do")
    parser.add_argument("-n", "--lines", type=int, default=10, metavar="N", help="lines of tail")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines")
    parser.add_argument(
        "--to",
        action="append",
        default=[],
        metavar="WITNESS",
        help="where the checkpoint goes: file:PATH, cmd:PROGRAM ARG..., https://...",
    )
    parser.add_argument(
        "--witness",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="checkpoints that verify compares with",
    )
    parser.add_argument(
        "--jobs",
        type=_shared.jobs,
        default=1,
        metavar="N",
        help="processes that verify uses; -1 for all cores (default: 1)",
    )
    parser.add_argument("--keep-days", type=int, metavar="DAYS", help="what prune leaves")
    parser.add_argument(
        "--metrics",
        metavar="FILE",
        help="write the result of verify to FILE too, as text for Prometheus's node_exporter",
    )
    parser.add_argument("--output", metavar="FILE", help="where export writes to")
    parser.add_argument("--host", metavar="NAME", help="whose trail it is (default: this machine)")
    parser.add_argument(
        "--unverified", action="store_true", help="export or count lines as they are"
    )
    _exporting.add_query(parser)
    _shared.add_policy(parser)
    parser.add_argument(
        "--format",
        choices=("text", "json", *_exporting.FORMATS),
        default="text",
        help="of verify, tail, prune and stats: text, json; the others are of export",
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when the trail was changed."""
    from safehold._cli import _exporting, _shared
    from safehold.errors import ConfigError

    if (options.format in _exporting.FORMATS) is not (options.task == "export"):
        forms = ", ".join(_exporting.FORMATS)
        message = f"export takes --format {forms}; every other action text or json"
        raise ConfigError(message)
    policy = _shared.load_policy(options)
    directory = policy.root / policy.trail
    if not directory.is_dir():
        message = f"no trail at {directory}: nothing was recorded under this policy yet"
        raise ConfigError(message)
    if options.task == "tail":
        return _tail(options, directory)
    from safehold.keys import Keyring

    keyring = Keyring.load(policy.key_sources, policy.root, local=policy.local_key)
    keyring = keyring.revoking(policy.revoked.with_file(policy.root).keys)
    tasks = {
        "verify": _verify,
        "prune": _prune,
        "checkpoint": _checkpoint,
        "export": _exporting.export,
        "stats": _exporting.stats,
    }
    return tasks[options.task](options, directory, keyring)


def _verify(options: argparse.Namespace, directory: Path, keyring: Keyring) -> int:
    from safehold._cli import _shared
    from safehold.observe.check import check_trail
    from safehold.observe.check_manifest import Listed
    from safehold.observe.parallel import check_in_parallel
    from safehold.observe.witness import compare

    jobs = (os.cpu_count() or 1) if options.jobs == -1 else options.jobs
    listed = Listed(directory, keyring)
    if jobs == 1:
        results = list(check_trail(directory, keyring))
    else:
        results = list(check_in_parallel(directory, keyring, jobs))
    missing = listed.compare(results)
    for witness in options.witness:
        with open(witness, "rb") as file:
            missing += compare(file, str(witness), directory, keyring, results)
    bad = [result for result in results if result.problem is not None]
    if options.metrics:
        _write_metrics(options.metrics, len(bad) + len(missing))
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
        manifest = [_problem(found) for found in missing]
        _shared.print_json({"schema": 1, "writers": rows, "manifest": manifest})
    else:
        for found in missing:
            print(_shared.printable(found))
        for result in results:
            for one in (result.torn, result.problem):
                if one is not None:
                    print(_shared.printable(one))
        lines = sum(result.lines for result in results)
        print(f"{len(results)} writers, {lines} lines verified, {len(bad)} with a problem")
    return 1 if bad or missing else 0


def _write_metrics(path: str, findings: int) -> None:
    """Write the file whole or not at all. Raises OSError."""
    from safehold._cli._targets import Target
    from safehold.observe.verified import text_of

    file = Path(path)
    before = file.read_text("utf-8", "replace") if file.is_file() else ""
    with ExitStack() as stack:
        Target.of("", path, stack).write(text_of(findings, time.time(), before))


def _prune(options: argparse.Namespace, directory: Path, keyring: Keyring) -> int:
    from safehold._cli import _shared
    from safehold.errors import ConfigError
    from safehold.events import Event
    from safehold.observe.retention import prune

    if options.keep_days is None:
        options.keep_days = _shared.load_policy(options).recording.keep_days or None
    if options.keep_days is None or options.keep_days < 0:
        message = (
            "say what to keep: safehold trail prune --keep-days DAYS, or keep_days in [trail] "
            "of the policy"
        )
        raise ConfigError(message)
    before = datetime.now(UTC) - timedelta(days=options.keep_days)
    results = []
    with ExitStack() as stack:
        held: list[Context] = []  # a run that removes nothing leaves no writer of its own

        def tell(result: Pruned) -> None:
            if not held:
                held.append(stack.enter_context(_shared.load_context(options)))
            detail = {"lines": result.lines, "days": options.keep_days}
            held[0].recorder.record(
                Event(action="prune", outcome="allowed", artifact=result.writer, detail=detail)
            )

        for result in prune(directory, keyring, before, tell):
            results.append(result)
            if options.format != "json":
                what = f"kept: {result.kept}" if result.kept else f"{result.lines} lines removed"
                print(_shared.printable(f"{result.writer}: {what}"))
    if options.format == "json":
        rows = [dataclasses.asdict(result) for result in results]
        _shared.print_json({"schema": 1, "writers": rows})
    return 1 if any(result.kept for result in results) else 0


def _checkpoint(options: argparse.Namespace, directory: Path, keyring: Keyring) -> int:
    from safehold._cli import _shared
    from safehold.errors import ConfigError
    from safehold.events import Event
    from safehold.observe.witness import checkpoint, send

    if not options.to:
        print(checkpoint(directory, keyring).decode(), end="")
        return 0
    with _shared.load_context(options) as hold:
        event = Event(action="checkpoint", outcome="allowed", detail={"to": options.to})
        hold.recorder.record(event)
        line = checkpoint(directory, keyring)
        for witness in options.to:
            try:
                send(line, witness, os.environ)
            except (OSError, ConfigError) as error:
                failed = Event(
                    action="checkpoint",
                    outcome="failed",
                    reason=type(error).__name__,
                    detail={"to": witness, "message": str(error)},
                )
                hold.recorder.record(failed)
                raise
    return 0


def _problem(found: Problem | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {**dataclasses.asdict(found), "path": str(found.path)}


def _tail(options: argparse.Namespace, directory: Path) -> int:
    from safehold._cli._exporting import query_of
    from safehold.observe.tail import Tail

    tail = Tail(directory, query_of(options))
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
