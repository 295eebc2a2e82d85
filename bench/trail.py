"""Trail: appending against a bare line and against the standard library, and checking."""

from __future__ import annotations

import json
import logging
import os
import statistics
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from unittest.mock import patch

import msgspec

from bench._clocks import in_turn, percentiles
from bench._rows import Row, difference, ratio, value
from safehold.credentials.redaction import Pass, Redactor
from safehold.events import Event, Recorder, _prepared
from safehold.keys import Key, Keyring, generate_key
from safehold.observe import writer
from safehold.observe.check import check_trail
from safehold.observe.parallel import check_in_parallel
from safehold.observe.reading import verified_lines
from safehold.observe.trail import Trail

_REPEAT = 2000
_CHECKED = 200_000
_SEGMENT = 8 * 2**20
_WRITERS = 4
_BUSY = 20_000
# About 400 bytes as a line, like a real load.
_FIELDS = {
    "action": "load",
    "outcome": "allowed",
    "zone": "models",
    "artifact": "models/production/fraud-detector.joblib",
    "codec": "joblib",
    "key": "k2026",
    "generation": 12,
    "size": 10_485_760,
    "caller": "src/service/scoring.py",
    "request": {"request": "0b9c6a0e-6f0e-4c0c-9d38-0d4cf3f0a3b1"},
}


