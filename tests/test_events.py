from __future__ import annotations

import asyncio
import enum
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.errors import Blocked, ExportError, NotSealed, TrailError
from safehold.events import Event, Recorder, request_context
from safehold.observe.writer import encoded


class Log:
    """An exporter that keeps what it gets, and can fail."""

    def __init__(self, *failures):
        self.events = []
        self.failures = list(failures)

    def export(self, event):
        if self.failures:
            failure = self.failures.pop(0)
            if failure is not None:
                raise failure
        self.events.append(event)


LOAD = Event(action="load", outcome="allowed", artifact="models/m.pkl")
FAILURES = [OSError(28, "full"), ValueError("odd"), RecursionError(), MemoryError(), KeyError(1)]


def recorded(event):
    log = Log()
    Recorder(log).record(event)
    return log.events[0]


# --- decide, record, act -------------------------------------------------------------------


def test_trail_is_told_before_the_exporters():
    order = []
    first, second = Log(), Log()
    for name, log in (("trail", first), ("exporter", second)):
        log.export = lambda event, name=name: order.append(name)
    Recorder(first, second, second).record(LOAD)
    assert order == ["trail", "exporter", "exporter"]


@pytest.mark.parametrize("failure", [*FAILURES, TrailError("full")], ids=repr)
def test_what_the_trail_does_not_take_does_not_go_on(failure):
    exporter = Log()
    with pytest.raises(TrailError):
        Recorder(Log(failure), exporter).record(LOAD)
    assert exporter.events == []


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_failure_of_the_trail_keeps_its_cause(failure):
    with pytest.raises(TrailError) as caught:
        Recorder(Log(failure)).record(LOAD)
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize("failure", [*FAILURES, TrailError("x")], ids=repr)
def test_failing_exporter_is_recorded_and_the_others_are_told(failure):
    trail, other = Log(), Log()
    with request_context(request="r1"):
        Recorder(trail, Log(failure), other).record(LOAD)
    assert [event.action for event in trail.events] == ["load", "export"]
    failed = trail.events[1]
    assert (failed.outcome, failed.reason) == ("failed", type(failure).__name__)
    assert failed.detail == {"exporter": "Log"}
    assert failed.request == {"request": "r1"}
    assert [event.action for event in other.events] == ["load"]


@pytest.mark.parametrize("failure", [*FAILURES, TrailError("x")], ids=repr)
def test_failing_exporter_that_cannot_be_recorded_fails_closed(failure):
    trail = Log(None, failure)
    with pytest.raises(TrailError):
        Recorder(trail, Log(OSError())).record(LOAD)


@pytest.mark.parametrize("exporter_failure", [None, *FAILURES], ids=repr)
@pytest.mark.parametrize("trail_failure", [None, *FAILURES, TrailError("x")], ids=repr)
def test_refusal_is_raised_whatever_fails(trail_failure, exporter_failure):
    error = NotSealed("m.pkl is not sealed")
    recorder = Recorder(Log(trail_failure), Log(exporter_failure))
    with pytest.raises(NotSealed) as caught:
        recorder.refuse(msgspec.structs.replace(LOAD, outcome="refused"), error)
    assert caught.value is error
    assert caught.value.__cause__ is None
    notes = getattr(error, "__notes__", [])
    assert bool(notes) == (trail_failure is not None)
    assert all("could not be recorded" in note for note in notes)


def test_refusal_is_recorded_before_it_is_raised():
    trail = Log()
    error = Blocked("no", rule="SH000", zone="z", caller="c")
    with pytest.raises(Blocked):
        Recorder(trail).refuse(Event(action="load", outcome="refused"), error)
    assert [event.outcome for event in trail.events] == ["refused"]


@pytest.mark.parametrize(
    "event",
    [
        Event(action=None, outcome="refused"),
        Event(action="a", outcome="refused", detail=3),
        Event(action="a", outcome="refused", request=3),
    ],
)
def test_refusal_with_a_broken_event_is_still_raised(event):
    with pytest.raises(NotSealed):
        Recorder(Log()).refuse(event, NotSealed("m"))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_interrupt_in_an_exporter_is_not_swallowed(stop):
    with pytest.raises(stop):
        Recorder(Log(), Log(stop())).record(LOAD)


def test_event_cannot_be_changed():
    with pytest.raises(AttributeError):
        LOAD.outcome = "refused"


# --- context -------------------------------------------------------------------------------


