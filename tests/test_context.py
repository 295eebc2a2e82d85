"""Policy, keys and recorder in one object."""

from __future__ import annotations

import time

import pytest

from safehold.context import Context
from safehold.errors import ConfigError, WeakKey
from safehold.events import Event
from safehold.keys import generate_key, generate_pair
from safehold.policy import Policy
from tests.holding import SECRET, Events

POLICY = """\
version = 1
[keys]
source = "env:KEY_OF_THE_TEST"
id = "k1"
"""
ENVIRON = {"KEY_OF_THE_TEST": SECRET.hex()}


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "safehold.toml"
    path.write_text(POLICY)
    return path


def test_a_policy_file_is_wired_up(policy):
    events = Events()
    with Context.load(policy, environ=ENVIRON, exporters=(events,)) as hold:
        assert hold.policy.path == policy
        assert hold.root.path == policy.parent.resolve()
        assert hold.keyring.signing.id == "k1"
        hold.recorder.record(Event(action="test", outcome="done"))
    assert [event.action for event in events.rows] == ["policy.load", "test"]
    lines = list((policy.parent / "var/safehold/trail").glob("*/*.jsonl"))
    assert len(lines) == 1
    assert b'"action":"test"' in lines[0].read_bytes()


def test_a_policy_object_is_taken_as_it_is(tmp_path):
    from safehold.policy import KeySource

    policy = Policy(root=tmp_path, key=KeySource("env:KEY_OF_THE_TEST"))
    with Context.load(policy, environ=ENVIRON) as hold:
        assert hold.policy is policy


def test_policy_and_keys_in_force_are_recorded_once_before_the_first_decision(policy):
    policy.write_text(
        policy.read_text() + "[[zone]]\nname = 'z'\npaths = ['z/**']\n"
        "trust = 'internal'\nallow = ['*']\n[revoked]\nkeys = ['k0']\n"
    )
    events = Events()
    with Context.load(policy, environ=ENVIRON, exporters=(events,)) as hold:
        for _ in range(3):
            hold.recorder.record(Event(action="test", outcome="done"))
    first, *others = events.rows
    assert [event.action for event in others] == ["test"] * 3
    assert (first.action, first.key, first.reason) == ("policy.load", "k1", "enforce")
    assert first.artifact == str(policy)
    assert first.detail["keys"] == ["k1"]
    assert first.detail["revoked"] == ["k0"]
    assert first.detail["findings"] == {"high": 1}
    assert len(first.detail["digest"]) == 64
    assert "KEY_OF_THE_TEST" not in str(first)


def test_a_service_with_a_public_key_alone_has_a_context(tmp_path):
    policy = tmp_path / "safehold.toml"
    policy.write_text(
        'version = 1\n[keys]\nsource = "env:PUBLIC"\nid = "p1"\nsuite = "ED25519"\n'
        '[keys.local]\nsource = "env:LOCAL"\nid = "l1"\n'
    )
    environ = {"PUBLIC": generate_pair().public, "LOCAL": generate_key()}
    events = Events()
    with Context.load(policy, environ=environ, exporters=(events,)) as hold:
        hold.recorder.record(Event(action="test", outcome="done"))
    assert (events.rows[0].action, events.rows[0].key) == ("policy.load", "p1")


def test_digest_tells_one_policy_from_another(policy):
    digests = []
    for mode in ("enforce", "monitor", "enforce"):
        text = policy.read_text()
        policy.write_text(f"mode = '{mode}'\n" + text[text.index("version") :])
        events = Events()
        with Context.load(policy, environ=ENVIRON, exporters=(events,)) as hold:
            hold.recorder.record(Event(action="test", outcome="done"))
        digests.append(events.rows[0].detail["digest"])
    assert digests[0] == digests[2] != digests[1]


CHANNEL = """
[alerts]
group = 0
[[alerts.channel]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:9/"
secret = "env:HOOK"
"""


def test_channels_of_the_policy_are_told_and_what_is_left_stays(policy):
    policy.write_text(policy.read_text() + CHANNEL)
    refused = Event(action="load", outcome="refused", reason="Tampered")
    started = time.monotonic()
    with Context.load(policy, environ={**ENVIRON, "HOOK": "x"}, patience=0) as hold:
        hold.recorder.record(refused)
    assert time.monotonic() - started < 3
    assert len(list((policy.parent / "var/safehold/alerts/hook").glob("*.json"))) == 1


def test_spool_that_cannot_be_used_keeps_nothing_from_the_trail(policy):
    policy.write_text(policy.read_text() + CHANNEL)
    (policy.parent / "var/safehold").mkdir(parents=True)
    (policy.parent / "var/safehold/alerts").write_text("no directory")
    with Context.load(policy, environ={**ENVIRON, "HOOK": "x"}, patience=0) as hold:
        hold.recorder.record(Event(action="load", outcome="refused", reason="Tampered"))
    (file,) = (policy.parent / "var/safehold/trail").glob("*/*.jsonl")
    lines = file.read_text()
    assert '"outcome":"refused"' in lines
    assert '"exporter":"alerts"' in lines


def test_nothing_is_written_before_the_first_event(policy):
    Context.load(policy, environ=ENVIRON).close()
    assert list(policy.parent.iterdir()) == [policy]


@pytest.mark.parametrize(
    ("environ", "error", "message"),
    [
        ({}, ConfigError, 'export KEY_OF_THE_TEST="\\$\\(safehold keygen\\)"'),
        ({"KEY_OF_THE_TEST": ""}, WeakKey, "empty"),
        ({"KEY_OF_THE_TEST": "changeme"}, WeakKey, "safehold keygen"),
    ],
)
def test_a_missing_or_weak_key_stops_it(policy, environ, error, message):
    with pytest.raises(error, match=message):
        Context.load(policy, environ=environ)


def test_a_missing_policy_or_root_stops_it(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Context.load(tmp_path / "none.toml", environ=ENVIRON)
    (tmp_path / "safehold.toml").write_text('root = "nowhere"\n' + POLICY)
    with pytest.raises(ConfigError, match="nowhere"):
        Context.load(tmp_path / "safehold.toml", environ=ENVIRON)


def test_the_secret_is_nowhere_to_be_seen(policy):
    with Context.load(policy, environ=ENVIRON) as hold:
        for shown in (repr(hold), repr(hold.keyring), repr(vars(hold)), str(hold.policy)):
            assert SECRET.hex() not in shown
