"""Kills, full and read-only disks, clocks and forks: nothing is lost without a word."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import threading
import time

import pytest

from safehold.errors import TrailError
from safehold.events import Event
from safehold.observe import writer
from safehold.observe.check import check_trail
from safehold.observe.check_manifest import Listed
from safehold.observe.trail import Trail
from tests.observe.killing import RING, killed

pytestmark = pytest.mark.forking
LOAD = Event(action="load", outcome="allowed", zone="models", artifact="models/m.pkl")


def lines(directory):
    """Return how many lines there are; the trail must verify."""
    listed = Listed(directory, RING)
    results = list(check_trail(directory, RING))
    assert [result.problem for result in results if result.problem] == []
    assert listed.compare(results) == []
    return sum(result.lines for result in results)


def test_four_writers_that_are_killed_lose_nothing_that_was_acknowledged(tmp_path):
    rng = random.Random(4)
    acknowledged = 0
    for number in range(50):
        found = killed(tmp_path / str(number), rng)
        assert found.problems == []
        assert found.there >= found.acknowledged
        acknowledged += found.acknowledged
    assert acknowledged > 1000


@pytest.fixture
def disk(tmp_path):
    """A file system of half a megabyte."""
    path = tmp_path / "disk"
    path.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    made = [mount, "-t", "tmpfs", "-o", "size=512k", "tmpfs", path]
    if not mount or not umount or subprocess.run(made, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield path
    finally:
        subprocess.run([umount, "-l", path], check=False)


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(disk):
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    trail = Trail(disk / "trail", RING)
    recorded = refused = 0
    for _ in range(3000):
        try:
            trail.export(LOAD)
            recorded += 1
        except TrailError:
            refused += 1
            if refused == 20:
                ballast.unlink()
        if refused >= 20 and recorded % 100 == 0:
            break
    assert refused == 20
    for _ in range(50):
        trail.export(LOAD)
    trail.close()
    assert lines(disk / "trail") == recorded + 50 + 1


def test_a_disk_that_becomes_read_only_refuses_and_goes_on_afterwards(disk):
    trail = Trail(disk / "trail", RING)
    trail.export(LOAD)
    trail.settle()
    trail.close()

    def remount(how):
        subprocess.run([shutil.which("mount"), "-o", f"remount,{how}", disk], check=True)

    remount("ro")
    for _ in range(3):
        with pytest.raises(TrailError, match="Read-only"):
            trail.export(LOAD)
    remount("rw")
    trail.export(LOAD)
    trail.close()
    assert lines(disk / "trail") == 4


def test_a_clock_that_goes_back_changes_nothing(tmp_path, monkeypatch):
    trail = Trail(tmp_path, RING)
    now = time.time_ns()
    for step in (0, -(10**9), -(10**12), 10**12, -1, 0):
        monkeypatch.setattr(time, "time_ns", lambda step=step: now + step)
        trail.export(LOAD)
    trail.close()
    assert lines(tmp_path) == 7


def test_rotation_under_many_threads_and_forks_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_SEGMENT_BYTES", 100_000)
    trail = Trail(tmp_path, RING)
    failures = []

    def work(number):
        try:
            for _ in range(5000):
                trail.export(LOAD)
        except BaseException as error:  # noqa: BLE001  a thread's error would go unseen
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for one in workers:
        one.start()
    children = []
    while any(one.is_alive() for one in workers):
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                trail.export(LOAD)
                trail.close()
                os._exit(0)
            os._exit(1)
        children.append(pid)
        time.sleep(0.2)
    for one in workers:
        one.join()
    trail.close()
    assert failures == []
    assert all(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 for pid in children)
    assert lines(tmp_path) == 8 * 5000 + 1 + 2 * len(children)
    assert len(list(tmp_path.glob("2*/*.jsonl"))) > 20
