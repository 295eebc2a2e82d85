"""Metrics and exporters: what one more counter costs, and what an exporter that hangs delays."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench._clocks import in_turn, percentiles
from bench._rows import Row, left_out, ratio, value
from safehold.events import Event, Recorder
from safehold.keys import Key, Keyring, generate_key
from safehold.observe.queueing import Queued
from safehold.observe.trail import Trail

_REPEAT = 5000
_GOAL = 3e-6
_DELAY = 1e-3
_LOAD = Event(action="load", outcome="allowed", codec="joblib", zone="models", artifact="m.joblib")


def rows() -> Iterator[Row]:
    """Yield the counter's increment, and the delay by an exporter that hangs."""
    try:
        yield from _counting()
    except ModuleNotFoundError as error:
        yield left_out("counter increment", str(error), goal=_GOAL)
    yield from _hanging()


def _counting() -> Iterator[Row]:
    from prometheus_client import CollectorRegistry, Counter

    from safehold.observe.metrics import Metrics

    metrics = Metrics()
    peer = Counter("peer_total", "Peer.", ("op",), registry=CollectorRegistry()).labels("load")

    def ours() -> None:
        metrics.export(_LOAD)

    cuts = percentiles(ours)
    yield value("counter increment, p50", cuts[49], goal=_GOAL)
    yield value("counter increment, p99", cuts[98])
    yield ratio("counter increment", in_turn(ours, peer.inc, repeat=_REPEAT), against="bare inc")


class _Hanging:
    def __init__(self) -> None:
        self.go = threading.Event()

    def export(self, event: Event) -> None:  # noqa: ARG002  it never looks at one
        self.go.wait()


def _hanging() -> Iterator[Row]:
    """Record with a queue before an exporter that hangs: it fills, and then drops."""
    keyring = Keyring(Key("k2026", generate_key().encode()))
    with tempfile.TemporaryDirectory() as name:
        alone = Trail(Path(name) / "alone", keyring)
        trail = Trail(Path(name) / "queued", keyring)
        exporter = _Hanging()
        queue = Queued(exporter, patience=0.1)
        plain, queued = Recorder(alone), Recorder(trail, queue)
        before = percentiles(partial(plain.record, _LOAD))
        after = percentiles(partial(queued.record, _LOAD))
        yield value("delay by an exporter that hangs, p50", after[49] - before[49], goal=_DELAY)
        yield value("delay by an exporter that hangs, p99", after[98] - before[98], goal=_DELAY)
        exporter.go.set()
        queued.close()
        alone.close()
        trail.close()
