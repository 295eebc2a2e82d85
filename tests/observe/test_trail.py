from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import hmac
import json
import os
import random
import re
import secrets
import signal
import struct
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safehold.errors import TrailError
from safehold.events import Event, Recorder, request_context
from safehold.keys import Key, Keyring
from safehold.observe import chain, following
from safehold.observe import check as check_module
from safehold.observe import writer as module
from safehold.observe.check import check_trail
from safehold.observe.tail import Tail
from safehold.observe.trail import Trail

pytestmark = pytest.mark.bare

ROOT_KEY = bytes.fromhex("9c1d5e27f0a8b3466e72c49b10fd85a3e9d6174b8820c5fe3a917f5d06b4e2c8")
RING = Keyring(Key("k1", ROOT_KEY))
LOAD = Event(action="load", outcome="allowed", zone="models", artifact="models/m.pkl")
LINE = re.compile(
    rb'\{"v":1,"seq":(0|[1-9]\d*),"t":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",'
    rb'"w":"[\w-]+","e":\{[\x20-\x7e]*\},"mac":"[0-9a-f]{64}"\}\n'
)


def written(directory, count=4, ring=RING):
    """Write `count` lines (the opening one included) and return the writer's directory."""
    trail = Trail(directory, ring)
    for number in range(count - 1):
        trail.export(
            Event(action="load", outcome="allowed", artifact=f"m{number}.pkl", size=number)
        )
    trail.close()
    return next(path for path in directory.iterdir() if not path.name.startswith("."))


def only(directory, ring=RING):
    (result,) = check_trail(directory, ring)
    return result


def problem(directory, ring=RING):
    return only(directory, ring).problem


def state_of(count, key):
    """Return a state of so many lines, all on disk, as who has the key would write it."""
    proof = chain.on_disk(key, count)
    return struct.pack("<Q32s", count, key) * 2 + struct.pack("<Q32s", count, proof) * 2


def put(file, data):
    """Replace a file's bytes in place: ext4 syncs what is first cut to nothing."""
    with open(file, "r+b") as handle:
        handle.write(data)
        handle.truncate()


def is_clean(directory):
    return all(result.problem is None for result in check_trail(directory, RING))


def in_child(work):
    """Run `work` in a forked child; return its exit status, 0 when it went well."""
    pid = os.fork()
    if not pid:
        status = 1
        with contextlib.suppress(BaseException):
            work()
            status = 0
        os._exit(status)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")


# --- format --------------------------------------------------------------------------------


def test_golden_vector(tmp_path, monkeypatch):
    # Macs and state were computed with hmac and hashlib from docs/reference/trail.md alone.
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    monkeypatch.setattr(time, "time_ns", lambda: int(moment.timestamp()) * 10**9 + 678_999)
    monkeypatch.setattr(module, "_new_name", lambda: "20260102T030405-7-0123456789ab")
    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(module, "boot_id", lambda: "")
    trail = Trail(tmp_path, RING)
    trail.export(Event(action="load", outcome="refused", reason="é\n\x7f\U0001f600", size=3))
    trail.close()
    home = tmp_path / "20260102T030405-7-0123456789ab"
    start = (
        b'{"v":1,"seq":%d,"t":"2026-01-02T03:04:05.000678Z","w":"20260102T030405-7-0123456789ab",'
    )
    assert (home / "000001.jsonl").read_bytes().splitlines() == [
        start % 0 + b'"e":{"action":"trail.open","outcome":"done","key":"k1","detail":{"pid":7}},'
        b'"mac":"f5e5f96e4fc5b5a59b4972ecd2db0aa2b8f4b43dec16b8d574d4763d841d7f1d"}',
        start % 1 + b'"e":{"action":"load","outcome":"refused",'
        b'"reason":"\\u00e9\\n\\u007f\\ud83d\\ude00","size":3},'
        b'"mac":"86aae4e1c54dd19af874d5354a163f07c2520a4c304fe152e6fea2222150244d"}',
    ]
    slot = "0200000000000000" + "a9b7ddc6afb879f1fcf7ba77eeca2b4769518bf01a072af9554d1bf87d7bda77"
    count, key = bytes.fromhex(slot)[:8], bytes.fromhex(slot)[8:]
    proof = hashlib.blake2b(count, key=key, digest_size=32, person=b"sfh-trail-sync").hexdigest()
    assert (home / "state").read_bytes().hex() == slot * 2 + (count.hex() + proof) * 2