def rows() -> Iterator[Row]:
    """Yield the ratios of one append, percentiles, and the rate of checking."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trail = Trail(folder / "trail", Keyring(Key("k2026", generate_key().encode())))
        recorder = Recorder(trail)
        event = Event(**_FIELDS)
        recorder.record(event)
        floor = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        line = next((folder / "trail").glob("2*/*.jsonl")).read_bytes().splitlines(keepends=True)[1]
        handler = _logger(folder / "log")
        record = partial(recorder.record, event)
        append = partial(trail.export, event)
        peers: list[tuple[str, Callable[[], object], float | None]] = [
            ("os.write of the finished line", lambda: os.write(floor, line), 5),
            (
                "json.dumps and os.write",
                lambda: os.write(floor, json.dumps(_FIELDS).encode()),
                None,
            ),
            ("logging.FileHandler", lambda: handler.info("%s", json.dumps(_FIELDS)), 0.5),
        ]
        # Redaction has a row of its own; the rows after these are with it.
        for label, call in (("append", append), ("append with redaction", record)):
            for peer, other, goal in peers:
                pairs = in_turn(call, other, repeat=_REPEAT)
                bound = goal if label == "append" else None
                yield ratio(label, pairs, against=peer, goal=bound)
        cuts = percentiles(record)
        yield value("append with redaction, p50", cuts[49])
        yield value("append with redaction, p99", cuts[98])
        yield from _busy_rows(folder / "busy", event)
        yield from _redaction(recorder, event)
        os.close(floor)
        handler.handlers[0].close()
        trail.close()
        yield from _check_rate(folder / "checked")


def _busy_rows(folder: Path, event: Event) -> Iterator[Row]:
    """Yield the percentile of single appends while four write, as threads and as processes."""
    ring = Keyring(Key("k2026", generate_key().encode()))
    for kind in ("threads", "processes"):
        trail = Trail(folder / kind, ring)
        recorder = Recorder(trail, redactor=Redactor(traces=ring.traces()))
        times = (_in_threads if kind == "threads" else _in_processes)(
            partial(recorder.record, event)
        )
        trail.close()
        cuts = statistics.quantiles(times, n=100)
        yield value(f"append with redaction, 4 busy {kind}, p50", cuts[49])
        yield value(f"append with redaction, 4 busy {kind}, p99", cuts[98], goal=100e-6)


def _timed(action: Callable[[], object]) -> array[float]:
    clock = time.perf_counter
    times = array("d")
    for _ in range(_BUSY):
        started = clock()
        action()
        times.append(clock() - started)
    return times


def _in_threads(action: Callable[[], object]) -> array[float]:
    with ThreadPoolExecutor(_WRITERS) as pool:
        found = [pool.submit(_timed, action) for _ in range(_WRITERS)]
        return sum((one.result() for one in found), array("d"))


def _in_processes(action: Callable[[], object]) -> array[float]:
    pipes = []
    for _ in range(_WRITERS):
        out, into = os.pipe()
        pid = os.fork()
        if not pid:
            with open(into, "wb") as file:
                file.write(_timed(action).tobytes())
            os._exit(0)
        os.close(into)
        pipes.append((pid, out))
    times = array("d")
    for pid, out in pipes:
        with open(out, "rb") as file:
            times.frombytes(file.read())
        os.waitpid(pid, 0)
    return times


class _Nothing(Redactor):
    """Looks at nothing: what is left is the bounding of fields."""

    def is_clean(self, text: str) -> bool:  # noqa: ARG002  as the class above
        return True

    def passes(self, text: str) -> list[Pass]:  # noqa: ARG002  as the class above
        return []


class _Forgetting(Redactor):
    """Remembers no text that it has looked at."""

    def is_clean(self, text: str) -> bool:
        return not self.passes(text)


def _redaction(recorder: Recorder, event: Event) -> Iterator[Row]:
    """Yield what redaction adds to the preparation of an event: without secrets, and with two."""
    ring = Keyring(Key("k2026", generate_key().encode()))
    redactor, nothing = Redactor(traces=ring.traces()), _Nothing()
    leaking = msgspec.structs.replace(
        event, reason="password=Tr0ub4dor", artifact="s3://u:Tr0ub4dor@h/m"
    )
    new = _Forgetting(traces=ring.traces())
    pairs = in_turn(
        partial(_prepared, event, new), partial(_prepared, event, nothing), repeat=_REPEAT
    )
    yield difference("redaction, texts new to it", pairs, against="bounding its fields", goal=5e-6)
    for name, one in (("no secret", event), ("two secrets", leaking)):
        pairs = in_turn(
            partial(_prepared, one, redactor), partial(_prepared, one, nothing), repeat=_REPEAT
        )
        goal = 5e-6 if one is event else None
        yield difference(f"redaction, {name}", pairs, against="bounding its fields", goal=goal)
        append = partial(recorder.record, one)
        pairs = in_turn(append, partial(_prepared, one, redactor), repeat=_REPEAT)
        yield ratio(f"append, {name}", pairs, against="its preparation and redaction")


def _logger(path: Path) -> logging.Logger:
    logger = logging.getLogger("bench.trail")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(message)s"))
    logger.addHandler(handler)
    return logger


def _check_rate(folder: Path) -> Iterator[Row]:
    ring = Keyring(Key("k2026", generate_key().encode()))
    trail = Trail(folder, ring)
    event = Event(**_FIELDS)
    with patch.object(writer, "_SEGMENT_BYTES", _SEGMENT):
        for _ in range(_CHECKED):
            trail.export(event)
        trail.close()
    pairs = in_turn(
        lambda: list(check_in_parallel(folder, ring, 2)),
        lambda: list(check_trail(folder, ring)),
        rounds=5,
    )
    (result,) = check_trail(folder, ring)
    size = sum(path.stat().st_size for path in folder.glob("*/*.jsonl"))
    problem = f"problem: {result.problem}"
    once = pairs.medians("cpu")[1]
    per_line = once / result.lines
    yield value("check, a line of one core", per_line, goal=1 / 150_000, note=problem)
    yield value("check, lines a second of one core", 1 / per_line, unit="")
    yield value("check, bytes a second of one core", size / once, unit="B/s")
    yield ratio(
        "check by two processes", pairs, "wall", against="one, two free cores", goal=1 / 1.8
    )
    yield ratio("check by two processes", pairs, against="one: half of it is the best of two cores")
    started = time.perf_counter()
    count = sum(1 for _ in verified_lines(folder, ring))
    seconds = time.perf_counter() - started
    yield value("lines to export, verified twice, a second", count / seconds, unit="")