def test_ids_of_the_request_are_attached_inside_the_block_only():
    with request_context(request="r1", user="u1"):
        inside = recorded(LOAD)
        with request_context(user="u2", trace="t"):
            deeper = recorded(LOAD)
        again = recorded(LOAD)
    assert inside.request == again.request == {"request": "r1", "user": "u1"}
    assert deeper.request == {"request": "r1", "user": "u2", "trace": "t"}
    assert recorded(LOAD).request == {}
    assert LOAD.request == {}


def test_ids_are_gone_after_an_error():
    with pytest.raises(ZeroDivisionError), request_context(request="r1"):
        raise ZeroDivisionError
    assert recorded(LOAD).request == {}


def test_event_s_own_ids_win():
    event = msgspec.structs.replace(LOAD, request={"user": "own"})
    with request_context(request="r1", user="u1"):
        assert recorded(event).request == {"request": "r1", "user": "own"}


def test_threads_do_not_see_each_other_s_ids():
    ready = threading.Barrier(8)

    def work(number):
        with request_context(request=str(number)):
            ready.wait()
            return [recorded(LOAD).request for _ in range(50)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert found == [[{"request": str(number)}] * 50 for number in range(8)]
    with request_context(request="mine"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(recorded, LOAD).result().request == {}


def test_tasks_do_not_see_each_other_s_ids():
    async def work(number):
        with request_context(task=str(number)):
            await asyncio.sleep(0)
            return recorded(LOAD).request

    async def all_of_them():
        with request_context(request="r1"):
            return await asyncio.gather(*(work(number) for number in range(20)))

    expected = [{"request": "r1", "task": str(number)} for number in range(20)]
    assert asyncio.run(all_of_them()) == expected


# --- bounds --------------------------------------------------------------------------------


class Hostile:
    """Whatever is asked of it fails."""

    def _fail(self, *_):
        raise AssertionError

    __str__ = __repr__ = __len__ = __iter__ = __eq__ = __bool__ = __format__ = _fail
    __hash__ = object.__hash__


class Shouting(str):
    __slots__ = ()

    def __str__(self):
        raise AssertionError

    __repr__ = __len__ = __getitem__ = encode = isascii = __str__


class Odd(enum.Enum):
    ONE = 1


LONG = "x" * 10_000_000
CYCLE = {}
CYCLE["again"] = CYCLE
DEEP = []
for _ in range(10_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value",
    [
        LONG, [LONG] * 1000, {LONG: LONG}, {str(i): LONG for i in range(1000)}, CYCLE, DEEP,
        list(range(10**6)), set(range(1000)), 10**10_000, -(2**70), float("nan"), float("inf"),
        b"secret" * 1000, bytearray(9), memoryview(b"x"), Hostile(), Hostile, [Hostile()] * 99,
        {Hostile(): 1}, Shouting("x"), Shouting(LONG), Odd.ONE, Path("a"), object(), print,
        {1: 2, (3,): 4, None: 5}, "\ud800", {"\udcff": "\udcff"}, "\U0001f600" * 10**6,
        complex(1, 2), True, None, 1.5, "",
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_any_detail_becomes_a_short_line(value):
    for detail in ({"value": value}, {"a": {"b": [value]}}, value if type(value) is dict else {}):
        line = encoded(recorded(Event(action="x", outcome="done", detail=detail)))
        assert len(line) < 2**19
        assert all(0x20 <= byte <= 0x7E for byte in line)
        assert b"secret" not in line
        json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        (7, 7),
        (True, True),
        (None, None),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**63 - 1, 2**63 - 1),
        (2**80, "a number of 81 bits"),
        (b"12345", "5 bytes"),
        ((1, "a"), [1, "a"]),
        ({"a": {"b": 1}}, {"a": {"b": 1}}),
        ({1: 2}, {"<int>": 2}),
        (object(), "<object>"),
        (Path("a/b"), "a/b"),
        ("a\udcffb", "a\\udcffb"),
        ([[[[[1]]]]], [[["<list>"]]]),
    ],
    ids=repr,
)
def test_detail_keeps_what_json_can_hold(value, shown):
    assert recorded(Event(action="x", outcome="done", detail={"v": value})).detail == {"v": shown}


@pytest.mark.parametrize(
    "name", ["action", "reason", "rule", "zone", "artifact", "codec", "key", "caller"]
)
def test_long_field_is_cut(name):
    event = Event(**{"action": "x", "outcome": "done", name: LONG})
    text = getattr(recorded(event), name)
    assert text == "x" * 512 + "…"


def test_long_detail_is_cut_with_a_sign():
    event = Event(action="x", outcome="done", detail={"list": list(range(1000)), "more": [1]})
    detail = recorded(event).detail
    assert detail["list"] == [*range(62), "…"]
    assert detail["more"] == "…"


def test_long_ids_are_cut():
    with request_context(**{LONG: LONG}):
        found = recorded(LOAD).request
    assert found == {"x" * 512 + "…": "x" * 512 + "…"}


def test_plain_event_is_handed_on_as_it_is():
    assert recorded(LOAD) is LOAD


@given(
    st.text(),
    st.dictionaries(st.text(max_size=5), st.text(), max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
)
def test_every_event_is_one_line_of_printable_ascii(text, ids, value):
    event = Event(action=text, outcome="done", artifact=text, request=ids, detail={text: value})
    line = encoded(recorded(event))
    assert all(0x20 <= byte <= 0x7E for byte in line)
    again = json.loads(line, parse_constant=pytest.fail)
    assert again["action"] == again.get("artifact", again["action"])


def test_control_characters_survive_as_escapes():
    text = "a\n\r\t\x00\x1b[31m\x7f\x85\u2028\u202e\u200b\ufeff\U0001f600é"
    line = encoded(recorded(Event(action="x", outcome="done", artifact=text)))
    assert json.loads(line)["artifact"] == text


# --- exporters that watch the trail, or have to be closed ------------------------------------


class Watching(Log):
    def __init__(self):
        super().__init__()
        self.seconds, self.missed = [], 0

    def appended(self, seconds):
        self.seconds.append(seconds)

    def not_appended(self):
        self.missed += 1


def test_watcher_is_told_how_long_the_trail_takes():
    watcher = Watching()
    Recorder(Log(), watcher).record(LOAD)
    assert watcher.seconds[0] > 0
    assert watcher.missed == 0


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_watcher_is_told_of_an_event_that_the_trail_does_not_take(failure):
    watcher = Watching()
    with pytest.raises(TrailError):
        Recorder(Log(failure), watcher).record(LOAD)
    assert (watcher.seconds, watcher.missed, watcher.events) == ([], 1, [])


@pytest.mark.parametrize("failure", [None, OSError(28, "full")], ids=repr)
def test_watcher_that_fails_changes_neither_result_nor_error(failure):
    class Broken(Log):
        def appended(self, seconds):
            raise OSError(28, "full")

        def not_appended(self):
            raise OSError(28, "full")

    trail = Log(failure)
    if failure is None:
        Recorder(trail, Broken()).record(LOAD)
        assert [event.action for event in trail.events] == ["load"]
    else:
        with pytest.raises(TrailError):
            Recorder(trail, Broken()).record(LOAD)


def test_watcher_is_told_what_another_exporter_has_lost():
    watcher = Watching()
    Recorder(Log(), Log(ExportError("3 events were lost")), watcher).record(LOAD)
    assert [(event.action, event.outcome) for event in watcher.events] == [
        ("export", "failed"), ("load", "allowed"),
    ]  # fmt: skip


def test_watcher_is_not_told_of_its_own_failure():
    class Failing(Watching):
        def export(self, event):
            self.events.append(event)
            raise OSError(28, "full")

    watcher = Failing()
    Recorder(Log(), watcher).record(LOAD)
    assert [event.action for event in watcher.events] == ["load"]


def test_closing_closes_each_exporter_and_records_what_one_has_lost():
    class Losing(Log):
        name = "alerts"

        def close(self):
            raise ExportError("3 events did not leave")

    class Closing(Log):
        closed = False

        def close(self):
            self.closed = True

    log, last = Log(), Closing()
    Recorder(log, Losing(), Log(), last).close()
    assert last.closed
    assert [(event.action, event.detail) for event in log.events] == [
        ("export", {"exporter": "alerts", "message": "3 events did not leave"})
    ]


# --- the event before the first ------------------------------------------------------------

OPENING = Event(action="policy.load", outcome="done")


def test_opening_event_comes_first_and_once():
    log, other = Log(), Log()
    recorder = Recorder(log, other, opening=OPENING)
    for _ in range(2):
        recorder.record(LOAD)
    assert [event.action for event in log.events] == ["policy.load", "load", "load"]
    assert log.events == other.events


def test_without_a_decision_there_is_no_opening_event():
    log = Log()
    Recorder(log, opening=OPENING).close()
    assert log.events == []


def test_decision_does_not_go_on_before_the_opening_event_is_recorded():
    log = Log(OSError(28, "full"))
    recorder = Recorder(log, opening=OPENING)
    with pytest.raises(TrailError):
        recorder.record(LOAD)
    assert log.events == []
    recorder.record(LOAD)
    assert [event.action for event in log.events] == ["policy.load", "load"]