def second_verifier(home, root_key):
    """Check one writer as docs/reference/trail.md says, with nothing of safehold."""
    extracted = hmac.digest(b"\x00" * 32, root_key, hashlib.sha256)
    info = b"safehold/trail/v1/" + home.name.encode()
    key = hmac.digest(extracted, info + b"\x01", hashlib.sha256)
    previous, sequence = b"\x00" * 32, 0
    for file in sorted(home.glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            body, mark, rest = line.rpartition(b',"mac":"')
            assert mark
            mac = hashlib.blake2b(previous + body, key=key, digest_size=32).digest()
            assert rest == mac.hex().encode() + b'"}'
            row = json.loads(line)
            assert list(row) == ["v", "seq", "t", "w", "e", "mac"]
            assert (row["v"], row["seq"], row["w"]) == (1, sequence, home.name)
            previous, sequence = mac, sequence + 1
            key = hashlib.blake2b(key, digest_size=32, person=b"sfh-trail-next").digest()
    written = struct.pack("<Q32s", sequence, key)
    count = struct.pack("<Q", sequence)
    proof = hashlib.blake2b(count, key=key, digest_size=32, person=b"sfh-trail-sync").digest()
    assert (home / "state").read_bytes() == written * 2 + (count + proof) * 2
    return sequence


def test_second_verifier_agrees(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 2000)
    home = written(tmp_path, 50)
    assert len(list(home.glob("*.jsonl"))) > 3
    assert second_verifier(home, ROOT_KEY) == 50
    assert only(tmp_path).lines == 50


def test_every_line_has_the_documented_form(tmp_path):
    home = written(tmp_path, 12)
    lines = (home / "000001.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 12
    assert all(LINE.fullmatch(line) for line in lines)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.dictionaries(st.text(), st.text(), max_size=2), st.floats(), st.binary())
def test_no_event_breaks_a_line(tmp_path_factory, text, ids, number, data):
    directory = tmp_path_factory.mktemp("trail")
    recorder = Recorder(trail := Trail(directory, RING))
    with request_context(user=text):
        recorder.record(
            Event(action=text, outcome="allowed", reason=text, artifact=text, request=ids,
                  detail={"number": number, "data": data, "deep": [[text]] * 3, text: None})
        )  # fmt: skip
    trail.close()
    file = next(directory.glob("2*/000001.jsonl"))
    assert all(LINE.fullmatch(line) for line in file.read_bytes().splitlines(keepends=True))
    assert file.read_bytes().count(b"\n") == 2
    assert is_clean(directory)


@pytest.mark.parametrize("detail", [{"a": object()}, {"a": "\ud800"}, {(1, 2): []}], ids=repr)
def test_event_without_json_form_is_refused_and_the_trail_goes_on(tmp_path, detail):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    with pytest.raises(TrailError, match="no JSON form"):
        trail.export(Event(action="x", outcome="done", detail=detail))
    trail.export(LOAD)
    assert only(tmp_path).lines == 3
    assert is_clean(tmp_path)


# --- tampering -----------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    return written(tmp_path, 5)


@pytest.fixture
def file(home):
    return home / "000001.jsonl"


def test_untouched_trail_is_clean(home):
    result = only(home.parent)
    assert (result.writer, result.lines, result.problem, result.torn) == (home.name, 5, None, None)


def test_any_flipped_byte_is_found_in_its_line(home, file):
    data = file.read_bytes()
    for position in range(len(data)):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(data)
            changed[position] ^= flip
            put(file, changed)
            found = only(home.parent)
            assert found.problem is not None, (position, flip)
            line = data[:position].count(b"\n")
            assert found.lines == line, (position, flip)
            assert found.problem.line in (0, line + 1)


def test_any_replaced_number_is_found(home, file):
    data = file.read_bytes()
    for old, new in ((b'"size":2', b'"size":3'), (b"m1.pkl", b"m9.pkl"), (b"allowed", b"refused")):
        file.write_bytes(data.replace(old, new, 1))
        assert problem(home.parent).kind == "changed"


@pytest.mark.parametrize("gone", range(5))
def test_deleted_line_is_found(home, file, gone):
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    found = only(home.parent)
    assert found.lines == gone
    assert found.problem.kind == ("truncated" if gone == 4 else "order")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_cut_at_the_end_is_found(home, file, count):
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-count]))
    found = problem(home.parent)
    assert found.kind == "truncated"
    if count < 5:
        assert found.message == f"5 lines were written, {5 - count} are there"


def test_cut_at_any_byte_is_found(home, file):
    data = file.read_bytes()
    for size in range(len(data)):
        put(file, data[:size])
        found = only(home.parent)
        assert found.problem is not None, size
        assert found.problem.kind == "truncated", size


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 2), (1, 4), (3, 4)])
def test_reordered_lines_are_found(home, file, first, second):
    lines = file.read_bytes().splitlines(keepends=True)
    lines[first], lines[second] = lines[second], lines[first]
    file.write_bytes(b"".join(lines))
    found = only(home.parent)
    assert found.lines == first
    assert found.problem.kind == "order"


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("what", ["double", "invented", "blank", "foreign"])
def test_inserted_line_is_found(home, file, place, what, tmp_path_factory):
    lines = file.read_bytes().splitlines(keepends=True)
    if what == "double":
        line = lines[min(place, 4)]
    elif what == "foreign":
        other = written(tmp_path_factory.mktemp("other"), 8) / "000001.jsonl"
        line = other.read_bytes().splitlines(keepends=True)[place]
    else:
        line = b"\n" if what == "blank" else lines[1].replace(b'"seq":1', b'"seq":%d' % place)
    file.write_bytes(b"".join([*lines[:place], line, *lines[place:]]))
    found = only(home.parent)
    assert found.problem is not None
    # A double of the next line stands in its place: the first bad one is what follows it.
    assert found.lines == min(
        place + (what in ("double", "invented") and line == lines[min(place, 4)]), 5
    )


