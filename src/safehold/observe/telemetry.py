"""OpenTelemetry (extra ``otel``): events as log records, the counters of `metrics`, spans.

Only the API is needed: the service sets up the SDK with its processors, which send from a thread of
their own. So this exporter belongs before no queue: in another thread there is no trace to join.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from safehold.errors import MissingExtra
from safehold.events import Event
from safehold.findings import Severity
from safehold.observe import labels

try:
    from opentelemetry import _logs, metrics, trace
    from opentelemetry.context import get_current
except ModuleNotFoundError as missing:
    package = "opentelemetry-api"
    raise MissingExtra(package, "otel") from missing

_SCOPE: Final = "safehold"
_TEXTS: Final = ("reason", "rule", "zone", "artifact", "codec", "key", "caller")
_LEVELS: Final = {
    Severity.INFO: _logs.SeverityNumber.INFO,
    Severity.LOW: _logs.SeverityNumber.WARN,
    Severity.MEDIUM: _logs.SeverityNumber.WARN,
    Severity.HIGH: _logs.SeverityNumber.ERROR,
    Severity.CRITICAL: _logs.SeverityNumber.FATAL,
}


class Telemetry:
    """Exports to the given providers, else to those that the service has set for the process."""

    name = "telemetry"

    def __init__(self, *, logs: Any = None, meters: Any = None, tracers: Any = None) -> None:
        """Each is a provider of OpenTelemetry's API or SDK."""
        self._logger = _logs.get_logger(_SCOPE, logger_provider=logs)
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracers)
        meter = metrics.get_meter(_SCOPE, meter_provider=meters)
        self._operations = meter.create_counter("safehold_operations_total")
        self._violations = meter.create_counter("safehold_violations_total")
        self._write_errors = meter.create_counter("safehold_audit_write_errors_total")
        self._seconds = meter.create_histogram("safehold_operation_seconds", "s")
        self._append_seconds = meter.create_histogram("safehold_audit_append_seconds", "s")

    def export(self, event: Event) -> None:
        """Count the event, close a span over the time that it took, and log it there."""
        now = time.time_ns()
        names = ("op", "format", "outcome", "reason")
        self._operations.add(1, dict(zip(names, labels.operation(event), strict=True)))
        if labels.is_violation(event):
            severity = labels.severity(event).label
            self._violations.add(1, {"rule": labels.rule(event), "severity": severity})
        attributes = _attributes(event)
        if not event.seconds:
            self._log(event, now, attributes)
            return
        self._seconds.record(event.seconds)
        begun = now - round(event.seconds * 1e9)
        span = self._tracer.start_span(
            f"safehold.{event.action}", start_time=begun, attributes=attributes
        )
        with trace.use_span(span):
            self._log(event, now, attributes)
        if event.outcome in ("refused", "failed"):
            span.set_status(trace.Status(trace.StatusCode.ERROR, event.reason))
        span.end(now)

    def appended(self, seconds: float) -> None:
        """Take how long the trail took for one event."""
        self._append_seconds.record(seconds)

    def not_appended(self) -> None:
        """Count an event that the trail did not take."""
        self._write_errors.add(1)

    def _log(self, event: Event, now: int, attributes: Mapping[str, Any]) -> None:
        level = _logs.SeverityNumber.INFO
        if labels.is_violation(event):
            level = _LEVELS[labels.severity(event)]
        elif event.outcome == "failed":
            level = _logs.SeverityNumber.WARN
        record = _logs.LogRecord(
            timestamp=now,
            observed_timestamp=now,
            context=get_current(),
            severity_number=level,
            severity_text=level.name,
            body=f"{event.action} {event.outcome}",
            attributes=dict(attributes),
            event_name=f"safehold.{event.action}",
        )
        self._logger.emit(record)


def _attributes(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {"safehold.op": event.action, "safehold.outcome": event.outcome}
    for name in _TEXTS:
        if value := getattr(event, name):
            found[f"safehold.{name}"] = value
    for name in ("generation", "size"):
        if number := getattr(event, name):
            found[f"safehold.{name}"] = number
    for name, value in event.request.items():
        found[f"safehold.request.{name}"] = value
    return found
