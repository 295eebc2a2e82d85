from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime

import pytest

from safehold.errors import ConfigError, Tampered
from safehold.events import Event
from safehold.keys import Key, Keyring, generate_key
from safehold.observe import reading
from safehold.observe.lines import Query, parse_line, parse_time, read_lines
from safehold.observe.reading import verified_lines
from safehold.observe.trail import Trail

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RING = Keyring(Key("k1", generate_key().encode()))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
        ("2026-01-31T10:00", "2026-01-31T10:00:00.000000Z"),
        ("2026-01-31T10:00:00.5+02:00", "2026-01-31T08:00:00.500000Z"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00.000000Z"),
        ("30s", "2026-03-01T11:59:30.000000Z"),
        ("90m", "2026-03-01T10:30:00.000000Z"),
        ("1d", "2026-02-28T12:00:00.000000Z"),
        ("2w", "2026-02-15T12:00:00.000000Z"),
        ("0001-01-01", "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_times_are_read(text, time):
    assert parse_time(text, NOW) == time


@pytest.mark.parametrize(
    "text", ["now", "2h ago", "-2h", "2026-02-30", "2y", "0001-01-01T00:00+14:00"]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match="is no time"):
        parse_time(text, NOW)


@pytest.mark.parametrize(
    ("query", "takes"),
    [
        (Query(), True),
        (Query(action="load", outcome="refused", rule="SH101", zone="m"), True),
        (Query(action="load", outcome="allowed"), False),
        (Query(artifact="models/*.pkl"), True),
        (Query(artifact="models/?.pkl"), False),
        (Query(artifact="models/[a].pkl"), False),
        (Query(artifact="Models/*"), False),
        (Query(caller="*/app.py"), True),
        (Query(request="u17"), True),
        (Query(request="user=u17"), True),
        (Query(request="trace=u17"), False),
        (Query(request="user=*"), True),
        (Query(request="a=b"), True),
        (Query(since="2026-01-02T00:00:00.000000Z"), True),
        (Query(since="2026-01-02T00:00:00.000001Z"), False),
        (Query(until="2026-01-02T00:00:00.000000Z"), False),
        (Query(until="2026-01-02T00:00:00.000001Z"), True),
    ],
    ids=repr,
)
def test_a_query_takes_lines_of_which_everything_holds(query, takes):
    event = Event(action="load", outcome="refused", rule="SH101", zone="m",
                  artifact="models/a.pkl", caller="src/app.py",
                  request={"user": "u17", "tag": "a=b"})  # fmt: skip
    assert query.takes("2026-01-02T00:00:00.000000Z", event) is takes


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[]", b"\0" * 9,
     b'{"t":"x","w":"w","seq":0,"e":{"action":"a","outcome":"done"}}',
     b'{"t":"2026-01-01","w":"w","seq":0,"e":{"action":"a","outcome":"else"}}',
     b"[" * 100_000],
    ids=range(7),
)  # fmt: skip
def test_what_is_no_line_is_none(raw):
    assert parse_line(raw) is None


def written(directory, count):
    trail = Trail(directory, RING)
    for number in range(count):
        trail.export(Event(action="load", outcome="allowed", size=number + 1, caller="x" * 200))
    trail.close()


def test_lines_of_all_writers_are_read_in_their_order(tmp_path):
    written(tmp_path, 5)
    written(tmp_path, 5)
    found = [(line.writer, line.sequence) for line in verified_lines(tmp_path, RING)]
    assert found == sorted(found)
    assert len(found) == 12
    assert [(line.writer, line.sequence) for line in read_lines(tmp_path)] == found


def test_memory_does_not_grow_with_the_trail(tmp_path):
    written(tmp_path, 4000)
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*.jsonl")) > 1_500_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in verified_lines(tmp_path, RING)) == 4001
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_lines_of_another_key_are_not_given(tmp_path):
    written(tmp_path, 3)
    with pytest.raises(Tampered, match="does not verify"):
        next(verified_lines(tmp_path, Keyring(Key("k2", generate_key().encode()))))


def test_a_line_that_is_put_elsewhere_after_the_check_is_found(tmp_path, monkeypatch):
    written(tmp_path, 3)
    (file,) = tmp_path.glob("2*/*.jsonl")
    check = reading.check_trail

    def then_swapped(*arguments):
        found = list(check(*arguments))
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join([lines[0], lines[2], lines[1], lines[3]]))
        return found

    monkeypatch.setattr(reading, "check_trail", then_swapped)
    with pytest.raises(Tampered, match="changed while it was read"):
        list(verified_lines(tmp_path, RING))