@pytest.mark.parametrize(
    "tail",
    [b"x", b"\n", b"\x00" * 100, b'{"v":1,"seq":4,"t":"', b'{"v":1,"seq":6', b"{}\n", b"\xff"],
    ids=repr,
)
def test_appended_bytes_are_found(home, file, tail):
    with open(file, "ab") as handle:
        handle.write(tail)
    assert problem(home.parent).kind == "format"
    assert only(home.parent).lines == 5


def test_line_that_a_kill_cut_is_named_and_no_alarm(home, file):
    start = b'{"v":1,"seq":5,"t":"2026-01-01T00:00:00.000000Z","w":"abc","e":{"acti'
    data = file.read_bytes()
    for size in range(1, len(start) + 1):
        put(file, data + start[:size])
        found = only(home.parent)
        assert found.problem is None
        assert found.torn.kind == "torn"
        assert (found.torn.path, found.torn.line) == (file, 6)
        assert found.lines == 5


def test_cut_line_does_not_hide_lost_ones(home, file):
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    found = only(home.parent)
    assert found.problem.kind == "truncated"
    assert found.problem.message == "5 lines were written, 3 are there"


def test_huge_line_and_huge_number_are_no_crash(home, file):
    data = file.read_bytes()
    lines = data.splitlines(keepends=True)
    for bad in (
        b"x" * 3_000_000,
        lines[4].replace(b'"seq":4', b'"seq":' + b"9" * 10_000),
        b'{"v":1,"seq":5,"t":"' + b"x" * 3_000_000,
    ):
        file.write_bytes(data + bad + b"\n")
        found = problem(home.parent)
        assert found.kind in ("format", "order")
        assert len(str(found)) < 1000


@pytest.mark.parametrize(
    "event",
    [
        b'{"key":1}',
        b"{}",
        b'{"key":"k9"}',
        b'{"detail":' + b'{"a":' * 90_000 + b"1" + b"}" * 90_001,
    ],
)
def test_first_line_that_names_no_key(home, file, event):
    lines = file.read_bytes().splitlines(keepends=True)
    lines[0] = re.sub(rb'"e":\{.*\},"mac"', lambda _: b'"e":' + event + b',"mac"', lines[0])
    file.write_bytes(b"".join(lines))
    assert (problem(home.parent).kind, problem(home.parent).line) == ("key", 1)


# segments


@pytest.fixture
def many(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 1000)
    return written(tmp_path, 30)


def test_segments_are_one_chain(many):
    assert len(list(many.glob("*.jsonl"))) >= 5
    assert only(many.parent).lines == 30
    assert is_clean(many.parent)


@pytest.mark.parametrize("index", [0, 2, -1])
@pytest.mark.parametrize("how", ["deleted", "emptied", "other name", "doubled"])
def test_segment_that_is_gone_or_false_is_found(many, index, how):
    files = sorted(many.glob("*.jsonl"))
    if how == "deleted":
        files[index].unlink()
    elif how == "emptied":
        files[index].write_bytes(b"")
    elif how == "other name":
        files[index].rename(many / "zzz.jsonl")
    else:
        files[index].write_bytes(files[index - 1].read_bytes())
    assert problem(many.parent) is not None
    assert problem(many.parent).kind in ("truncated", "order")


def test_torn_line_before_the_last_segment_is_found(many):
    first = min(many.glob("*.jsonl"))
    lines = first.read_bytes().splitlines(keepends=True)
    with open(first, "ab") as handle:
        handle.write(b'{"v":1,"seq":%d,"t":"' % len(lines))
    assert problem(many.parent).kind == "format"


def test_all_segments_gone_are_found(many):
    for file in many.glob("*.jsonl"):
        file.unlink()
    assert problem(many.parent).kind == "truncated"


# state


def test_state_that_is_gone_or_of_another_size_is_found(home):
    state = home / "state"
    data = state.read_bytes()
    for bad in (b"", data[:79], data + b"\x00", data[:40]):
        state.write_bytes(bad)
        assert problem(home.parent).kind == "state"
    state.unlink()
    assert problem(home.parent).kind == "state"


def test_state_that_was_changed_is_found(home):
    state = home / "state"
    data = state.read_bytes()
    for position in range(40):
        changed = bytearray(data)
        changed[position] ^= 1
        changed[position + 40] ^= 1
        put(state, changed)
        found = problem(home.parent)
        assert found is not None, position
        assert found.kind == "state"


def test_one_slot_is_enough_since_a_kill_may_tear_the_other(home):
    state = home / "state"
    data = state.read_bytes()
    for half in (b"\xff" * 40, b"\x00" * 40, data[:8] + b"\x07" * 32):
        for slot in range(4):
            state.write_bytes(data[: 40 * slot] + half + data[40 * slot + 40 :])
            assert problem(home.parent) is None
        for first in (0, 80):
            state.write_bytes(data[:first] + half * 2 + data[first + 80 :])
            assert problem(home.parent).kind == "state"


