"""A scan that is stopped from outside: its exit code, what it prints, and that nothing is left."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bypasses.payloads import named, stream

pytestmark = [pytest.mark.extras, pytest.mark.forking]

EVIL = stream(named("posix", "system"))
# Stands in for a scan that takes long; says that it has begun.
SLOW = """
import sys, time
from safehold._cli import main
from safehold.scan import one, parallel
import safehold.scan.calls

def slow(*_arguments, **_options):
    open("begun", "w").close()
    time.sleep(600)

parallel.scan_batch = slow
safehold.scan.calls.scan_found = slow
sys.exit(main(["scan", "m", *sys.argv[1:]]))
"""

IGNORING = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)

def wait():
    while not os.path.exists("go"):
        time.sleep(0.05)
"""


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "m").mkdir()
    for number in range(4):
        (tmp_path / "m" / f"{number}.pkl").write_bytes(pickle.dumps([number]))
    (tmp_path / "slow.py").write_text(SLOW)
    return tmp_path


def descendants(pid: int) -> set[int]:
    """Return the processes that a process started, and those that they did."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                below = {int(word) for word in task.read_text().split()}
            except OSError:
                continue
            waiting += below - found
            found |= below
    return found


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def left_of(pids: set[int]) -> list[str]:
    """Return what still runs after they had time to end."""
    for _ in range(600):
        if not any(map(is_running, pids)):
            return []
        time.sleep(0.05)
    return [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids if is_running(pid)]


def started(tree: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "slow.py", *options]
    running = subprocess.Popen(
        command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    while not (tree / "begun").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    # What loky warns of when it is stopped while it still makes its processes is another matter.
    before: set[int] = set()
    while (there := descendants(running.pid)) != before:
        before = there
        time.sleep(0.3)
    return running


JOBS = [[], ["--jobs", "2"], ["--jobs", "2", "--backend", "threading"]]


@pytest.mark.parametrize("options", JOBS[:2], ids=["alone", "processes"])
def test_ctrl_c_ends_all_of_it_without_a_word(tree, options):
    running = started(tree, *options)
    below = descendants(running.pid)
    assert bool(below) == bool(options)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the workers too
    out, err = running.communicate()
    assert (running.returncode, out, err) == (130, b"", b"")
    assert left_of(below) == []


@pytest.mark.parametrize("options", JOBS[:2], ids=["alone", "processes"])
def test_being_terminated_ends_the_workers_too(tree, options):
    running = started(tree, *options)
    below = descendants(running.pid)
    os.kill(running.pid, signal.SIGTERM)
    out, err = running.communicate()
    assert (running.returncode, out, err) == (143, b"", b"")
    assert left_of(below) == []


def test_a_signal_that_is_ignored_stays_so(tree):
    (tree / "slow.py").write_text(IGNORING + SLOW.replace("time.sleep(600)", "wait()"))
    running = started(tree)
    os.kill(running.pid, signal.SIGTERM)
    (tree / "go").touch()
    out, err = running.communicate()
    assert (running.returncode, out, err) == (0, b"0 files\n", b"")


@pytest.mark.parametrize("options", [[], ["--jobs", "2"], ["--jobs", "2", "--paranoid"]])
def test_a_reader_that_has_seen_enough_ends_all_of_it(tree, options):
    for number in range(700):
        (tree / "m" / f"{number:0200}.pkl").write_bytes(EVIL)
    running = subprocess.Popen(
        [sys.executable, "-m", "safehold", "scan", "m", *options],
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert b"m/0" in running.stdout.readline()
    below = descendants(running.pid)
    running.stdout.close()
    with running.stderr:
        err = running.stderr.read()
    assert (running.wait(), err) == (141, b"")
    assert left_of(below) == []
