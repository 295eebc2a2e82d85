from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from email import message_from_bytes

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from safehold import findings
from safehold.errors import ConfigError, ExportError
from safehold.events import Event, Recorder
from safehold.keys.sources import Environment
from safehold.observe import alerts as module
from safehold.observe import channels, labels
from safehold.observe.alerts import Alerts, alert_of
from safehold.observe.channels import SIGNATURE, Alert, Surroundings, send
from safehold.observe.spool import Spool
from safehold.policy import Policy
from safehold.policy import alerts as section
from safehold.policy.alerts import Alerts as Section
from safehold.policy.alerts import Channel
from tests.observe.forks import passes_in_child
from tests.observe.receivers import http_server, mail_server

REFUSED = Event(action="load", outcome="refused", reason="Tampered", artifact="models/m.joblib")
OTHER = Event(action="verify", outcome="refused", reason="UnknownKey", artifact="models/n.joblib")
ENVIRON = {"SECRET": "a-secret-of-a-test"}
MANY = Alert({"alertname": "A", "severity": "high"}, {"summary": "x <!channel> & y\n\x1b[2J"}, 5.0)


def where(tmp_path, **environ):
    return Surroundings(tmp_path, Environment({**ENVIRON, **environ}))


def hook(port, **changes):
    fields = {"name": "hook", "kind": "webhook", "secret": "env:SECRET",
              "url": f"http://127.0.0.1:{port}/in?x=1"} | changes  # fmt: skip
    return Channel(**fields)


def policy(tmp_path, *told, **changes):
    section = Section(**({"group": 0, "channels": told} | changes))
    return Policy(root=tmp_path, alerts=section)


def until(condition, seconds=20):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


class Log:
    def __init__(self):
        self.events = []

    def export(self, event):
        self.events.append(event)


# --- one message ---------------------------------------------------------------------------


def test_webhook_is_signed_over_time_and_body(tmp_path):
    with http_server() as received:
        send(hook(received.port), [MANY], where(tmp_path))
    ((path, headers, body),) = received.requests
    assert path == "/in?x=1"
    at, digest = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers[SIGNATURE]).groups()
    expected = hmac.new(ENVIRON["SECRET"].encode(), f"{at}.".encode() + body, hashlib.sha256)
    assert digest == expected.hexdigest()
    assert json.loads(body)["alerts"][0]["labels"] == dict(MANY.labels)


def test_alertmanager_gets_its_second_api(tmp_path):
    with http_server() as received:
        channel = Channel(
            "am", "alertmanager", f"http://127.0.0.1:{received.port}/p/", "env:SECRET"
        )
        send(channel, [MANY], where(tmp_path))
    ((path, headers, body),) = received.requests
    assert path == "/p/api/v2/alerts"
    assert headers["Authorization"] == f"Bearer {ENVIRON['SECRET']}"
    assert json.loads(body)[0]["startsAt"] == "1970-01-01T00:00:05.000+00:00"


def test_slack_url_is_the_secret_and_nobody_is_called(tmp_path):
    with http_server() as received:
        url = f"http://127.0.0.1:{received.port}/services/T/B/x"
        send(Channel("chat", "slack", "", "env:URL"), [MANY], where(tmp_path, URL=url))
    ((path, _, body),) = received.requests
    assert path == "/services/T/B/x"
    assert json.loads(body) == {"text": "high x &lt;!channel&gt; &amp; y  [2J"}


@pytest.mark.parametrize("url", ["http://example.org/x", "nonsense", "https://u:pass-word@h/"])
def test_slack_secret_that_is_no_such_url_is_refused_and_not_shown(tmp_path, url):
    with pytest.raises(ConfigError) as caught:
        send(Channel("chat", "slack", "", "env:URL"), [MANY], where(tmp_path, URL=url))
    assert "pass-word" not in str(caught.value)


