"""`safehold trail export`, `stats`, and which lines are asked for."""

from __future__ import annotations

import json
import os
import re

import pytest

from safehold._cli import _exporting
from safehold.observe import reading
from safehold.observe.formats import FORMATS


@pytest.fixture
def trail(folder, call):
    call("seal", "models")
    call("verify", "models")
    return folder / "trail"


def writers(trail):
    return sorted(path for path in trail.iterdir() if path.name[0] == "2")


def exported(call, *options):
    done = call("trail", "export", "--format", "jsonl", "--output", "out.jsonl", *options)
    assert (done.code, done.out, done.err) == (0, "", "")
    with open("out.jsonl", encoding="ascii") as file:
        return [json.loads(line)["e"] for line in file]


def test_the_formats_are_those_of_the_package():
    assert tuple(FORMATS) == _exporting.FORMATS


def test_all_lines_are_exported_as_they_are(trail, call):
    exported(call)
    with open("out.jsonl", "rb") as file:
        written = file.read()
    segments = [path / "000001.jsonl" for path in writers(trail)]
    assert written == b"".join(segment.read_bytes() for segment in segments)


def test_every_text_format_has_a_line_for_each_event(trail, call):
    count = len(exported(call))
    for form in ("ocsf", "ecs", "cef"):
        done = call("trail", "export", "--format", form, "--output", "out", "--host", "h9")
        assert done.code == 0
        with open("out", encoding="utf-8") as file:
            lines = file.read().splitlines()
        assert len(lines) == count
        assert any("h9" in line for line in lines)


def test_a_changed_trail_is_not_exported_and_leaves_the_older_file(trail, call):
    exported(call)
    with open("out.jsonl", "rb") as file:
        before = file.read()
    segment = writers(trail)[1] / "000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b"allowed", b"refused", 1))
    for action in ("export", "stats"):
        form = "jsonl" if action == "export" else "text"
        done = call("trail", action, "--format", form, "--output", "out.jsonl")
        assert done.code == 1
        assert f"{segment}:3: changed: " in done.err
        assert "--unverified" in done.err
    with open("out.jsonl", "rb") as file:
        assert file.read() == before
    assert not [name for name in os.listdir() if "sfh-tmp" in name]
    assert any(event["outcome"] == "refused" for event in exported(call, "--unverified"))


def test_a_line_that_is_cut_off_is_seen_before_anything_is_written(trail, call):
    segment = writers(trail)[0] / "000001.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:-1]))
    done = call("trail", "export", "--format", "jsonl")
    assert (done.code, done.out) == (1, "")
    assert "truncated" in done.err


def test_a_line_that_changes_after_the_check_is_found_while_it_is_read(trail, call, monkeypatch):
    segment = writers(trail)[0] / "000001.jsonl"
    check = reading.check_trail

    def then_changed(*arguments):
        found = list(check(*arguments))
        segment.write_bytes(segment.read_bytes().replace(b"allowed", b"refused", 1))
        return found

    monkeypatch.setattr(reading, "check_trail", then_changed)
    done = call("trail", "export", "--format", "jsonl", "--output", "out.jsonl")
    assert done.code == 1
    assert "changed while it was read" in done.err
    assert not os.path.exists("out.jsonl")


def test_lines_that_go_after_the_check_are_missed(trail, call, monkeypatch):
    segment = writers(trail)[0] / "000001.jsonl"
    check = reading.check_trail

    def then_cut(*arguments):
        found = list(check(*arguments))
        segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:-1]))
        return found

    monkeypatch.setattr(reading, "check_trail", then_cut)
    done = call("trail", "export", "--format", "jsonl", "--output", "out.jsonl")
    assert done.code == 1
    assert "1 lines went" in done.err


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--action", "seal"), lambda event: event["action"] == "seal"),
        (("--action", "trail*"), lambda event: event["action"] == "trail.open"),
        (("--artifact", "models/*"),
         lambda event: event.get("artifact", "").startswith("models/")),
        (("--zone", "models", "--action", "verify"),
         lambda event: event["action"] == "verify" and event.get("zone") == "models"),
        (("--outcome", "done"), lambda event: event["outcome"] == "done"),
        (("--since", "1h"), lambda event: True),
        (("--until", "1h"), lambda event: False),
        (("--since", "2999-01-01"), lambda event: False),
        (("--until", "2999-01-01T00:00:00+02:00"), lambda event: True),
        (("--rule", "SH101"), lambda event: False),
        (("--artifact", "models/[a-z]*"), lambda event: False),
    ],
    ids=repr,
)  # fmt: skip
def test_a_query_takes_what_it_names(trail, call, options, wanted):
    everything = exported(call)
    assert exported(call, *options) == [event for event in everything if wanted(event)]
    tail = call("trail", "tail", "-n", "1000", "--format", "json", *options).out
    found = [json.loads(line)["e"] for line in tail.splitlines()]
    assert sorted(map(str, found)) == sorted(str(event) for event in everything if wanted(event))


def test_tail_counts_the_lines_that_are_asked_for(trail, call):
    done = call("trail", "tail", "-n", "1", "--action", "seal")
    assert len(done.out.splitlines()) == 1
    assert " seal " in done.out


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01", "99999999999d", "999999w", ""])
def test_a_time_that_is_none_is_refused(trail, call, time):
    done = call("trail", "stats", "--since", time)
    assert done.code == (2 if time else 0)
    assert ("is no time" in done.err) is bool(time)


def test_stats_count_events(trail, call):
    events = exported(call)
    found = json.loads(call("trail", "stats", "--format", "json").out)
    assert (found["schema"], found["events"]) == (1, len(events))
    assert found["action"]["trail.open"] == 2
    assert sum(found["action"].values()) == sum(found["hours"].values()) == len(events)
    assert found["first"] <= found["last"]
    text = call("trail", "stats").out
    assert text.startswith(f"{len(events)} events, {found['first']} to {found['last']}\n")
    assert re.search(r"\n +2  trail.open\n", text)


def test_stats_of_nothing(trail, call):
    found = json.loads(call("trail", "stats", "--format", "json", "--rule", "SH999").out)
    assert (found["events"], found["first"], found["action"]) == (0, None, {})
    assert call("trail", "stats", "--rule", "SH999").out == "0 events\n"


def test_formats_belong_to_their_actions(trail, call):
    for action, form in (("export", "text"), ("export", "json"), ("stats", "cef"), ("tail", "ecs")):
        done = call("trail", action, "--format", form)
        assert done.code == 2
        assert "export takes --format" in done.err


def test_an_output_that_cannot_be_is_an_error(trail, call):
    done = call("trail", "export", "--format", "jsonl", "--output", "nowhere/out")
    assert done.code == 2
