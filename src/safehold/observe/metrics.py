"""Metrics of what was decided, for Prometheus (extra ``monitor``).

An exporter that counts: ``Context.load(policy, exporters=(Metrics(),))``. Every label value comes
from a closed vocabulary (`labels`). Nothing is kept in prometheus-client's global registry.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import Counter as Counts
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from safehold.errors import MissingExtra
from safehold.events import Event
from safehold.findings import Finding
from safehold.observe import labels

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        make_asgi_app,
        make_wsgi_app,
        values,
        write_to_textfile,
    )
    from prometheus_client.multiprocess import MultiProcessCollector
except ModuleNotFoundError as missing:
    package = "prometheus-client"
    raise MissingExtra(package, "monitor") from missing

if TYPE_CHECKING:
    from pathlib import Path

_APPEND_BUCKETS = (5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 1e-3, 1e-2, 0.1, 1.0)
_OPERATION_BUCKETS = (1e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
_STATEMENT_BUCKETS = (1e-3, 5e-3, 0.025, 0.1, 0.5, 2.5, 10.0)
_REMEMBERED = 1024
"""Most sets of raw words whose counter is remembered; made-up ones past that are looked up."""


class Metrics:
    """Counts events; threads share it, a forked child starts from zero.

    Under ``PROMETHEUS_MULTIPROC_DIR`` the counts of all processes are kept in that directory by
    prometheus-client, and each process serves their sum.
    """

    name = "metrics"

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._start()
        _ALL.add(self)

    def _start(self) -> None:
        # A signal handler or finalizer may record while its own thread counts or is read, and
        # prometheus-client's locks are not reentrant: what it records is counted afterwards.
        self._lock = threading.RLock()
        self._busy = False
        self._readers: list[int] = []
        self._waiting.clear()
        self._found: dict[tuple[str, ...], Callable[[], None]] = {}
        self.registry = CollectorRegistry()
        self._operations = Counter(
            "safehold_operations_total",
            "Operations and decisions.",
            ("op", "format", "outcome", "reason"),
            registry=self.registry,
        )
        self._violations = Counter(
            "safehold_violations_total",
            "Refusals, and what was let through in mode monitor.",
            ("rule", "severity"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "safehold_operation_seconds",
            "Time that operations on artifacts took.",
            buckets=_OPERATION_BUCKETS,
            registry=self.registry,
        )
        self._statements = labels.Most()
        self._statement_seconds = Histogram(
            "safehold_statement_seconds",
            "Time that statements of a database took, by their fingerprint.",
            ("format", "statement"),
            buckets=_STATEMENT_BUCKETS,
            registry=self.registry,
        )
        self._append_seconds = Histogram(
            "safehold_audit_append_seconds",
            "Time that the trail took for one event.",
            buckets=_APPEND_BUCKETS,
            registry=self.registry,
        )
        self._write_errors = Counter(
            "safehold_audit_write_errors_total",
            "Events that the trail did not take; what they were about was refused.",
            registry=self.registry,
        )
        # Not there before a check has ended: 0 would read as a check that is long overdue.
        self._found_by_check: Gauge | None = None
        self._last_success: Gauge | None = None
        self._config_findings = Gauge(
            "safehold_config_findings",
            "Findings in the policy and settings.",
            ("severity",),
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )

    def export(self, event: Event) -> None:
        """Count an event; one that interrupts another is counted after it."""
        self._waiting.append(event)
        if not self._readers or threading.get_ident() not in self._readers:
            self._count_waiting()

    def _count_waiting(self) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                while self._waiting:
                    self._count(self._waiting.popleft())
            finally:
                self._busy = False

    def _count(self, event: Event) -> None:
        words = (event.action, event.codec, event.outcome, event.reason)
        count = self._found.get(words)
        if count is None:
            count = self._operations.labels(*labels.operation(event)).inc
            if len(self._found) < _REMEMBERED:
                self._found[words] = count
        count()
        if event.action == "statement":
            self._observe_statement(event)
        elif event.seconds:
            self._seconds.observe(event.seconds)
        if event.action == "policy.load":
            self._set_config(event.detail.get("findings") or {})
        if labels.is_violation(event):
            severity = labels.severity(event).label
            self._violations.labels(labels.rule(event), severity).inc()

    def _observe_statement(self, event: Event) -> None:
        if event.outcome != "refused":
            # Of what fails the text may be what somebody sent.
            done = event.outcome == "done" and not event.rule.startswith("SH5")
            known = self._statements.label(event.artifact) if done else labels.OTHER
            of = labels.operation(event)[1], known
            self._statement_seconds.labels(*of).observe(event.seconds)

    def appended(self, seconds: float) -> None:
        """Take how long the trail took for one event."""
        self._watched(lambda: self._append_seconds.observe(seconds))

    def not_appended(self) -> None:
        """Count an event that the trail did not take."""
        self._watched(self._write_errors.inc)

    def _watched(self, note: Callable[[], object]) -> None:
        if threading.get_ident() in self._readers:
            return
        with self._lock:
            if self._busy:  # in a signal handler
                return
            self._busy = True
            try:
                note()
            finally:
                self._busy = False

    def set_verified(self, findings: int, at: float) -> None:
        """Take the result of `check_trail`, which ended at the time `at`."""
        if self._found_by_check is None:
            self._found_by_check = Gauge(
                "safehold_audit_verify_findings",
                "Problems that the last check of the trail found.",
                registry=self.registry,
                multiprocess_mode="mostrecent",
            )
        self._found_by_check.set(findings)
        if findings:
            return
        if self._last_success is None:
            self._last_success = Gauge(
                "safehold_audit_verify_last_success_timestamp_seconds",
                "When a check of the trail found nothing for the last time.",
                registry=self.registry,
                multiprocess_mode="max",
            )
        self._last_success.set(at)

    def set_config(self, findings: Iterable[Finding]) -> None:
        """Take what is wrong with the configuration, in place of what `Policy.check` says."""
        self._set_config(Counts(finding.severity.label for finding in findings))

    def _set_config(self, counts: Any) -> None:
        for severity in labels.SEVERITIES:
            self._config_findings.labels(severity).set(counts.get(severity, 0))

    @contextlib.contextmanager
    def reading(self) -> Iterator[CollectorRegistry]:
        """Give what a scrape is answered from; nothing is counted in this thread meanwhile."""
        self._readers.append(threading.get_ident())
        try:
            yield self.served()
        finally:
            self._readers.remove(threading.get_ident())
            self._count_waiting()

    def served(self) -> CollectorRegistry:
        """Return what a scrape is answered from: this process, or all that share a directory."""
        if not values.ValueClass._multiprocess:  # noqa: SLF001  the one place that tells
            return self.registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return registry

    def write(self, path: str | Path) -> None:
        """Write a text file for node_exporter, whole or not at all. Raises OSError."""
        with self.reading() as registry:
            write_to_textfile(str(path), registry)


def asgi_app(metrics: Metrics) -> Callable[..., Any]:
    """Return an ASGI app that answers a scrape; it asks nobody who they are."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with metrics.reading() as registry:
            await make_asgi_app(registry)(scope, receive, send)

    return app


def wsgi_app(metrics: Metrics) -> Callable[..., Any]:
    """Return a WSGI app that answers a scrape; it asks nobody who they are."""

    def app(environ: Any, start_response: Any) -> Any:
        with metrics.reading() as registry:
            return make_wsgi_app(registry)(environ, start_response)

    return app


_ALL: weakref.WeakSet[Metrics] = weakref.WeakSet()


def _start_anew() -> None:
    # Another thread may have held a lock at the fork, which nobody would release here. In
    # multiprocess mode prometheus-client itself starts a file for the child.
    for metrics in list(_ALL):
        metrics._start()  # noqa: SLF001  its own module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
