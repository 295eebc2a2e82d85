"""Trail: appending against a bare line and against the standard library, and checking."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from bench._clocks import in_turn, percentiles
from bench._rows import Row, difference, ratio, value
from safehold.credentials.redaction import Pass, Redactor
from safehold.events import Event, Recorder, _prepared
from safehold.keys import Key, Keyring, generate_key
from safehold.observe.check import check_trail
from safehold.observe.reading import verified_lines
from safehold.observe.trail import Trail

_REPEAT = 2000
_CHECKED = 50_000
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
        append = partial(recorder.record, event)
        peers: list[tuple[str, Callable[[], object]]] = [
            ("os.write of the finished line", lambda: os.write(floor, line)),
            ("json.dumps and os.write", lambda: os.write(floor, json.dumps(_FIELDS).encode())),
            ("logging.FileHandler", lambda: handler.info("%s", json.dumps(_FIELDS))),
        ]
        for peer, call in peers:
            yield ratio("append", in_turn(append, call, repeat=_REPEAT), against=peer)
        cuts = percentiles(append)
        yield value("append, p50", cuts[49])
        yield value("append, p99", cuts[98])
        yield from _redaction(recorder, event)
        os.close(floor)
        handler.handlers[0].close()
        trail.close()
        yield from _check_rate(folder / "checked")


class _Nothing(Redactor):
    """Looks at nothing: what is left is the bounding of fields."""

    def passes(self, text: str) -> list[Pass]:  # noqa: ARG002  as the class above
        return []


def _redaction(recorder: Recorder, event: Event) -> Iterator[Row]:
    """Yield what redaction adds to the preparation of an event: without secrets, and with two."""
    ring = Keyring(Key("k2026", generate_key().encode()))
    redactor, nothing = Redactor(traces=ring.traces()), _Nothing()
    leaking = msgspec.structs.replace(
        event, reason="password=Tr0ub4dor", artifact="s3://u:Tr0ub4dor@h/m"
    )
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
    for _ in range(_CHECKED):
        trail.export(event)
    trail.close()
    started = time.perf_counter()
    (result,) = check_trail(folder, ring)
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in folder.glob("*/*.jsonl"))
    problem = f"problem: {result.problem}"
    yield value("check, lines a second", result.lines / seconds, unit="", note=problem)
    yield value("check, bytes a second", size / seconds, unit="B/s")
    started = time.perf_counter()
    count = sum(1 for _ in verified_lines(folder, ring))
    seconds = time.perf_counter() - started
    yield value("lines to export, verified twice, a second", count / seconds, unit="")
