"""Witnesses of the policy get checkpoints while something is recorded, and no decision waits."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time

import pytest

from safehold.context import Context
from safehold.errors import ConfigError
from safehold.events import Event
from safehold.keys import generate_key
from safehold.observe import witnessing
from safehold.observe.check import check_trail
from safehold.observe.witness import compare
from safehold.policy import Policy
from safehold.policy.rendering import render_policy
from tests.observe.forks import passes_in_child

LOAD = Event(action="load", outcome="allowed", artifact="models/m.joblib")
KEY = generate_key()


def loaded(tmp_path, trail="", environ=None):
    file = tmp_path / "safehold.toml"
    file.write_text(f'version = 1\n[keys]\nsource = "env:K"\n[trail]\npath = "trail"\n{trail}\n')
    return Context.load(Policy.load(file), environ={"K": KEY, **(environ or {})})


def problems(hold, kept):
    directory = hold.policy.root / hold.policy.trail
    results = list(check_trail(directory, hold.keyring))
    with open(kept, "rb") as lines:
        return [one.kind for one in compare(lines, "kept", directory, hold.keyring, results)]


def until(condition):
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_nothing_is_sent_where_nothing_is_recorded(tmp_path):
    with loaded(tmp_path, 'witness = ["file:kept"]'):
        pass
    assert not (tmp_path / "kept").exists()
    assert not any(thread.name == "safehold witness" for thread in threading.enumerate())


def test_service_gives_checkpoints_by_itself_and_they_show_what_is_put_back(tmp_path):
    hold = loaded(tmp_path, 'witness = ["file:kept"]\nwitness_every = 1')
    with hold:
        hold.recorder.record(LOAD)
        until((tmp_path / "kept").exists)
        shutil.copytree(tmp_path / "trail", tmp_path / "old")
        hold.recorder.record(LOAD)
    assert len((tmp_path / "kept").read_bytes().splitlines()) == 2  # one more at the end
    assert problems(hold, tmp_path / "kept") == []
    shutil.rmtree(tmp_path / "trail")
    (tmp_path / "old").rename(tmp_path / "trail")
    assert "witness" in problems(hold, tmp_path / "kept")


def test_witness_that_takes_nothing_is_in_the_trail_and_delays_nothing(tmp_path):
    with loaded(tmp_path, 'witness = ["file:missing/kept"]\nwitness_every = 1') as hold:
        hold.recorder.record(LOAD)
    lines = [json.loads(line)["e"] for file in (tmp_path / "trail").glob("2*/*.jsonl")
             for line in file.read_text().splitlines()]  # fmt: skip
    (event,) = [line for line in lines if line["action"] == "export"]
    assert event["outcome"] == "failed"
    assert event["detail"]["exporter"] == "witness"


def test_of_processes_that_share_a_trail_one_tells(tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(witnessing, "send", lambda line, *_: sent.append(line))
    with loaded(tmp_path, 'witness = ["file:kept"]') as one:
        one.recorder.record(LOAD)
        (held,) = [item for item in one.recorder._exporters if item.name == "witness"]
        with held._alone() as alone:
            assert alone
            two = loaded(tmp_path, 'witness = ["file:kept"]')
            two.recorder.record(LOAD)
            two.close()
            assert sent == []
    assert len(sent) == 1


@pytest.mark.forking
def test_forked_child_tells_too(tmp_path):
    hold = loaded(tmp_path, 'witness = ["file:kept"]\nwitness_every = 3600')

    def child():
        hold.recorder.record(LOAD)
        hold.close()
        assert len((tmp_path / "kept").read_bytes().splitlines()) == 1

    assert passes_in_child(child)
    hold.close()


@pytest.mark.parametrize(
    "text",
    [
        'witness = "file:x"', 'witness = ["x"]', 'witness = ["cmd:"]', 'witness = ["cmd:\'"]',
        'witness = ["http://example.org/"]', "witness_every = 0", "keep_days = -1", "sync = 0",
        "sync = true", 'segment = "1 KiB"', "segment = 5",
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_an_error(tmp_path, text):
    with pytest.raises(ConfigError, match=r"trail\."):
        loaded(tmp_path, text)


def test_size_and_time_of_the_policy_are_those_of_the_trail(tmp_path, monkeypatch):
    with loaded(tmp_path, 'segment = "64 KiB"\nsync = 30') as hold:
        for _ in range(400):
            hold.recorder.record(LOAD)
        (home,) = (tmp_path / "trail").glob("2*")
        sizes = [path.stat().st_size for path in sorted(home.glob("*.jsonl"))]
        assert len(sizes) > 1
        assert all(64 * 2**10 <= size < 65 * 2**10 for size in sizes[:-1])
        time.sleep(0.5)
        assert not hold._trail.is_settled
    assert os.listdir(home)


def test_policy_that_is_written_says_the_same(tmp_path):
    with loaded(
        tmp_path,
        'segment = "1 MiB"\nsync = 1.5\nkeep_days = 90\nwitness_every = 5\n'
        'witness = ["file:kept", "cmd:touch \'a b\'", "https://example.org/in"]',
    ) as hold:
        policy = hold.policy
    file = tmp_path / "again.toml"
    file.write_text(render_policy(policy))
    again = Policy.load(file).recording
    assert again == policy.recording
    assert (again.segment, again.sync, again.keep_days, again.witness_every) == (2**20, 1.5, 90, 5)
    assert len(again.witness) == 3
