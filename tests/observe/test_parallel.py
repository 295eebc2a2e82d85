"""Several processes find what one does, and see no less."""

from __future__ import annotations

import pickle
import random
import shutil
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from safehold.events import Event
from safehold.observe import parallel, writer
from safehold.observe.check import check_trail
from safehold.observe.parallel import check_in_parallel
from safehold.observe.trail import Trail
from tests.observe.tampering import KINDS, RING, World

pytestmark = pytest.mark.forking


class Here:
    """Runs what a pool would, at once and in this process."""

    def __init__(self, jobs, mp_context=None):
        self.jobs = jobs

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, function, *given):
        done = Future()
        done.set_result(function(*pickle.loads(pickle.dumps(given))))  # as a process gets it
        return done


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("parallel") / "trail")


def both(directory):
    one = list(check_trail(directory, RING))
    assert list(check_in_parallel(directory, RING, 2)) == one
    return one


def test_processes_find_nothing_wrong_with_an_untouched_trail(world, monkeypatch):
    def never(self):
        raise AssertionError

    expected = list(check_trail(world.directory, RING))
    monkeypatch.setattr(parallel.Check, "result", never)  # nothing is read twice
    assert list(check_in_parallel(world.directory, RING, 2)) == expected
    assert all(found.problem is None for found in expected)
    assert sorted(found.lines for found in expected) == [3, 25, 40]
    assert max(len(world.segments(home)) for home in world.writers) > 3


@pytest.mark.parametrize("name", sorted(KINDS))
def test_processes_say_what_one_says_of_a_tampering(world, monkeypatch, name):
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Here)
    rng = random.Random(name)
    for _ in range(12):
        tampering = KINDS[name](world, rng)
        monkeypatch.setattr(world, "problems", lambda: both(world.directory))
        world.seen(tampering)


def test_segment_that_is_left_out_or_taken_from_elsewhere_is_found(world, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Here)
    shutil.copytree(world.directory, tmp_path / "trail")
    home = max(world.writers, key=lambda home: len(world.segments(home)))
    names = [tmp_path / "trail" / name for name in world.segments(home)]
    for number in range(2, len(names)):  # the ones behind take its place
        names[number].rename(names[number - 1])
    (found,) = [one for one in both(tmp_path / "trail") if one.writer == home]
    assert found.problem.kind == "order"
    assert (found.problem.path, found.problem.line) == (names[1], 1)


@pytest.mark.parametrize("number", [10**12, 10**400, 0])
def test_number_that_a_segment_makes_up_keeps_nobody_busy(world, tmp_path, monkeypatch, number):
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Here)
    shutil.copytree(world.directory, tmp_path / "trail")
    home = max(world.writers, key=lambda home: len(world.segments(home)))
    file = tmp_path / "trail" / world.segments(home)[1]
    data = file.read_bytes()
    _, _, rest = data.partition(b',"t":')
    file.write_bytes(b'{"v":1,"seq":%d,"t":%b' % (number, rest))
    (found,) = [one for one in both(tmp_path / "trail") if one.writer == home]
    assert (found.problem.path, found.problem.kind) == (file, "order")


def test_line_that_a_kill_cut_is_a_remark(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_SEGMENT_BYTES", 2_500)
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Here)
    trail = Trail(tmp_path / "trail", RING)
    for _ in range(30):
        trail.export(Event(action="load", outcome="allowed"))
    trail.settle()
    last = max((tmp_path / "trail").glob("2*/*.jsonl"))
    with open(last, "ab") as file:
        file.write(b'{"v":1,"seq":31,"t":"20')
    (found,) = both(tmp_path / "trail")
    assert found.problem is None
    assert found.torn.kind == "torn"
    assert found.lines == 31


def test_line_that_is_gone_and_leaves_its_mac_is_found(world, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Here)
    shutil.copytree(world.directory, tmp_path / "trail")
    home = max(world.writers, key=lambda home: len(world.segments(home)))
    file = tmp_path / "trail" / world.segments(home)[0]
    lines = file.read_bytes().splitlines(keepends=True)
    start, mac = lines[-1][: lines[-1].index(b'"t"') + 5], lines[-1][-74:-3]
    file.write_bytes(b"".join(lines[:-1]) + start + mac)
    (found,) = [one for one in both(tmp_path / "trail") if one.writer == home]
    assert (found.problem.path, found.problem.line) == (file, len(lines))


def test_processes_that_are_killed_hide_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", _broken)
    for _ in range(2):
        Trail(tmp_path, RING).export(Event(action="load", outcome="allowed"))
    assert [found.lines for found in both(tmp_path)] == [2, 2]


def _broken(jobs, mp_context=None):
    here = Here(jobs)

    def submit(*given):
        done = Future()
        done.set_exception(BrokenProcessPool())
        return done

    here.submit = submit
    return here
