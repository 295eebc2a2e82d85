"""A violation reaches a real Alertmanager's receiver: by a scrape of Prometheus, and directly."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
import time
import wsgiref.simple_server
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras

pytest.importorskip("prometheus_client")

from safehold.events import Event  # noqa: E402
from safehold.observe.alerts import Alerts  # noqa: E402
from safehold.observe.metrics import Metrics, wsgi_app  # noqa: E402
from safehold.observe.rendering import render  # noqa: E402
from safehold.policy import Policy  # noqa: E402
from safehold.policy.alerts import Alerts as Section  # noqa: E402
from safehold.policy.alerts import Channel  # noqa: E402
from tests.observe.receivers import http_server  # noqa: E402

REFUSED = Event(action="load", outcome="refused", reason="Tampered", rule="SH110",
                artifact="models/m.joblib")  # fmt: skip


def program(*names):
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"{names[0].upper()} IS NOT INSTALLED, so whether an alert arrives IS NOT "
                    f"TRIED HERE: apt-get install prometheus prometheus-alertmanager")  # fmt: skip
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(folder, port, ready, *command) -> Iterator[None]:
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        until(lambda: answers(port, ready, process), 30)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(port, path, process):
    assert process.poll() is None, "it has ended"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def until(condition, seconds):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)


@contextlib.contextmanager
def scraped(metrics) -> Iterator[int]:
    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *given):
            pass

    class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
        daemon_threads = True

    server = wsgiref.simple_server.make_server("127.0.0.1", 0, wsgi_app(metrics), Server, Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def alertmanager(folder, webhook) -> Iterator[int]:
    config = json.loads(render(Policy(root=folder), webhook=webhook)["alertmanager.yml"])
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    port = free_port()
    with running(
        folder, port, "/-/ready", program("prometheus-alertmanager", "alertmanager"),
        "--config.file=alertmanager.yml", "--storage.path=am", "--cluster.listen-address=",
        f"--web.listen-address=127.0.0.1:{port}",
    ):  # fmt: skip
        yield port


@contextlib.contextmanager
def prometheus(folder, target, alerting) -> Iterator[int]:
    (folder / "safehold.rules.yml").write_text(render(Policy(root=folder))["safehold.rules.yml"])
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["safehold.rules.yml"],
        "scrape_configs": [
            {"job_name": "safehold", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        ],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alerting}"]}]}]
        },
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    with running(
        folder, port, "/-/ready", program("prometheus"), "--config.file=prometheus.yml",
        "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}",
    ):  # fmt: skip
        yield port


def told(received):
    """Return what Alertmanager has sent: (alert's name, severity) -> labels."""
    found = {}
    for _, _, body in list(received.requests):
        for alert in json.loads(body)["alerts"]:
            labels = alert["labels"]
            found[labels["alertname"], labels["severity"]] = labels
    return found


def test_violation_is_scraped_and_told(tmp_path):
    program("prometheus")
    program("prometheus-alertmanager", "alertmanager")
    metrics = Metrics()
    with http_server() as received, scraped(metrics) as target:
        webhook = f"http://127.0.0.1:{received.port}/hook"
        with alertmanager(tmp_path, webhook) as alerting, prometheus(tmp_path, target, alerting):
            time.sleep(2.5)  # scraped without the counter, which is then first seen at 1
            assert ("SafeholdViolationCritical", "critical") not in told(received)
            metrics.export(REFUSED)
            until(lambda: ("SafeholdViolationCritical", "critical") in told(received), 30)
            labels = told(received)["SafeholdViolationCritical", "critical"]
    assert (labels["rule"], labels["job"]) == ("SH110", "safehold")


def test_violation_is_told_directly_to_an_alertmanager(tmp_path):
    program("prometheus-alertmanager", "alertmanager")
    with http_server() as received:
        webhook = f"http://127.0.0.1:{received.port}/hook"
        with alertmanager(tmp_path, webhook) as port:
            channel = Channel("am", "alertmanager", f"http://127.0.0.1:{port}")
            section = Section(group=0, channels=(channel,))
            alerts = Alerts(Policy(root=tmp_path, alerts=section), {})
            alerts.export(REFUSED)
            until(lambda: ("SafeholdViolation", "critical") in told(received), 20)
            alerts.close()
            labels = told(received)["SafeholdViolation", "critical"]
    assert (labels["rule"], labels["reason"]) == ("SH110", "Tampered")
    assert not list(Path(tmp_path).rglob("*.json"))
