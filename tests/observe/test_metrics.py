from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

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
from tests.observe.forks import passes_in_child  # noqa: E402

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
    metrics.export(Event(action="load", outcome="allowed", reason="mode monitor", rule="SH699"))
    assert value(metrics, "safehold_violations_total", rule="SH699", severity="high") == 1


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


def statement(fingerprint, outcome="done", seconds=0.004, **more):
    return Event(action="statement", outcome=outcome, artifact=fingerprint, codec="sqlite",
                 seconds=seconds, **more)  # fmt: skip


def test_statements_are_timed_by_fingerprint_once_they_are_said_often():
    metrics = Metrics()
    for _ in range(12):
        metrics.export(statement("aa"))
    metrics.export(statement("bb", "failed"))
    metrics.export(statement("cc", "refused"))
    name = "safehold_statement_seconds"
    assert value(metrics, f"{name}_count", format="sqlite", statement="aa") == 3
    assert value(metrics, f"{name}_bucket", format="sqlite", statement="aa", le="0.005") == 3
    assert value(metrics, f"{name}_count", format="sqlite", statement="other") == 10
    assert value(metrics, "safehold_operation_seconds_count") == 0


def test_made_up_statements_make_no_new_time_series():
    metrics = Metrics()
    for at in range(3_000):
        metrics.export(statement(f"once {at}"))
    for _ in range(20):
        metrics.export(statement("failing", "failed"))
        metrics.export(statement("injected", rule="SH510"))
    for at in range(150):
        for _ in range(10):
            metrics.export(statement(f"often {at}"))
    found = {item.labels["statement"] for item in series(metrics) if "statement" in item.labels}
    assert len(found) == 101
    assert {word.partition(" ")[0] for word in found} == {"often", "other"}


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


def test_before_a_check_nothing_says_that_one_is_overdue():
    names = {item.name for item in series(Metrics())}
    assert not [name for name in names if "verify" in name]
    assert "safehold_audit_write_errors_total" in names


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


_SAID = re.compile(
    r'action(?:=|": |: str = )"([a-z.]+)"'
    r'|(?:\bRecorded\([\w.]+, |self\._opened\(|\bending\(policy, )"([a-z.]+)"'
)


def test_every_operation_that_the_package_records_is_known():
    package = Path(labels.__file__).parents[1]
    files = [package / "context.py", package / "events.py", *package.glob("_cli/*.py")]
    packages = ("artifacts", "db", "deploy", "guard", "inputs", "observe", "prove", "web")
    files += [path for name in packages for path in (package / name).rglob("*.py")]
    said = {word for path in files for pair in _SAID.findall(path.read_text("utf-8"))
            for word in pair if word}  # fmt: skip
    said |= {"commit"}  # handed on
    said -= {
        "append",
        "store_true",
        "store_false",
        "extend",
        "version",
        "help",
        "count",
    }  # of argparse
    assert {"load", "unpickle", "rotate", "policy.load", "scan"} <= said
    assert said == set(labels.OPERATIONS)


def test_reasons_are_known_words():
    assert {"Tampered", "Blocked", "OSError", "FileNotFoundError"} <= labels.REASONS


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


def test_event_that_comes_while_its_thread_is_scraped_is_counted_afterwards():
    def scrape():
        metrics = Metrics()
        counter = metrics._operations.labels(*labels.operation(LOAD))

        class Interrupted:
            """A signal's handler or a finalizer records where the counter's lock is held."""

            def collect(self):
                with counter._value._lock:
                    metrics.export(LOAD)
                    metrics.appended(1e-5)
                return []

        metrics.registry.register(Interrupted())
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": ""}
        wsgi_app(metrics)(environ, lambda *given: None)
        assert counter._value.get() == 1

    assert passes_in_child(scrape)


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

    def count():
        metrics.export(LOAD)
        counted = [item.value for item in series(metrics)
                   if item.name == "safehold_operations_total"]  # fmt: skip
        assert counted == [1]

    passed = passes_in_child(count)
    release.set()
    thread.join()
    assert passed


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
    assert "safehold_audit_write_errors_total" in target.read_text()
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
    assert gone >= 9
    assert again == 0
    assert fewer
    kinds = ["counter", "gauge_max", "gauge_mostrecent", "histogram"]
    left = sorted(path.name for path in folder.glob("*.db"))
    assert [name for name in left if "dead" in name] == [f"{kind}_dead.db" for kind in kinds]
    assert len(left) == 2 * len(kinds)


def test_dead_processes_say_together_what_the_living_say(tmp_path):
    from prometheus_client.mmap_dict import MmapedDict, mmap_key
    from prometheus_client.multiprocess import MultiProcessCollector

    from safehold.observe import workers

    dead = [2**22 + number for number in range(1, 4)]  # above the largest process id
    for pid, number, at in zip(dead, (3.0, -7.0, 5.0), (30.0, 10.0, 20.0), strict=True):
        for kind in ("counter", "gauge_max", "gauge_min", "gauge_sum", "gauge_mostrecent"):
            file = MmapedDict(str(tmp_path / f"{kind}_{pid}.db"))
            file.write_value(mmap_key(kind, kind, (), (), ""), number, at)
            file.close()
        for kind in ("gauge_all", "gauge_livemax"):
            file = MmapedDict(str(tmp_path / f"{kind}_{pid}.db"))
            file.write_value(mmap_key(kind, kind, (), (), ""), number, at)
            file.close()

    def said():
        found = MultiProcessCollector(None, str(tmp_path)).collect()
        return {(sample.name, *sample.labels.values()): sample.value
                for metric in found for sample in metric.samples}  # fmt: skip

    before = said()
    workers.merge_dead(tmp_path)
    assert before.pop(("gauge_livemax",)) == 5
    assert said() == before
    assert before["gauge_max",] == 5
    assert before["gauge_min",] == -7
    assert before["gauge_mostrecent",] == 3
    assert len(list(tmp_path.glob("*.db"))) == 5 + 3
