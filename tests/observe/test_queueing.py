from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from safehold.errors import ExportError
from safehold.events import Event, Recorder
from safehold.observe import queueing
from safehold.observe.queueing import Queued
from tests.observe.forks import passes_in_child

LOAD = Event(action="load", outcome="allowed", artifact="models/m.joblib")


class Log:
    def __init__(self):
        self.events = []

    def export(self, event):
        self.events.append(event)


class Hanging(Log):
    """Takes nothing until it is let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def export(self, event):
        self.go.wait(60)
        super().export(event)


class Slow(Log):
    def export(self, event):
        time.sleep(0.05)
        super().export(event)


class Failing(Log):
    def export(self, event):
        raise ConnectionRefusedError


def numbered(count):
    return [Event(action="load", outcome="allowed", size=number) for number in range(count)]


def test_events_arrive_in_order():
    log = Log()
    queue = Queued(log)
    for event in numbered(500):
        queue.export(event)
    queue.close()
    assert [event.size for event in log.events] == list(range(500))


@pytest.mark.parametrize("exporter", [Hanging, Slow, Failing])
def test_exporter_neither_delays_a_decision_nor_loses_it_from_the_trail(exporter):
    trail, target = Log(), exporter()
    queue = Queued(target, patience=0.1)
    recorder = Recorder(trail, queue)
    recorder.record(LOAD)  # starts the thread
    times = []
    for event in numbered(2000):
        started = time.thread_time()
        recorder.record(event)
        times.append(time.thread_time() - started)
    loads = [event for event in trail.events if event.action == "load"]
    assert [event.size for event in loads] == [0, *range(2000)]
    # Processor time of this thread: a machine that is busy with others says nothing about us.
    # A wait would show in the wall time below.
    assert sorted(times)[-20] < 0.001
    if exporter is Hanging:
        target.go.set()
    recorder.close()


def test_waiting_exporter_holds_nobody_up():
    queue = Queued(Hanging(), size=100, patience=0.1)
    recorder = Recorder(Log(), queue)
    started = time.monotonic()
    for event in numbered(1000):
        recorder.record(event)
    assert time.monotonic() - started < 5  # each would wait for a minute
    queue._exporter.go.set()


def test_what_does_not_fit_is_counted_and_recorded(monkeypatch):
    monkeypatch.setattr(queueing, "_REPORT_SECONDS", 0.0)
    trail, target = Log(), Hanging()
    queue = Queued(target, size=10, patience=30)
    recorder = Recorder(trail, queue)
    recorder.record(LOAD)
    while queue._waiting.qsize():
        time.sleep(0.001)  # the first is with the exporter
    for event in numbered(15):
        recorder.record(event)
    told = [event for event in trail.events if event.action == "export"]
    assert [event.detail for event in told] == [
        {"exporter": "Hanging", "message": "1 events did not reach Hanging: the queue is full"}
    ] * 5
    target.go.set()
    recorder.close()
    assert [event.size for event in target.events] == [0, *range(10)]


def test_flood_of_losses_makes_few_lines():
    trail, target = Log(), Hanging()
    queue = Queued(target, size=1, patience=0.05)
    recorder = Recorder(trail, queue)
    started = time.monotonic()
    for event in numbered(3000):
        recorder.record(event)
    recorder.close()
    told = [event for event in trail.events if event.action == "export"]
    assert len(told) <= time.monotonic() - started + 3
    lost = sum(int(event.detail["message"].split()[0]) for event in told)
    assert lost == 3000  # the one that the exporter holds is among them
    target.go.set()


def test_failures_in_the_thread_are_recorded(monkeypatch):
    monkeypatch.setattr(queueing, "_REPORT_SECONDS", 0.0)
    trail = Log()
    queue = Queued(Failing())
    recorder = Recorder(trail, queue)
    recorder.record(LOAD)
    recorder.close()
    (told,) = [event for event in trail.events if event.action == "export"]
    assert told.reason == "ExportError"
    assert "ConnectionRefusedError" in told.detail["message"]


def test_after_closing_events_are_lost_and_said_to_be():
    queue = Queued(Log())
    queue.close()
    with pytest.raises(ExportError, match="closed"):
        queue.export(LOAD)


def test_closing_closes_the_exporter_once():
    class Closing(Log):
        closed = 0

        def close(self):
            self.closed += 1

    target = Closing()
    queue = Queued(target)
    queue.export(LOAD)
    queue.close()
    queue.close()
    assert target.closed == 1


def test_forked_child_has_a_queue_of_its_own():
    target = Hanging()
    queue = Queued(target, patience=20)
    for event in numbered(3):
        queue.export(event)
    held, release = threading.Event(), threading.Event()

    def hold():
        with queue._lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)

    def export():
        target.go = threading.Event()
        target.go.set()
        target.events = []
        queue.export(Event(action="load", outcome="done", size=7))
        queue.close()
        assert [event.size for event in target.events] == [7]

    passed = passes_in_child(export)
    release.set()
    thread.join()
    target.go.set()
    queue.close()
    assert passed
    assert [event.size for event in target.events] == [0, 1, 2]


_AT_EXIT = """
import sys, threading, time
from safehold.events import Event
from safehold.observe.queueing import Queued

class Target:
    def export(self, event):
        if sys.argv[1] == "hang":
            threading.Event().wait()
        time.sleep(0.01)
        print(event.size, flush=True)

queue = Queued(Target(), patience=float(sys.argv[2]))
for number in range(20):
    queue.export(Event(action="load", outcome="allowed", size=number))
"""


@pytest.mark.parametrize(("way", "patience", "arrive"), [("slow", 30, 20), ("hang", 0.3, 0)])
def test_end_of_the_process_waits_but_not_for_ever(way, patience, arrive):
    done = subprocess.run(
        [sys.executable, "-c", _AT_EXIT, way, str(patience)], capture_output=True, text=True,
        check=False, timeout=50,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(number) for number in range(arrive)]