def test_state_that_was_put_back_is_found(tmp_path):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    state = next(tmp_path.glob("2*/state"))
    old = state.read_bytes()
    for _ in range(3):
        trail.export(LOAD)
    trail.close()
    state.write_bytes(old)
    assert problem(tmp_path).kind == "state"


def test_state_of_another_writer_is_found(home, tmp_path_factory):
    other = written(tmp_path_factory.mktemp("other"), 5)
    (home / "state").write_bytes((other / "state").read_bytes())
    assert problem(home.parent).kind == "state"


def test_truncation_with_a_state_made_to_fit_is_found(home, file):
    lines = file.read_bytes().splitlines(keepends=True)
    state = home / "state"
    (_, key), *_ = struct.iter_unpack("<Q32s", state.read_bytes())
    for count in range(1, 5):
        file.write_bytes(b"".join(lines[:count]))
        state.write_bytes(state_of(count, key))
        assert problem(home.parent).kind == "state"


# writers and keys


@pytest.mark.parametrize("name", ["20250101T000000-1-0123456789ab", "renamed", "a b"])
def test_renamed_or_copied_writer_is_found(home, name):
    (home.parent / name).mkdir()
    for path in home.iterdir():
        (home.parent / name / path.name).write_bytes(path.read_bytes())
    kinds = {result.writer: result.problem for result in check_trail(home.parent, RING)}
    assert kinds[home.name] is None
    assert kinds[name].kind == "writer"


def test_other_directories_are_not_writers(home):
    (home.parent / "lost+found").mkdir()
    (home.parent / "note.txt").write_text("x")
    os.mkdir(os.fsencode(home.parent) + b"/\xff\xfe")
    assert only(home.parent).problem is None
    Path(os.fsdecode(os.fsencode(home.parent) + b"/\xff\xfe"), "state").touch()
    assert any(result.problem for result in check_trail(home.parent, RING))


def test_unknown_and_wrong_root_key(home):
    unknown = Keyring(Key("k2", ROOT_KEY))
    assert problem(home.parent, unknown).kind == "key"
    assert "known ids: k2" in problem(home.parent, unknown).message
    wrong = Keyring(Key("k1", ROOT_KEY[::-1]))
    assert (problem(home.parent, wrong).kind, problem(home.parent, wrong).line) == ("changed", 1)


def test_rotated_key_still_verifies(home):
    ring = Keyring(Key("k2", ROOT_KEY[::-1]), Key("k1", ROOT_KEY))
    written(home.parent, 3, ring)
    assert all(result.problem is None for result in check_trail(home.parent, ring))
    assert any(result.problem for result in check_trail(home.parent, RING))


@pytest.mark.parametrize("what", ["segment", "state"])
@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "dangling"])
def test_odd_files_do_not_hang_or_lead_elsewhere(home, what, kind):
    path = home / ("000001.jsonl" if what == "segment" else "state")
    kept = home.parent / "kept"
    path.rename(kept)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(kept if kind == "link" else "nowhere")
    assert problem(home.parent).kind == "unreadable"


def test_one_unreadable_writer_does_not_hide_the_others(home):
    written(home.parent, 2)
    (home / "state").unlink()
    (home / "state").mkdir()
    kinds = [result.problem and result.problem.kind for result in check_trail(home.parent, RING)]
    assert sorted(kinds, key=str) == [None, "unreadable"]


def test_no_error_of_a_check_shows_a_chain_key(home, monkeypatch):
    real, keys = following.next_key, []

    def next_key(key):
        keys.append(key)
        if len(keys) == 3:
            raise RuntimeError
        return real(key)

    monkeypatch.setattr(following, "next_key", next_key)
    with pytest.raises(RuntimeError) as caught:
        only(home.parent)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in shown.stack if frame.filename != __file__]
    assert len(frames) > 2
    assert not any(repr(keys[2]) in text for frame in frames for text in frame.locals.values())


# --- lent keys


def test_a_writer_with_a_lent_key_is_checked_with_the_root_key(tmp_path):
    key = chain.LentKey(chain.lend(RING.local))
    trail = Trail(tmp_path, key)
    trail.export(LOAD)
    trail.close()
    result = only(tmp_path)
    assert (result.lines, result.problem) == (2, None)
    assert result.writer.endswith(f"-{key.number}")
    assert "secret" not in repr(key)


def test_a_lent_key_opens_no_other_writer(tmp_path):
    lent = chain.lend(RING.local)
    key_id, number, secret = lent.rsplit(":", 2)
    other = chain.LentKey(f"{key_id}:{number[::-1]}:{secret}")
    Trail(tmp_path, other).export(LOAD)
    assert only(tmp_path).problem.kind == "changed"
    own = "20260102T030405-7-0123456789ab"
    assert chain.first_key(RING.local, own) != chain.LentKey(lent).first(own)


# --- forward security ----------------------------------------------------------------------


