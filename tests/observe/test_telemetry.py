from __future__ import annotations

import pytest

pytestmark = pytest.mark.extras
pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace  # noqa: E402
from opentelemetry.sdk._logs import LoggerProvider  # noqa: E402
from opentelemetry.sdk._logs.export import (  # noqa: E402
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.metrics import MeterProvider  # noqa: E402
from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: E402
    InMemorySpanExporter,
)

from safehold.errors import TrailError  # noqa: E402
from safehold.events import Event, Recorder, request_context  # noqa: E402
from safehold.observe.telemetry import Telemetry  # noqa: E402

LOAD = Event(action="load", outcome="allowed", codec="joblib", artifact="m.joblib", seconds=0.25)
REFUSED = Event(action="load", outcome="refused", reason="Tampered", rule="SH110", seconds=0.1)


class Sdk:
    """The SDK with exporters that keep what they get."""

    def __init__(self):
        self.logs, self.spans = InMemoryLogRecordExporter(), InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        loggers, self.tracers = LoggerProvider(), TracerProvider()
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider([self.reader])
        self.exporter = Telemetry(logs=loggers, meters=self.meters, tracers=self.tracers)

    def records(self):
        return [item.log_record for item in self.logs.get_finished_logs()]

    def points(self, name):
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


class Trail:
    failure = None

    def export(self, event):
        if self.failure:
            raise self.failure


@pytest.fixture
def sdk():
    return Sdk()


def test_operation_is_a_span_over_its_time_within_the_trace(sdk):
    with sdk.tracers.get_tracer("app").start_as_current_span("request") as outer:
        sdk.exporter.export(LOAD)
    span = sdk.spans.get_finished_spans()[0]
    assert span.name == "safehold.load"
    assert span.parent.span_id == outer.get_span_context().span_id
    assert span.end_time - span.start_time == 250_000_000
    assert span.attributes["safehold.artifact"] == "m.joblib"
    assert span.status.is_unset


def test_event_is_a_log_record_of_that_span(sdk):
    with request_context(request="r1"):
        Recorder(Trail(), sdk.exporter).record(LOAD)
    (record,) = sdk.records()
    context = sdk.spans.get_finished_spans()[0].get_span_context()
    assert (record.trace_id, record.span_id) == (context.trace_id, context.span_id)
    assert record.body == "load allowed"
    assert record.severity_text == "INFO"
    assert record.attributes["safehold.codec"] == "joblib"
    assert record.attributes["safehold.request.request"] == "r1"
    assert "safehold.rule" not in record.attributes


def test_event_without_a_duration_is_logged_in_the_trace_around_it(sdk):
    with sdk.tracers.get_tracer("app").start_as_current_span("request") as outer:
        sdk.exporter.export(Event(action="mark", outcome="failed", reason="read-only"))
    (record,) = sdk.records()
    assert record.span_id == outer.get_span_context().span_id
    assert record.severity_text == "WARN"
    assert [span.name for span in sdk.spans.get_finished_spans()] == ["request"]


def test_refusal_is_an_error(sdk):
    sdk.exporter.export(REFUSED)
    (span,) = sdk.spans.get_finished_spans()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description == "Tampered"
    assert sdk.records()[0].severity_text == "FATAL"


def test_counters_have_the_names_and_labels_of_the_other_exporter(sdk):
    recorder = Recorder(Trail(), sdk.exporter)
    for event in (LOAD, LOAD, REFUSED):
        recorder.record(event)
    counts = {tuple(sorted(point.attributes.items())): point.value
              for point in sdk.points("safehold_operations_total")}  # fmt: skip
    assert counts == {
        (("format", "joblib"), ("op", "load"), ("outcome", "allowed"), ("reason", "none")): 2,
        (("format", "none"), ("op", "load"), ("outcome", "refused"), ("reason", "Tampered")): 1,
    }
    (broken,) = sdk.points("safehold_violations_total")
    assert dict(broken.attributes) == {"rule": "SH110", "severity": "critical"}


def test_times_and_failures_of_the_trail(sdk):
    trail = Trail()
    recorder = Recorder(trail, sdk.exporter)
    recorder.record(LOAD)
    trail.failure = OSError(28, "full")
    with pytest.raises(TrailError):
        recorder.record(LOAD)
    (appended,) = sdk.points("safehold_audit_append_seconds")
    assert appended.count == 1


def test_what_the_trail_did_not_take_is_counted(sdk):
    trail = Trail()
    trail.failure = OSError(28, "full")
    with pytest.raises(TrailError):
        Recorder(trail, sdk.exporter).record(LOAD)
    (errors,) = sdk.points("safehold_audit_write_errors_total")
    assert errors.value == 1
    assert sdk.records() == []


def test_flood_of_words_makes_one_time_series(sdk):
    for number in range(500):
        word = f"w{number}"
        sdk.exporter.export(Event(action=word, outcome="done", reason=word, codec=word))
    assert len(sdk.points("safehold_operations_total")) == 1


def test_without_an_sdk_nothing_happens():
    Telemetry().export(LOAD)
