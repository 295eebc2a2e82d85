"""Policy, keys and recorder in one object."""

from __future__ import annotations

import pytest

from safehold.context import Context
from safehold.errors import ConfigError, WeakKey
from safehold.events import Event
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
    assert [event.action for event in events.rows] == ["test"]
    lines = list((policy.parent / "var/safehold/trail").glob("*/*.jsonl"))
    assert len(lines) == 1
    assert b'"action":"test"' in lines[0].read_bytes()


def test_a_policy_object_is_taken_as_it_is(tmp_path):
    from safehold.policy import KeySource

    policy = Policy(root=tmp_path, key=KeySource("env:KEY_OF_THE_TEST"))
    with Context.load(policy, environ=ENVIRON) as hold:
        assert hold.policy is policy


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
