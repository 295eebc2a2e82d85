from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("prometheus_client")
pytestmark = pytest.mark.extras

from prometheus_client import generate_latest  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from safehold.errors import NotSealed, TrailError  # noqa: E402
from safehold.events import Event, Recorder  # noqa: E402
from safehold.findings import Finding, Location  # noqa: E402
from safehold.observe import labels  # noqa: E402
from safehold.observe.metrics import Metrics, asgi_app, wsgi_app  # noqa: E402
from safehold.policy import EVERY_TYPE  # noqa: E402

LOAD = Event(action="load", outcome="allowed", codec="joblib", artifact="models/m.joblib")
REFUSED = Event(action="load", outcome="refused", reason="Blocked", rule="SH110")


class Trail:
    def __init__(self, failure=None):
        self.events = []
        self.failure = failure

    def export(self, event):
        if self.failure:
            raise self.failure
        self.events.append(event)


def value(metrics, name, **given):
    return metrics.served().get_sample_value(name, given or None)


def series(metrics):
    families = text_string_to_metric_families(generate_latest(metrics.served()).decode())
    return [sample for family in families for sample in family.samples]


# --- what is counted -----------------------------------------------------------------------


def test_operations_are_counted_by_what_happened():
    metrics = Metrics()
    recorder = Recorder(Trail(), metrics)
    for _ in range(3):
        recorder.record(LOAD)
    found = value(metrics, "safehold_operations_total", op="load", format="joblib",
                  outcome="allowed", reason="none")  # fmt: skip
    assert found == 3
    assert value(metrics, "safehold_audit_append_seconds_count") == 3


def test_refusal_is_a_violation_with_its_rule():
    metrics = Metrics()
    with pytest.raises(NotSealed):
        Recorder(Trail(), metrics).refuse(REFUSED, NotSealed("no"))
    assert value(metrics, "safehold_violations_total", rule="SH110", severity="critical") == 1


def test_what_monitor_lets_through_is_a_violation():
    metrics = Metrics()
    metrics.export(Event(action="load", outcome="allowed", reason="mode monitor", rule="SH110"))
    assert value(metrics, "safehold_violations_total", rule="SH110", severity="high") == 1


@pytest.mark.parametrize("outcome", ["allowed", "failed", "done"])
def test_other_outcomes_are_no_violations(outcome):
    metrics = Metrics()
    metrics.export(Event(action="load", outcome=outcome))
    assert not [item for item in series(metrics) if item.name == "safehold_violations_total"]


def test_event_that_the_trail_does_not_take_is_a_write_error():
    metrics = Metrics()
    with pytest.raises(TrailError):
        Recorder(Trail(OSError(28, "full")), metrics).record(LOAD)
    assert value(metrics, "safehold_audit_write_errors_total") == 1
    assert value(metrics, "safehold_audit_append_seconds_count") == 0


def test_duration_is_observed_where_it_was_measured():
    metrics = Metrics()
    metrics.export(LOAD)
    metrics.export(Event(action="load", outcome="allowed", seconds=0.02))
    assert value(metrics, "safehold_operation_seconds_count") == 1
    assert value(metrics, "safehold_operation_seconds_bucket", le="0.05") == 1
    assert value(metrics, "safehold_operation_seconds_bucket", le="0.01") == 0


def test_check_of_the_trail_and_of_the_configuration():
    metrics = Metrics()
    metrics.set_verified(0, 1000.0)
    metrics.set_verified(2, 2000.0)
    assert value(metrics, "safehold_audit_verify_findings") == 2
    assert value(metrics, "safehold_audit_verify_last_success_timestamp_seconds") == 1000
    metrics.set_config([Finding.of(EVERY_TYPE, "x", Location())])
    assert value(metrics, "safehold_config_findings", severity="high") == 1
    metrics.set_config([])
    assert value(metrics, "safehold_config_findings", severity="high") == 0


def test_findings_in_the_policy_come_with_its_event():
    metrics = Metrics()
    detail = {"findings": {"high": 2, "made up": 7}}
    metrics.export(Event(action="policy.load", outcome="done", detail=detail))
    assert value(metrics, "safehold_config_findings", severity="high") == 2
    assert value(metrics, "safehold_config_findings", severity="low") == 0
    assert value(metrics, "safehold_config_findings", severity="made up") is None


# --- bounds --------------------------------------------------------------------------------


def test_flood_of_words_makes_a_fixed_number_of_series():
    metrics = Metrics()
    for number in range(3000):
        word = f"w{number}"
        metrics.export(
            Event(action=word, outcome="refused", codec=word, reason=word, rule=word,
                  detail={"severity": word})
        )  # fmt: skip
    names = ("safehold_operations_total", "safehold_violations_total")
    found = [item for item in series(metrics) if item.name in names]
    assert [sorted(item.labels.values()) for item in found] == [
        ["other", "other", "other", "refused"],
        ["medium", "other"],
    ]
    assert len(metrics._found) <= 1024


