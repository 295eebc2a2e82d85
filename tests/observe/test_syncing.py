"""What is on disk when, and what a trail says after the machine stopped at any moment."""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import os
import random
import shutil
import threading
import time
import weakref
from pathlib import Path

import pytest

from safehold.errors import TrailError
from safehold.events import Event
from safehold.keys import Key, Keyring
from safehold.observe import chain, syncing, writer
from safehold.observe import check as check_module
from safehold.observe.check import check_trail
from safehold.observe.trail import Trail

pytestmark = pytest.mark.bare

RING = Keyring(Key("k1", hashlib.sha256(b"a key of these tests").digest()))
LOAD = Event(action="load", outcome="allowed", zone="models", artifact="models/m.pkl")
BROKEN = OSError(errno.EIO, "Input/output error")


def only(directory):
    (result,) = check_trail(directory, RING)
    return result


def home_of(directory):
    return next(path for path in directory.iterdir() if not path.name.startswith("."))


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def threads():
    workers = [one for one in gc.get_objects() if type(one) is syncing.Worker]
    return [one for one in workers if one._number is not None and not one._ended.is_set()]


@pytest.fixture
def trail(tmp_path):
    gc.collect()
    until(lambda: not threads())  # of trails that others have dropped
    made = Trail(tmp_path / "trail", RING)
    yield made
    made.close()


@pytest.fixture
def synced(monkeypatch):
    """Return what is brought to disk: the file and how much of it there was."""
    calls = []
    real = os.fdatasync

    def fdatasync(fd):
        calls.append((os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd).st_size))
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    return calls


def test_lines_and_state_are_brought_to_disk_in_the_background(trail, synced):
    trail.export(LOAD)
    segment = home_of(trail.directory) / "000001.jsonl"
    until(lambda: trail.is_settled)
    until(lambda: len(synced) == 2)
    lines, state = synced
    assert lines == (str(segment), segment.stat().st_size)
    assert state[0] == str(segment.with_name("state"))


def test_many_lines_share_one_sync(trail, synced):
    for _ in range(500):
        trail.export(LOAD)
    until(lambda: trail.is_settled)
    assert len(synced) < 50


def test_the_thread_ends_when_nothing_is_left_to_do_and_comes_back(trail, monkeypatch):
    monkeypatch.setattr(syncing, "PAUSE", 0.01)
    for _ in range(2):
        trail.export(LOAD)
        assert threads()
        until(lambda: not threads())
        assert trail.is_settled


def test_a_dropped_trail_syncs_and_ends_its_thread(tmp_path, monkeypatch, synced):
    monkeypatch.setattr(syncing, "PAUSE", 0.05)
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    gone = weakref.ref(trail)
    del trail
    gc.collect()
    until(lambda: gone() is None and not threads())
    assert any(name.endswith(".jsonl") for name, _ in synced)


def test_a_fork_meets_no_thread_and_nothing_unsynced(trail, synced):
    trail.export(LOAD)
    trail.export(LOAD)
    pid = os.fork()
    if not pid:
        alone = threading.active_count() == 1
        with contextlib.suppress(BaseException):
            trail.export(LOAD)
            until(lambda: trail.is_settled)
            os._exit(0 if alone else 3)
        os._exit(1)
    assert not threads()
    assert trail.is_settled
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    trail.export(LOAD)
    until(lambda: trail.is_settled)
    assert sorted(result.lines for result in check_trail(trail.directory, RING)) == [2, 4]