def chain_keys(home, count):
    key = chain.first_key(Key("k1", ROOT_KEY), home.name)
    keys = [key]
    for _ in range(count):
        keys.append(chain.next_key(keys[-1]))
    return keys


def test_files_never_hold_a_key_of_a_line_that_is_written(tmp_path):
    trail = Trail(tmp_path, RING)
    for count in range(2, 12):
        trail.export(LOAD)
        home = next(tmp_path.glob("2*"))
        keys = chain_keys(home, count)
        data = b"".join(path.read_bytes() for path in home.iterdir())
        assert keys[count] in data
        for earlier in keys[:count]:
            assert earlier not in data
            assert earlier.hex().encode() not in data


def test_who_has_the_current_key_cannot_rewrite_what_is_written(home, file):
    # The attacker has K_5 and all files; each line before is tried with it and what follows
    # from it, with a state that fits.
    lines = file.read_bytes().splitlines(keepends=True)
    (count, stolen), *_ = struct.iter_unpack("<Q32s", (home / "state").read_bytes())
    assert count == 5
    for place in range(1, 5):
        forged, key = lines[:place], stolen
        previous = bytes.fromhex(json.loads(lines[place - 1])["mac"])
        for line in lines[place:]:
            body = line.rpartition(b',"mac"')[0].replace(b"allowed", b"refused")
            previous = chain.line_mac(key, previous, body)
            forged.append(body + b',"mac":"' + previous.hex().encode() + b'"}\n')
            key = chain.next_key(key)
        file.write_bytes(b"".join(forged))
        (home / "state").write_bytes(state_of(5, key))
        found = only(home.parent)
        assert (found.problem.kind, found.lines) == ("changed", place)


def test_lines_after_the_theft_can_be_forged_and_the_docs_say_so(home, file):
    (count, key), *_ = struct.iter_unpack("<Q32s", (home / "state").read_bytes())
    lines = file.read_bytes().splitlines(keepends=True)
    previous = bytes.fromhex(json.loads(lines[-1])["mac"])
    body = lines[-1].rpartition(b',"mac"')[0].replace(b'"seq":4', b'"seq":5')
    mac = chain.line_mac(key, previous, body)
    with open(file, "ab") as handle:
        handle.write(body + b',"mac":"' + mac.hex().encode() + b'"}\n')
    (home / "state").write_bytes(state_of(count + 1, chain.next_key(key)))
    assert only(home.parent).lines == 6
    assert is_clean(home.parent)


# --- threads, forks, kills -----------------------------------------------------------------


def test_threads_make_one_unbroken_sequence(tmp_path):
    trail = Trail(tmp_path, RING)
    failures = []

    def work(number):
        try:
            for index in range(1000):
                trail.export(Event(action=f"t{number}", outcome="done", size=index))
        except BaseException as error:  # noqa: BLE001  a thread's error would go unseen
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trail.close()
    assert failures == []
    assert only(tmp_path).lines == 8001
    assert is_clean(tmp_path)
    rows = Tail(tmp_path).last(10_000)
    assert [row["seq"] for row in rows] == list(range(8001))
    for number in range(8):
        sizes = [row["e"].get("size", 0) for row in rows if row["e"]["action"] == f"t{number}"]
        assert sizes == list(range(1000))


FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # 3.12, with threads


def test_forked_child_gets_its_own_writer(tmp_path):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)

    def work():
        for _ in range(5):
            trail.export(LOAD)
        trail.close()

    assert in_child(work) == 0
    trail.export(LOAD)
    assert in_child(work) == 0
    trail.close()
    results = list(check_trail(tmp_path, RING))
    assert sorted(result.lines for result in results) == [3, 6, 6]
    assert all(result.problem is None for result in results)


def test_child_that_does_not_write_leaves_the_parent_s_files_alone(tmp_path):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    assert in_child(trail.close) == 0
    assert in_child(gc.collect) == 0
    trail.export(LOAD)
    assert only(tmp_path).lines == 3
    assert is_clean(tmp_path)


@FORKS
def test_fork_while_another_thread_writes_does_not_hang(tmp_path, monkeypatch):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    inside, go_on = threading.Event(), threading.Event()
    real = os.write

    def slow(fd, data):
        if threading.current_thread() is thread:
            inside.set()
            go_on.wait(30)
        return real(fd, data)

    monkeypatch.setattr(os, "write", slow)
    thread = threading.Thread(target=trail.export, args=(LOAD,))
    thread.start()
    assert inside.wait(30)
    status = in_child(lambda: trail.export(LOAD))
    go_on.set()
    thread.join()
    assert status == 0
    assert sorted(result.lines for result in check_trail(tmp_path, RING)) == [2, 3]
    assert is_clean(tmp_path)