def test_rule_that_looks_like_one_of_ours_is_bounded_too():
    metrics = Metrics()
    for number in range(3000):
        metrics.export(Event(action="load", outcome="refused", rule=f"SH{number}"))
    assert len({item.labels["rule"] for item in series(metrics) if "rule" in item.labels}) <= 601


def test_every_word_of_the_package_is_known():
    assert {"Tampered", "Blocked", "OSError", "FileNotFoundError"} <= labels.REASONS
    assert {"load", "dump", "verify", "seal"} <= labels.OPERATIONS


# --- threads, signals, forks ---------------------------------------------------------------


def test_threads_lose_no_count():
    metrics = Metrics()

    def many():
        for _ in range(2000):
            metrics.export(LOAD)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [item for item in series(metrics) if item.name == "safehold_operations_total"]
    assert [item.value for item in found] == [8000]


def test_signal_that_records_while_its_thread_counts_does_not_hang():
    metrics = Metrics()
    other = []

    def interrupt(*_):
        other.append(1)
        metrics.export(REFUSED)
        metrics.appended(1e-5)

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        ends = time.monotonic() + 1
        count = 0
        while time.monotonic() < ends:
            metrics.export(LOAD)
            count += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    metrics.export(LOAD)
    found = {item.labels["outcome"]: item.value for item in series(metrics)
             if item.name == "safehold_operations_total"}  # fmt: skip
    assert found == {"allowed": count + 1, "refused": len(other)}


def test_forked_child_counts_though_another_thread_held_the_lock():
    metrics = Metrics()
    held, release = threading.Event(), threading.Event()

    def hold():
        with metrics._lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        metrics.export(LOAD)
        os._exit(0 if sum(item.value for item in series(metrics)
                          if item.name == "safehold_operations_total") == 1 else 1)  # fmt: skip
    _, status = os.waitpid(pid, 0)
    release.set()
    thread.join()
    assert status == 0


# --- where it goes -------------------------------------------------------------------------


def test_wsgi_app_serves_the_text_format():
    metrics = Metrics()
    metrics.export(LOAD)
    started = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": ""}
    body = b"".join(wsgi_app(metrics)(environ, lambda *given: started.append(given)))
    assert started[0][0].startswith("200")
    assert b'safehold_operations_total{format="joblib",op="load"' in body


def test_asgi_app_serves_the_text_format():
    metrics = Metrics()
    metrics.export(LOAD)
    sent = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/metrics",
        "headers": [],
        "query_string": b"",
    }
    asyncio.run(asgi_app(metrics)(scope, receive, send))
    assert sent[0]["status"] == 200
    assert b"safehold_operations_total" in sent[1]["body"]


def test_text_file_is_replaced_whole(tmp_path):
    metrics = Metrics()
    target = tmp_path / "safehold.prom"
    target.write_text("old")
    with target.open() as reader:
        metrics.write(target)
        assert reader.read() == "old"
    assert "safehold_audit_verify_findings" in target.read_text()
    assert os.listdir(tmp_path) == ["safehold.prom"]


# --- several processes ---------------------------------------------------------------------

_WORKERS = """
import json, multiprocessing, os, sys
from safehold.events import Event
from safehold.observe import workers
from safehold.observe.metrics import Metrics

def work(metrics):
    metrics = metrics or Metrics()
    for _ in range(50):
        metrics.export(Event(action="load", outcome="allowed", seconds=0.02))
    metrics.set_verified(0, 5.0)

def total(metrics):
    found = metrics.served().get_sample_value
    given = {"op": "load", "format": "none", "outcome": "allowed", "reason": "none"}
    return [found("safehold_operations_total", given), found("safehold_operation_seconds_count"),
            found("safehold_audit_verify_last_success_timestamp_seconds")]

if __name__ == "__main__":
    directory = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    workers.clean(directory)
    metrics = Metrics()
    work(metrics)
    way = multiprocessing.get_context(sys.argv[1])
    children = [way.Process(target=work, args=(metrics if sys.argv[1] == "fork" else None,))
                for _ in range(3)]
    for child in children: child.start()
    for child in children: child.join()
    before, files = total(metrics), len(os.listdir(directory))
    gone = workers.merge_dead(directory)
    after = total(metrics)
    again = workers.merge_dead(directory)
    work(metrics)
    print(json.dumps([before, after, total(metrics), gone, again,
                      len(os.listdir(directory)) < files]))
"""


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_processes_are_summed_and_the_files_of_dead_ones_merged(tmp_path, way):
    program = tmp_path / "workers.py"
    program.write_text(_WORKERS)
    folder = tmp_path / "counts"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"of an earlier run")
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, program, way], env=environment, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, after, later, gone, again, fewer = json.loads(done.stdout)
    assert before == after == [200, 200, 5]
    assert later == [250, 250, 5]
    assert gone >= 6
    assert again == 0
    assert fewer
