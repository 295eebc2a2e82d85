"""Metrics and exporters: what one more counter costs, and what an exporter that hangs delays."""

from __future__ import annotations

from collections.abc import Iterator

from bench._clocks import in_turn, percentiles
from bench._rows import Row, left_out, ratio, value
from safehold.events import Event

_REPEAT = 5000
_GOAL = 3e-6
_LOAD = Event(action="load", outcome="allowed", codec="joblib", zone="models", artifact="m.joblib")


def rows() -> Iterator[Row]:
    """Yield the counter's increment."""
    try:
        yield from _counting()
    except ModuleNotFoundError as error:
        yield left_out("counter increment", str(error), goal=_GOAL)


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