@FORKS
def test_forks_under_busy_threads(tmp_path):
    trail = Trail(tmp_path, RING)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            trail.export(LOAD)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert in_child(lambda: [trail.export(LOAD) for _ in range(20)]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    trail.close()
    results = list(check_trail(tmp_path, RING))
    assert len(results) == 11
    assert all(result.problem is None for result in results)


def test_two_trails_on_one_directory_have_their_own_writers(tmp_path):
    one, two = Trail(tmp_path, RING), Trail(tmp_path, RING)
    for _ in range(3):
        one.export(LOAD)
        two.export(LOAD)
    assert [result.lines for result in check_trail(tmp_path, RING)] == [4, 4]


def test_check_of_a_trail_that_is_being_written_raises_no_alarm(tmp_path):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            trail.export(LOAD)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(8):
            assert only(tmp_path).problem is None
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("moment", [1, 2])
def test_lines_written_around_the_reading_of_the_state_raise_no_alarm(
    tmp_path, monkeypatch, moment
):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    real, calls = check_module._read_slots, []

    def read_slots(path):
        calls.append(path)
        before = real(path) if moment == 1 else None
        if len(calls) == moment:
            for _ in range(3):
                trail.export(LOAD)
        return before or real(path)

    monkeypatch.setattr(check_module, "_read_slots", read_slots)
    assert only(tmp_path).problem is None
    assert only(tmp_path).lines == 5


@pytest.mark.parametrize("round_", range(12))
def test_kill_at_a_random_moment_loses_nothing_that_was_acknowledged(tmp_path, round_, monkeypatch):
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 20_000)
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            trail = Trail(tmp_path, RING)
            while True:
                trail.export(LOAD)
                os.write(writer, b".")
        os._exit(1)
    os.close(writer)
    if round_ % 3:  # else in the middle of the start
        os.read(reader, 1)
    time.sleep(random.random() * 0.03)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    acknowledged = bool(round_ % 3)
    while data := os.read(reader, 65536):
        acknowledged += len(data)
    os.close(reader)
    results = list(check_trail(tmp_path, RING)) if tmp_path.exists() else []
    assert all(result.problem is None for result in results)
    assert sum(result.lines for result in results) >= acknowledged + bool(acknowledged)


def test_exit_at_every_step_leaves_a_trail_without_alarm(tmp_path, monkeypatch):
    """Stop a child dead before and after each step that changes a file."""
    seen = []
    for step in range(200):
        directory = tmp_path / str(step)

        def work(directory=directory, step=step):
            left = [step]

            def stopping(real):
                def call(*args, **kwargs):
                    for moment in (lambda: None, lambda: real(*args, **kwargs)):
                        if left[0] == 0:
                            os._exit(9)
                        left[0] -= 1
                        result = moment()
                    return result

                return call

            class State(struct.Struct):
                pack_into = staticmethod(stopping(struct.Struct("<Q32s").pack_into))

            for name in ("open", "write", "close", "fdatasync", "mkdir", "rename"):
                setattr(os, name, stopping(getattr(os, name)))
            module.mmap.mmap = stopping(module.mmap.mmap)
            module.STATE = State("<Q32s")
            module._SEGMENT_BYTES = 400
            trail = Trail(directory, RING)
            for _ in range(2):
                trail.export(LOAD)
            os._exit(0)

        status = in_child(work)
        seen.append(os.waitstatus_to_exitcode(status))
        if directory.exists():
            assert is_clean(directory), step
            assert sum(result.lines for result in check_trail(directory, RING)) <= 3
        if not status:
            break
    assert len(seen) > 40
    assert seen == [9] * (len(seen) - 1) + [0]


# --- trouble with the disk -----------------------------------------------------------------


class Disk:
    """Stands in for os functions that fail on the nth call."""

    def __init__(self, monkeypatch, name, *results):
        self.real = getattr(os, name)
        self.results = list(results)
        monkeypatch.setattr(os, name, self)

    def __call__(self, *args):
        result = self.results.pop(0) if self.results else None
        if isinstance(result, OSError):
            raise result
        if isinstance(result, int):
            self.real(args[0], args[1][:result])
            return result
        return self.real(*args)


FULL = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("result", [FULL, BROKEN, 0, 1, 50], ids=repr)
def test_line_that_is_not_written_in_full_is_an_error_and_the_next_one_works(
    tmp_path, monkeypatch, result
):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    Disk(monkeypatch, "write", result)
    with pytest.raises(TrailError, match="writable"):
        trail.export(LOAD)
    assert is_clean(tmp_path)
    trail.export(LOAD)
    trail.close()
    assert only(tmp_path).lines == 3
    assert only(tmp_path).torn is None
    assert is_clean(tmp_path)


def test_torn_line_that_cannot_be_taken_back_ends_the_writer(tmp_path, monkeypatch):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    Disk(monkeypatch, "write", 30)
    Disk(monkeypatch, "ftruncate", BROKEN)
    with pytest.raises(TrailError):
        trail.export(LOAD)
    trail.export(LOAD)
    trail.close()
    results = sorted(check_trail(tmp_path, RING), key=lambda result: result.torn is None)
    assert [result.lines for result in results] == [2, 2]
    assert results[0].torn is not None
    assert is_clean(tmp_path)


def test_disk_that_stays_full_refuses_every_event(tmp_path, monkeypatch):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    Disk(monkeypatch, "write", *[FULL] * 5)
    for _ in range(5):
        with pytest.raises(TrailError):
            trail.export(LOAD)
    trail.export(LOAD)
    assert only(tmp_path).lines == 3
    assert is_clean(tmp_path)