def test_mail_is_plain_text_with_a_fixed_subject(tmp_path):
    with mail_server() as received:
        channel = Channel("mail", "email", f"smtp://127.0.0.1:{received.port}", "", "",
                          "robot@example.org", ("ops@example.org",))  # fmt: skip
        send(channel, [MANY, MANY], where(tmp_path))
    message = message_from_bytes(received.requests[0])
    assert message["Subject"] == "safehold: 2 alerts"
    assert message["To"] == "ops@example.org"
    assert "\x1b" not in message.get_payload()


def test_mail_to_another_machine_needs_tls(tmp_path, monkeypatch):
    monkeypatch.setattr(channels, "LOOPBACK", ())
    with mail_server() as received:
        channel = Channel("mail", "email", f"smtp://127.0.0.1:{received.port}", "", "",
                          "robot@example.org", ("ops@example.org",))  # fmt: skip
        with pytest.raises(ExportError):
            send(channel, [MANY], where(tmp_path))
    assert received.requests == []


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 500])
def test_no_redirect_is_followed_and_no_error_is_success(tmp_path, status):
    with http_server() as other, http_server(status) as received:
        received.headers = {"Location": f"http://127.0.0.1:{other.port}/"}
        with pytest.raises(ExportError, match=str(status)):
            send(hook(received.port), [MANY], where(tmp_path))
    assert other.requests == []


def test_server_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(channels, "SECONDS", 0.2)
    started = time.monotonic()
    with http_server(lambda: time.sleep(1) or 200) as received, pytest.raises(ExportError):
        send(hook(received.port), [MANY], where(tmp_path))
    assert time.monotonic() - started < 10