def test_where_no_thread_can_be_started_each_line_is_synced(trail, monkeypatch, synced):
    def start(function, arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(syncing, "start_new_thread", start)
    trail.export(LOAD)
    trail.export(LOAD)
    assert trail.is_settled
    assert len(synced) == 2


def test_a_thread_that_never_begins_is_not_waited_for_and_another_is_started(trail, monkeypatch):
    with monkeypatch.context() as patch:  # as where it has no memory to begin with
        patch.setattr(syncing, "start_new_thread", lambda function, arguments: None)
        trail.export(LOAD)
        assert not trail.is_settled
    monkeypatch.setattr(syncing, "_BEGIN_SECONDS", 0.0)
    trail.export(LOAD)
    until(lambda: trail.is_settled)


def test_what_could_not_be_synced_refuses_the_next_event(trail, monkeypatch):
    trail.export(LOAD)
    until(lambda: trail.is_settled)

    def fdatasync(fd):
        raise BROKEN

    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    trail.export(LOAD)
    until(lambda: trail.is_settled)
    monkeypatch.setattr(os, "fdatasync", real)
    with pytest.raises(TrailError, match="cannot be written"):
        trail.export(LOAD)
    trail.export(LOAD)
    trail.close()
    results = list(check_trail(trail.directory, RING))
    assert all(result.problem is None for result in results)
    assert sorted(result.lines for result in results) == [2, 3]


def test_a_state_that_is_deleted_meanwhile_refuses_nothing(trail):
    trail.export(LOAD)
    until(lambda: trail.is_settled)
    (home_of(trail.directory) / "state").unlink()
    trail.export(LOAD)
    until(lambda: trail._writer is None)  # the background saw that it is gone
    trail.export(LOAD)
    kinds = [
        result.problem and result.problem.kind for result in check_trail(trail.directory, RING)
    ]
    assert sorted(kinds, key=str) == [None, "state"]


# --- power cuts ------------------------------------------------------------------------------


class Platter:
    """What a disk holds: each sync copies the file that was synced, and nothing else does."""

    def __init__(self, monkeypatch, root):
        self.root = root
        self.moments = []
        real = os.fdatasync

        def fdatasync(fd):
            real(fd)
            path = Path(os.readlink(f"/proc/self/fd/{fd}"))
            # The directory may get its name only afterwards; what counts is the file's.
            self.moments.append((path.name, path.read_bytes()))

        monkeypatch.setattr(os, "fdatasync", fdatasync)


def after_a_power_cut(home, lines, state, monkeypatch):
    """Make the files what a cut may have left, on a machine that has started again."""
    (home / "000001.jsonl").write_bytes(lines)
    (home / "state").write_bytes(state)
    monkeypatch.setattr(check_module, "boot_id", lambda: "another start")
    return only(home.parent)


@pytest.mark.parametrize("seed", range(40))
def test_a_power_cut_loses_what_was_not_synced_and_says_how_much(tmp_path, monkeypatch, seed):
    rng = random.Random(seed)
    platter = Platter(monkeypatch, tmp_path)
    trail = Trail(tmp_path / "trail", RING)
    monkeypatch.setattr(syncing.Syncer, "ask", lambda self: True)  # syncs come when this says so
    for _ in range(rng.randrange(5, 40)):
        trail.export(LOAD)
        if rng.random() < 0.3:
            trail.bring()
    home = home_of(tmp_path / "trail")
    lines, state = (home / "000001.jsonl").read_bytes(), (home / "state").read_bytes()
    count = lines.count(b"\n")
    synced = [data for name, data in platter.moments if name == "000001.jsonl"]
    states = [data for name, data in platter.moments if name == "state"]
    kept = len(synced[-1]) if synced else 0
    # The kernel may have written any part of what it was not asked to.
    reach = rng.randrange(kept, len(lines) + 1)
    left = lines[:reach] + bytes(rng.choice((0, 0, 7, 4000)))
    old = states[-1] if states and rng.random() < 0.5 else state
    found = after_a_power_cut(home, left, old, monkeypatch)
    whole = left.count(b"\n")
    assert found.lines == whole
    assert whole >= (synced[-1].count(b"\n") if synced else 0)
    if not whole:
        assert found.problem.kind in {"truncated", "format"}
    elif old == state and whole < count:
        assert found.problem.kind == "unsynced"
        assert f"{count} lines were written, {whole} are there" in found.problem.message
    else:
        assert found.problem is None


def unsynced(tmp_path, monkeypatch, synced=3, more=4):
    """Write lines of which some were never synced; return the writer's directory."""
    monkeypatch.setattr(syncing.Syncer, "ask", lambda self: True)
    trail = Trail(tmp_path / "trail", RING)
    for _ in range(synced - 1):
        trail.export(LOAD)
    trail.bring()
    for _ in range(more):
        trail.export(LOAD)
    home = home_of(tmp_path / "trail")
    shutil.copytree(home.parent, tmp_path / "kept")
    monkeypatch.setattr(trail._writer, "_synced", synced + more)  # it is dropped as it is
    return tmp_path / "kept" / home.name


def cut(home, count):
    file = home / "000001.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:count]))


def test_lines_that_were_on_disk_do_not_go_by_a_power_cut(tmp_path, monkeypatch):
    home = unsynced(tmp_path, monkeypatch)
    monkeypatch.setattr(check_module, "boot_id", lambda: "another start")
    for count, kind in ((6, "unsynced"), (4, "unsynced"), (3, "unsynced"), (2, "truncated")):
        cut(home, count)
        assert only(home.parent).problem.kind == kind, count


def test_lines_do_not_go_while_the_machine_runs(tmp_path, monkeypatch):
    home = unsynced(tmp_path, monkeypatch)
    cut(home, 6)
    assert only(home.parent).problem.kind == "truncated"


def test_one_slot_that_a_kill_left_behind_does_not_hide_the_other(tmp_path, monkeypatch):
    home = unsynced(tmp_path, monkeypatch)
    monkeypatch.setattr(check_module, "boot_id", lambda: "another start")
    state = (home / "state").read_bytes()
    nothing = chain.on_disk(chain.first_key(RING.local, home.name), 0)
    (home / "state").write_bytes(state[:120] + bytes(8) + nothing)
    cut(home, 2)
    assert only(home.parent).problem.kind == "truncated"


def test_who_comes_later_cannot_make_the_lines_look_unsynced(tmp_path, monkeypatch):
    home = unsynced(tmp_path, monkeypatch)
    monkeypatch.setattr(check_module, "boot_id", lambda: "another start")
    state = (home / "state").read_bytes()
    cut(home, 2)
    key = state[8:40]  # K_7, which the attacker has
    for claim in (
        bytes(40),
        state[:8] + bytes(32),
        (0).to_bytes(8, "little") + chain.on_disk(key, 0),
    ):
        (home / "state").write_bytes(state[:80] + claim * 2)
        assert only(home.parent).problem.kind == "truncated"


def test_a_state_that_is_older_than_the_lines_is_a_remark_after_a_new_start(tmp_path, monkeypatch):
    monkeypatch.setattr(syncing.Syncer, "ask", lambda self: True)
    trail = Trail(tmp_path, RING)
    trail.export(LOAD)
    trail.bring()
    home = home_of(tmp_path)
    old = (home / "state").read_bytes()
    for _ in range(3):
        trail.export(LOAD)
    trail.close()
    (home / "state").write_bytes(old)
    assert only(tmp_path).problem.kind == "state"
    monkeypatch.setattr(check_module, "boot_id", lambda: "another start")
    assert only(tmp_path).problem is None
    assert only(tmp_path).torn.kind == "state"


def test_the_start_of_the_machine_is_in_the_first_line(trail):
    trail.export(LOAD)
    first = (home_of(trail.directory) / "000001.jsonl").read_bytes().splitlines()[0]
    assert writer.boot_id().encode() in first