@pytest.mark.parametrize("name", ["write", "open"])
@pytest.mark.parametrize("good", [0, 1])
def test_start_that_fails_leaves_no_half_writer(tmp_path, monkeypatch, name, good):
    trail = Trail(tmp_path / "trail", RING)
    disk = Disk(monkeypatch, name, *[None] * good, FULL)
    with pytest.raises(TrailError):
        trail.export(LOAD)
    assert disk.results == []
    assert list((tmp_path / "trail").iterdir()) == []
    trail.export(LOAD)
    assert only(tmp_path / "trail").lines == 2
    assert is_clean(tmp_path / "trail")


def test_refusal_that_cannot_be_synced_is_an_error(tmp_path, monkeypatch):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    synced = Disk(monkeypatch, "fdatasync", BROKEN)
    with pytest.raises(TrailError):
        trail.export(Event(action="load", outcome="refused"))
    trail.export(LOAD)
    assert synced.results == []
    assert only(tmp_path).lines == 4
    assert is_clean(tmp_path)


def test_refusals_are_synced_before_export_returns_and_others_are_not(tmp_path, monkeypatch):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    calls = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    trail.export(LOAD)
    assert calls == []
    trail.export(Event(action="load", outcome="refused"))
    assert len(calls) == 1


@pytest.mark.parametrize("failure", [FULL, OSError(errno.EMFILE, "Too many open files")], ids=repr)
def test_segment_that_cannot_be_opened_is_an_error_and_the_next_event_works(
    tmp_path, monkeypatch, failure
):
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 500)
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    trail.export(LOAD)
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 1)
    Disk(monkeypatch, "open", failure, failure)
    for _ in range(2):
        with pytest.raises(TrailError):
            trail.export(LOAD)
    trail.export(LOAD)
    trail.export(LOAD)
    assert only(tmp_path).lines == 5
    assert is_clean(tmp_path)


def test_segment_that_somebody_put_there_is_not_written_to(tmp_path, monkeypatch):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    planted = next(tmp_path.glob("2*")) / "000002.jsonl"
    planted.write_text("")
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 1)
    with pytest.raises(TrailError):
        trail.export(LOAD)
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 10_000)
    trail.export(LOAD)
    assert planted.read_text() == ""
    assert sorted(result.lines for result in check_trail(tmp_path, RING)) == [2, 2]


def test_events_go_on_in_a_new_writer_when_the_files_are_deleted(tmp_path):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    home = next(tmp_path.glob("2*"))
    (home / "000001.jsonl").unlink()
    time.sleep(2 * module._LOOK_SECONDS)
    trail.export(LOAD)
    results = {result.writer: result for result in check_trail(tmp_path, RING)}
    assert results.pop(home.name).problem.kind == "truncated"
    (other,) = results.values()
    assert other.lines == 2


def test_a_refusal_goes_to_a_new_writer_at_once_when_the_files_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOOK_SECONDS", 3600)
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    home = next(tmp_path.glob("2*"))
    (home / "000001.jsonl").unlink()
    trail.export(Event(action="load", outcome="refused"))
    results = {result.writer: result for result in check_trail(tmp_path, RING)}
    assert results.pop(home.name).problem.kind == "truncated"
    (other,) = results.values()
    assert other.lines == 2


def test_descriptor_that_became_another_file_s_is_not_written_to_or_closed(tmp_path):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    fd = trail._writer._fd
    with open(tmp_path / "other", "w+b") as other:
        os.dup2(other.fileno(), fd)  # closes it and gives its number away
        trail.export(LOAD)
        assert os.fstat(fd).st_ino == os.fstat(other.fileno()).st_ino
        os.close(fd)
    assert (tmp_path / "other").read_bytes() == b""
    assert sorted(result.lines for result in check_trail(tmp_path, RING)) == [2, 2]
    assert is_clean(tmp_path)


def test_directory_is_made_with_its_parents_and_is_private(tmp_path):
    old = os.umask(0)
    try:
        trail = Trail(tmp_path / "a" / "b" / "trail", RING)
        assert list(tmp_path.iterdir()) == []
        trail.export(LOAD)
    finally:
        os.umask(old)
    home = next((tmp_path / "a" / "b" / "trail").glob("2*"))
    assert home.stat().st_mode & 0o777 == 0o750
    assert all(path.stat().st_mode & 0o777 == 0o640 for path in home.iterdir())


@pytest.mark.parametrize("name", ["file/trail", "file", "nul\x00byte", "x" * 300])
def test_impossible_directory_is_a_typed_error(tmp_path, name):
    (tmp_path / "file").touch()
    trail = Trail(tmp_path / name, RING)
    for _ in range(2):
        with pytest.raises(TrailError):
            trail.export(LOAD)