def certificate(tmp_path, name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(5).not_valid_before(now - dt.timedelta(1))
        .not_valid_after(now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (tmp_path / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (tmp_path / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, plain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
    return lambda socket: context.wrap_socket(socket, server_side=True)


@pytest.mark.parametrize(
    ("name", "ca", "reaches"),
    [("localhost", "localhost.pem", True), ("localhost", "", False), ("other", "other.pem", False)],
)
def test_certificate_is_checked(tmp_path, name, ca, reaches):
    with http_server(wrap=certificate(tmp_path, name)) as received:
        channel = hook(0, url=f"https://localhost:{received.port}/", ca=ca)
        if reaches:
            send(channel, [MANY], where(tmp_path))
        else:
            with pytest.raises(ExportError):
                send(channel, [MANY], where(tmp_path))
    assert len(received.requests) == reaches


def test_token_that_no_header_can_hold_is_not_shown(tmp_path):
    channel = Channel("am", "alertmanager", "http://127.0.0.1:9", "env:TOKEN")
    with pytest.raises(ExportError) as caught:
        send(channel, [MANY], where(tmp_path, TOKEN="first-half\nsecond-half"))
    assert "half" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_missing_secret_is_said_without_showing_one(tmp_path):
    with pytest.raises(ConfigError, match="NONE"):
        send(hook(1, secret="env:NONE"), [MANY], where(tmp_path))


def test_each_kind_of_the_policy_is_sent():
    assert set(channels._KINDS) == set(section.KINDS) == set(section._NEEDED)


# --- what is told, and how often -----------------------------------------------------------


def test_refusal_is_told_once(tmp_path):
    with http_server() as received:
        alerts = Alerts(policy(tmp_path, hook(received.port)), ENVIRON)
        recorder = Recorder(Log(), alerts)
        for _ in range(50):
            recorder.record(REFUSED)
        until(lambda: received.requests)
        recorder.record(REFUSED)
        recorder.close()
    (body,) = (json.loads(body) for _, _, body in received.requests)
    (alert,) = body["alerts"]
    assert alert["labels"] == dict(alert_of(REFUSED).labels)
    assert alert["annotations"]["artifact"] == "models/m.joblib"


def test_another_process_does_not_tell_it_again(tmp_path):
    with http_server() as received:
        for _ in range(2):
            alerts = Alerts(policy(tmp_path, hook(received.port)), ENVIRON)
            alerts.export(REFUSED)
            alerts.close()
        assert len(received.requests) == 1
        alerts = Alerts(policy(tmp_path, hook(received.port), repeat=1), ENVIRON)
        time.sleep(1.1)
        alerts.export(REFUSED)
        alerts.close()
        assert len(received.requests) == 2


@pytest.mark.parametrize(
    "event",
    [Event(action="load", outcome="allowed"), Event(action="load", outcome="failed"),
     Event(action="load", outcome="refused", reason="LimitExceeded")],
)  # fmt: skip
def test_what_is_harmless_or_less_severe_is_not_told(tmp_path, event):
    alerts = Alerts(policy(tmp_path, hook(1)), ENVIRON)
    alerts.export(event)
    alerts.close()
    assert not (tmp_path / "var").exists()


def test_alerts_of_some_seconds_are_one_message(tmp_path):
    with http_server() as received:
        alerts = Alerts(policy(tmp_path, hook(received.port), group=600), ENVIRON, patience=30)
        alerts.export(REFUSED)
        time.sleep(0.5)
        assert received.requests == []
        alerts.export(OTHER)
        alerts.close()  # waits for no more
    (body,) = (json.loads(body) for _, _, body in received.requests)
    assert len(body["alerts"]) == 2


def test_rate_is_limited_and_what_waits_is_not_lost(tmp_path):
    with http_server() as received:
        alerts = Alerts(policy(tmp_path, hook(received.port), rate=1), ENVIRON, patience=1)
        alerts.export(REFUSED)
        until(lambda: received.requests)
        alerts.export(OTHER)
        with pytest.raises(ExportError, match="1 alerts wait"):
            alerts.close()
        assert len(received.requests) == 1
        again = Alerts(policy(tmp_path, hook(received.port)), ENVIRON)
        until(lambda: len(received.requests) == 2)
        again.close()


def test_flood_of_words_makes_few_alerts(tmp_path):
    with http_server() as received:
        alerts = Alerts(policy(tmp_path, hook(received.port), severity="info"), ENVIRON)
        for number in range(2000):
            word = f"w{number}"
            alerts.export(Event(action=word, outcome="refused", reason=word, artifact=word))
        alerts.close()
    assert sum(len(json.loads(body)["alerts"]) for _, _, body in received.requests) == 1


# --- failures ------------------------------------------------------------------------------


def test_failing_channel_is_tried_again_and_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.05)
    log = Log()
    with http_server(500, 503, 429, 200) as received:
        alerts = Alerts(policy(tmp_path, hook(received.port)), ENVIRON)
        recorder = Recorder(log, alerts)
        recorder.record(REFUSED)  # which may tell the failure, if that was quick
        until(lambda: alerts.couriers[0].failure)
        recorder.record(Event(action="load", outcome="allowed"))
        until(lambda: len(received.requests) == 4)
        until(lambda: not alerts.couriers[0].failure)
        recorder.close()
    (told,) = [event for event in log.events if event.action == "export"]
    assert "answer 5" in told.detail["message"]


def test_pauses_grow(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.1)
    times = []
    with http_server(lambda: times.append(time.monotonic()) or 500) as received:
        alerts = Alerts(policy(tmp_path, hook(received.port)), ENVIRON, patience=0)
        with contextlib.suppress(ExportError):
            alerts.export(REFUSED)
        until(lambda: len(times) == 5)
        with pytest.raises(ExportError):
            alerts.close()
    assert times[4] - times[3] > 0.4  # at least half of 0.1 * 2**3
    assert times[4] - times[3] > times[1] - times[0]


def test_decision_does_not_wait_for_a_channel_that_hangs(tmp_path):
    with http_server(lambda: time.sleep(1) or 200) as received:
        alerts = Alerts(policy(tmp_path, hook(received.port)), ENVIRON, patience=30)
        log = Log()
        recorder = Recorder(log, alerts)
        recorder.record(REFUSED)
        until(lambda: received.requests)
        started = time.monotonic()
        for _ in range(200):
            recorder.record(REFUSED)
        assert time.monotonic() - started < 0.9
        assert len(log.events) == 201
        recorder.close()


_KILLED = """
import os, signal, sys
from pathlib import Path
from safehold.events import Event
from safehold.observe.alerts import Alerts
from safehold.policy import Policy
from safehold.policy import alerts as section
from safehold.policy.alerts import Alerts as Section, Channel
channel = Channel("hook", "webhook", f"http://127.0.0.1:{sys.argv[2]}/", "env:SECRET")
alerts = Alerts(Policy(root=Path(sys.argv[1]), alerts=Section(group=600, channels=(channel,))))
alerts.export(Event(action="load", outcome="refused", reason="Tampered", artifact="m"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_alert_of_a_killed_process_is_told_by_the_next(tmp_path):
    with http_server() as received:
        command = [sys.executable, "-c", _KILLED, str(tmp_path), str(received.port)]
        done = subprocess.run(command, env={**os.environ, **ENVIRON}, check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert received.requests == []
        alerts = Alerts(policy(tmp_path, hook(received.port)), ENVIRON)
        until(lambda: received.requests)
        alerts.close()


def test_forked_child_tells_too(tmp_path):
    with http_server() as received:
        alerts = Alerts(policy(tmp_path, hook(received.port)), ENVIRON, patience=25)
        alerts.export(REFUSED)
        until(lambda: received.requests)

        def tell():
            alerts.export(OTHER)
            alerts.close()

        assert passes_in_child(tell)
        assert len(received.requests) == 2
        alerts.close()


def test_signal_that_records_while_an_alert_is_kept_does_not_hang(tmp_path):
    def interrupted():
        alerts = Alerts(policy(tmp_path, hook(1)), ENVIRON, patience=0)
        count = []

        def tell(*_):
            count.append(1)
            alerts.couriers[0].wake()

        signal.signal(signal.SIGVTALRM, tell)
        signal.setitimer(signal.ITIMER_VIRTUAL, 1e-4, 1e-4)
        ends = time.monotonic() + 1
        while time.monotonic() < ends:
            alerts.couriers[0].wake()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        assert len(count) > 5

    assert passes_in_child(interrupted)


def test_closing_twice_waits_once(tmp_path):
    with http_server(lambda: time.sleep(3) or 200) as received:
        alerts = Alerts(policy(tmp_path, hook(received.port)), ENVIRON, patience=0.5)
        alerts.export(REFUSED)
        until(lambda: received.requests)
        with pytest.raises(ExportError):
            alerts.close()
        started = time.monotonic()
        alerts.close()
        assert time.monotonic() - started < 0.4


def test_full_disk_is_recorded_and_the_refusal_stands(tmp_path, monkeypatch):
    log = Log()
    alerts = Alerts(policy(tmp_path, hook(1)), ENVIRON)
    monkeypatch.setattr(Spool, "add", lambda *given: (_ for _ in ()).throw(OSError(28, "full")))
    Recorder(log, alerts).record(REFUSED)
    assert [event.action for event in log.events] == ["load", "export"]
    assert "could not be kept" in log.events[1].detail["message"]


def test_channel_without_room_keeps_no_other_from_being_told(tmp_path):
    (tmp_path / "var/safehold/alerts").mkdir(parents=True)
    (tmp_path / "var/safehold/alerts/first").write_text("no directory")
    with http_server() as received:
        told = [hook(received.port, name=name) for name in ("first", "second")]
        alerts = Alerts(policy(tmp_path, *told), ENVIRON)
        with pytest.raises(ExportError, match="could not be kept: first: "):
            alerts.export(REFUSED)
        until(lambda: received.requests)
        with contextlib.suppress(OSError):
            alerts.close()
    assert len(received.requests) == 1


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"[1,2,3]", b'[{"a":1},{},0]', b"[" * 5000])
def test_spool_file_that_nobody_wrote_is_removed(tmp_path, data):
    file = tmp_path / "x.json"
    file.write_bytes(data)
    assert Spool(tmp_path).read(file) is None
    assert not file.exists()


def test_secrets_are_in_no_file_of_the_spool(tmp_path):
    alerts = Alerts(policy(tmp_path, hook(1)), ENVIRON, patience=0)
    for step in (lambda: alerts.export(REFUSED), alerts.close):
        with contextlib.suppress(ExportError):  # nobody listens
            step()
    secret = ENVIRON["SECRET"].encode()
    assert list((tmp_path / "var").rglob("*.json"))
    for path in (tmp_path / "var").rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes()
            assert base64.b64encode(secret) not in path.read_bytes()


# --- what a channel will not take -----------------------------------------------------------


class Poison:
    """Takes no message that has the bad alert in it, and remembers what it took."""

    def __init__(self, monkeypatch, status=400):
        self.took, self.tries, self.status = [], 0, status
        monkeypatch.setattr(module, "send", self.send)

    def send(self, channel, alerts, where):
        self.tries += 1
        if any(alert.annotations.get("artifact") == "models/bad.joblib" for alert in alerts):
            raise ExportError(f"channel {channel.name!r}: answer {self.status}", is_final=True)
        self.took += [alert.labels["rule"] for alert in alerts]


def refusals(count):
    return [
        Event(action="load", outcome="refused", reason="Tampered", rule=f"SH{100 + number}",
              artifact="models/bad.joblib" if number == 7 else "models/m.joblib",
              detail={"severity": "critical"})
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("rate", [3600, 30])
def test_one_alert_that_is_not_taken_keeps_no_other_waiting(tmp_path, monkeypatch, rate):
    poison = Poison(monkeypatch)
    monkeypatch.setattr(Spool, "sync", lambda self: None)  # a disk may take its time
    told = Alerts(policy(tmp_path, hook(1), group=1, rate=rate))
    for event in refusals(20):
        told.export(event)
    (courier,) = told.couriers
    until(lambda: len(poison.took) == 19, 60)
    until(lambda: not courier.spool.waiting(), 60)
    assert "SH107" not in poison.took
    (aside,) = courier.spool.directory.glob("*.refused")
    log = Log()
    Recorder(log, told).record(Event(action="load", outcome="allowed"))
    told.close()
    (event,) = [event for event in log.events if event.action == "export"]
    assert event.outcome == "failed"
    assert "answer 400" in event.detail["message"]
    assert str(aside)[:200] in event.detail["message"]


def test_alert_that_is_set_aside_is_recorded_when_the_process_ends(tmp_path, monkeypatch):
    Poison(monkeypatch)
    told = Alerts(policy(tmp_path, hook(1), group=3600))
    told.export(refusals(8)[7])
    with pytest.raises(ExportError, match="set aside"):
        told.close()
    told.export(refusals(8)[7])  # within `repeat` it is not tried again


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 429, 500])
def test_only_answers_about_the_message_are_final(tmp_path, status):
    with http_server(status) as server, pytest.raises(ExportError) as caught:
        send(hook(server.port), [MANY], where(tmp_path))
    assert caught.value.is_final == (status in {400, 413, 422})


def test_alerts_that_wait_are_brought_to_disk(tmp_path, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(fd):
        synced.append((os.fstat(fd).st_ino, threading.current_thread()))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    told = Alerts(policy(tmp_path, hook(1), group=3600))
    try:
        told.export(REFUSED)
        (courier,) = told.couriers
        (file,) = courier.spool.waiting()
        places = {file.stat().st_ino, courier.spool.directory.stat().st_ino}
        until(lambda: places <= {place for place, _ in synced})
        # no decision waits for a disk
        assert all(thread is not threading.current_thread() for _, thread in synced)
    finally:
        monkeypatch.setattr(module, "send", lambda *given: None)
        told.close()


def test_severity_of_a_violation_is_that_of_its_rule():
    rule = findings.Rule("SH199", "n", "t", "w", "r", findings.Severity.LOW, 1, "", 0.0)
    event = Event(action="load", outcome="refused", reason="Tampered", rule=rule.id)
    assert labels.severity(event) is findings.Severity.LOW
    said = Event(action="load", outcome="refused", rule=rule.id, detail={"severity": "critical"})
    assert labels.severity(said) is findings.Severity.CRITICAL
    unknown = Event(action="load", outcome="refused", reason="Tampered", rule="SH198")
    assert labels.severity(unknown) is findings.Severity.CRITICAL
