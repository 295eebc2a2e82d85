"""A guarded program is attacked, and who has to know is told: guard, trail, alert."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import safehold
from safehold.keys import generate_key
from safehold.observe.channels import SIGNATURE
from tests.observe.receivers import http_server

KEYS = {"SAFEHOLD_SECRET_KEY": generate_key(), "HOOK": "key-of-the-hook"}
POLICY = """version = 1
[alerts]
group = 0
[[alerts.channel]]
name = "oncall"
kind = "webhook"
url = "http://127.0.0.1:{port}/alerts"
secret = "env:HOOK"
"""
ATTACK = """import pickle
pickle.loads(b"cposix\\nsystem\\n(S'touch MARK'\\ntR.")
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "app.py").write_text(ATTACK)
    return tmp_path


def attacked(home, port):
    (home / "safehold.toml").write_text(POLICY.format(port=port))
    done = safehold_command(
        home, "run", "--policy", "safehold.toml", "--", sys.executable, "app.py"
    )
    assert done.returncode == 1
    assert "Blocked" in done.stderr
    assert not (home / "MARK").exists()


def safehold_command(home, *arguments):
    source = str(Path(safehold.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-m", "safehold", *arguments], cwd=home, capture_output=True, text=True,
        env={**os.environ, **KEYS, "PYTHONPATH": source}, check=False, timeout=120,
    )  # fmt: skip


def waiting(home):
    return list((home / "var/safehold/alerts/oncall").glob("*.json"))


def test_refusal_of_the_guard_reaches_the_webhook(home):
    with http_server() as received:
        attacked(home, received.port)
    ((path, headers, body),) = received.requests
    assert path == "/alerts"
    at, digest = (part.partition("=")[2] for part in headers[SIGNATURE].split(","))
    signed = hmac.new(KEYS["HOOK"].encode(), f"{at}.".encode() + body, hashlib.sha256)
    assert hmac.compare_digest(digest, signed.hexdigest())
    (alert,) = json.loads(body)["alerts"]
    assert (alert["labels"]["rule"], alert["labels"]["severity"]) == ("SH171", "critical")
    assert alert["annotations"]["caller"].endswith("app.py:2")
    assert safehold_command(home, "trail", "verify", "--policy", "safehold.toml").returncode == 0
    assert not waiting(home)


def test_alert_that_nobody_took_is_sent_by_the_next_process(home):
    attacked(home, 9)  # nobody listens there
    assert len(waiting(home)) == 1
    with http_server() as received:
        attacked(home, received.port)
    assert len(received.requests) == 1
    assert not waiting(home)


def test_process_that_records_for_another_waits_for_no_channel(monkeypatch):
    from safehold.guard import late

    class Hold(contextlib.nullcontext):
        recorder = object()

    given = []
    monkeypatch.setenv("SAFEHOLD_POLICY", "safehold.toml")
    monkeypatch.setattr(late.Context, "load", lambda *_, **options: given.append(options) or Hold())
    with late._recording() as recorder:
        assert recorder is Hold.recorder
    assert given == [{"patience": 0}]