def test_read_only_directory_is_a_typed_error(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(TrailError, match="Permission denied"):
        Trail(tmp_path / "trail", RING).export(LOAD)


def test_interrupt_between_line_and_state_starts_a_new_chain(tmp_path, monkeypatch):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    with monkeypatch.context() as patch:
        patch.setattr(module, "next_key", lambda key: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trail.export(LOAD)
    trail.export(LOAD)
    assert sorted(result.lines for result in check_trail(tmp_path, RING)) == [2, 3]
    assert is_clean(tmp_path)


def test_event_from_a_signal_handler_inside_an_event_is_an_error_and_no_deadlock(
    tmp_path, monkeypatch
):
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    real, caught = os.write, []

    def interrupted(fd, data):
        with pytest.raises(TrailError, match="while another") as error:
            trail.export(LOAD)
        caught.append(error)
        return real(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        trail.export(LOAD)
    trail.export(LOAD)
    assert len(caught) == 1
    assert only(tmp_path).lines == 4
    assert is_clean(tmp_path)


def test_closed_trail_starts_a_new_writer(tmp_path):
    trail = Trail(tmp_path, RING)
    trail.close()
    assert list(tmp_path.iterdir()) == []
    trail.export(LOAD)
    trail.close()
    trail.close()
    trail.export(LOAD)
    assert [result.lines for result in check_trail(tmp_path, RING)] == [2, 2]


def test_dropped_trail_closes_its_files(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        Trail(tmp_path, RING).export(LOAD)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


# --- tail ----------------------------------------------------------------------------------


def actions(rows):
    return [row["e"]["action"] for row in rows]


def test_tail_gives_the_newest_lines_of_all_writers_in_order_of_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 600)
    one, two = Trail(tmp_path, RING), Trail(tmp_path, RING)
    for number in range(20):
        (one if number % 2 else two).export(Event(action=str(number), outcome="done"))
    assert actions(Tail(tmp_path).last(7)) == ["13", "14", "15", "16", "17", "18", "19"]
    assert len(Tail(tmp_path).last(1000)) == 22
    assert Tail(tmp_path).last(0) == Tail(tmp_path).last(-1) == []


@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_following_gives_every_later_line_once(tmp_path, monkeypatch, count):
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 600)
    trail = Trail(tmp_path, RING)
    for number in range(5):
        trail.export(Event(action=f"old{number}", outcome="done"))
    tail = Tail(tmp_path)
    tail.last(count)
    assert tail.new() == []
    found = []
    for number in range(20):
        trail.export(Event(action=str(number), outcome="done"))
        if number == 10:
            Trail(tmp_path, RING).export(Event(action="other", outcome="done"))
        if number % 3 == 0:
            found += actions(tail.new())
    found += actions(tail.new())
    assert sorted(found) == sorted([*map(str, range(20)), "other", "trail.open"])
    assert tail.new() == []


def test_following_waits_for_the_end_of_a_line(tmp_path):
    home = written(tmp_path, 2)
    tail = Tail(tmp_path)
    tail.last(10)
    with open(home / "000001.jsonl", "ab") as file:
        file.write(b'{"seq":')
        file.flush()
        assert tail.new() == []
        file.write(b"7}\n")
    assert tail.new() == [{"seq": 7}]


def test_damaged_lines_do_not_stop_the_tail(tmp_path):
    home = written(tmp_path, 3)
    with open(home / "000001.jsonl", "ab") as file:
        file.write(b"\xff\xfe\n[]\n1\nnull\n" + b"[" * 100_000 + b"\n")
        file.write(b'{"t":1,"w":[],"seq":"x"}\n{"t":"1","w":"","seq":1}\n{"seq":null}\n')
        file.write(b"x" * 3_000_000 + b"\n" + b'{"seq":9}\n')
    os.mkfifo(home / "000002.jsonl")
    (home / "000003.jsonl").mkdir()
    tail = Tail(tmp_path)
    assert len(tail.last(100)) == 7
    assert tail.new() == []


def test_what_was_recorded_under_a_revoked_key_proves_nothing(tmp_path):
    old, new = Key("old", secrets.token_bytes(32)), Key("new", secrets.token_bytes(32))
    for ring in (Keyring(old), Keyring(new, old, revoked=["old"])):
        trail = Trail(tmp_path / "trail", ring)
        trail.export(Event(action="test", outcome="done"))
        trail.close()
    listed = Keyring(new, old)
    assert [one.problem for one in check_trail(tmp_path / "trail", listed)] == [None, None]
    found = [one.problem for one in check_trail(tmp_path / "trail", listed.revoking(["old"]))]
    (bad,) = [problem for problem in found if problem is not None]
    assert (bad.kind, bad.line) == ("key", 1)
    assert "'old' is revoked: whoever has it can have written" in bad.message


def test_tail_goes_on_when_a_writer_or_all_of_them_are_removed(tmp_path):
    home = written(tmp_path, 4)
    tail = Tail(tmp_path)
    assert len(tail.last(10)) == 4
    for file in home.iterdir():
        file.unlink()
    home.rmdir()
    assert tail.new() == []
    other = written(tmp_path / "again", 3)
    other.rename(tmp_path / other.name)
    assert len(tail.new()) == 3
    tail = Tail(tmp_path / "gone")
    assert tail.new() == tail.last(5) == []
