"""Time and memory of one file: asked for in each loop, told as SH105, enforced for a child."""

from __future__ import annotations

import itertools
import os
import pickle
import re
import time

import pytest

from safehold.findings import Severity
from safehold.policy import Limits
from safehold.scan import budget, isolated, one, rules, scan_bytes, scan_path, walking
from safehold.scan.budget import SHARE, Budget, OutOfTime
from safehold.scan.isolated import Bounds, Died
from safehold.scan.mapped import Mapped
from safehold.scan.one import Settings
from safehold.scan.spool import Spool
from safehold.scan.unpacking import ERRORS
from tests.bypasses.payloads import stream, system
from tests.fuzz.hostile_bytes import FAMILIES


class Clock:
    """Processor time that passes by a second each time it is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def thread_time(self) -> float:
        self.asked += 1
        return float(self.asked)


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(budget, "time", found)
    return found


def said(report):
    return [finding.message for finding in report.findings if finding.rule is rules.LIMIT_EXCEEDED]


# --- the budget itself ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "seconds"), [(0, 3), (1, 3), (SHARE, 3), (SHARE + 1, 6), (10 * SHARE, 30)]
)
def test_each_share_of_a_file_has_its_time(size, seconds):
    assert Budget(3, size).seconds == seconds


def test_the_clock_is_asked_once_per_stride(clock):
    mine = Budget(100)
    for _ in range(10 * budget.STRIDE):
        mine.spend()
    assert clock.asked in range(10, 13)


def test_once_over_it_stays_over(clock):
    mine = Budget(2)
    mine.ask()
    mine.ask()
    with pytest.raises(OutOfTime, match=re.escape("took more than 2 seconds of processor time")):
        mine.ask()
    assert (mine.over, mine.left) == (True, 0)
    clock.asked = 0  # whatever the clock says
    with pytest.raises(OutOfTime):
        mine.spend(budget.STRIDE + 1)


def test_time_of_another_process_counts(clock):
    mine = Budget(10)
    mine.charge(9)
    mine.ask()
    with pytest.raises(OutOfTime):
        mine.ask()


def test_some_time_is_left_for_what_was_unpacked(clock):
    mine = Budget(10)
    assert [mine.may_unpack for _ in range(6)] == [True] * 4 + [False] * 2
    assert not mine.over


def test_without_limit_there_is_always_time():
    mine = Budget()
    mine.charge(10**9)
    mine.ask()
    assert mine.may_unpack


def test_no_error_that_readers_expect_hides_it():
    assert not issubclass(OutOfTime, (ValueError, OSError, LookupError, RecursionError, *ERRORS))


# --- in a scan --------------------------------------------------------------------------------

# Loops whose length a file decides, each in a module of its own.
LOOPS = (
    "none pop",
    "lists, then what they put",
    "names",
    "streams",
    "zip of empty members",
    "gzip of empty members",
    "zlib of empty blocks",
    "tar of empty members",
    "onnx of nodes",
    "graph of nodes",
    "hdf5 of empty messages",
    "gguf of values",
    "gguf of tensors",
    "npy arrays",
    "parquet of pages",
    "parquet of numbers",
    "notebook of pickles",
    "7z of empty parts",
    "ubjson of nulls",
    "xgboost of empty trees",
    "lightgbm of lines",
    "pmml of elements",
    "executorch of shared plans",
)


@pytest.mark.parametrize("name", LOOPS)
def test_each_loop_ends_when_the_time_is_over(name, clock, monkeypatch):
    monkeypatch.setattr(budget, "STRIDE", 100)
    family = FAMILIES[name]
    data = family.build(300_000)
    report = scan_bytes(data, f"a{family.suffix}", Limits(seconds=5))
    assert any("raise limits.seconds" in message for message in said(report)), said(report)
    assert report.verdict != "clean"
    # It did not go on for long: nothing asked again and again.
    assert clock.asked < 40


def test_a_walk_through_large_json_ends_when_the_time_is_over(clock):
    with pytest.raises(OutOfTime):
        walking.walk(FAMILIES["large json of lists"].build(100_000), budget=Budget(5))
    assert clock.asked < 10


def test_who_gives_up_without_a_word_leaves_a_finding(clock, monkeypatch, tmp_path):
    monkeypatch.setattr(budget, "STRIDE", 100)
    # No format takes it, and the search for what is hidden in it takes too long.
    data = b"\0" + b"\n" + b"\x80\x04" + b"N0" * 100_000
    settings = Settings.of(Limits(seconds=2), None)
    report, settled = one._read(data, "a.bin", settings, named=True)
    assert report.verdict == "suspicious"
    assert said(report) == ["took more than 2 seconds of processor time: raise limits.seconds"]
    assert not settled


def test_the_pages_of_a_temporary_file_are_let_go_of(monkeypatch):
    spool = Spool()
    spool.write(bytes(9 * 2**20))
    data = spool.data()
    mine, forgot = Budget(), []
    monkeypatch.setattr(Mapped, "forget", lambda one: forgot.append(len(one)))
    mine.keep(data)
    mine.ask()
    assert forgot == [len(data)]
    del data
    mine.ask()
    assert len(forgot) == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system does not tell")
def test_pages_that_were_let_go_of_are_no_memory_and_are_read_again():
    spool = Spool()
    spool.write(b"a" * 64 * 2**20)
    data = spool.data()
    assert bytes(data[::4096]) == b"a" * (len(data) // 4096)
    before = _resident()
    data.obj.forget()
    assert before - _resident() > 32 * 2**20
    assert bytes(data[::4096]) == b"a" * (len(data) // 4096)


def _resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_large_thing_that_was_unpacked_is_kept_by_the_budget(monkeypatch):
    import gzip

    kept, charged = [], []
    monkeypatch.setattr(Budget, "keep", lambda _, one: kept.append((type(one), len(one))))
    monkeypatch.setattr(Budget, "charge", lambda _, seconds: charged.append(seconds))
    for size in (9 * 2**20, 2**20):
        scan_bytes(gzip.compress(bytes(size)), "a.gz")
    assert [size for kind, size in kept if kind is memoryview] == [9 * 2**20]
    assert len(charged) == 1
    assert 0 < charged[0] < 0.01


def test_what_was_found_before_stays(clock, monkeypatch, tmp_path):
    monkeypatch.setattr(budget, "STRIDE", 100)
    data = stream(system(tmp_path / "never"))[:-1] + b"N0" * 100_000 + b"."
    report = scan_bytes(data, "a.pkl", Limits(seconds=3))
    assert report.verdict == "malicious"
    [message] = said(report)
    assert message == "took more than 3 seconds of processor time: raise limits.seconds"


def test_what_is_unpacked_slowly_is_read_as_far_as_it_got(clock, tmp_path):
    import bz2

    evil = bz2.compress(stream(system(tmp_path / "never")) + bytes(10))
    report = scan_bytes(evil + bz2.compress(bytes(100)) * 50, "a.pkl.bz2", Limits(seconds=20))
    assert report.verdict == "malicious"
    assert "takes too much processor time to unpack: raise limits.seconds" in said(report)


def test_enough_time_changes_nothing(monkeypatch):
    data = pickle.dumps({"a": [1.5] * 1000})
    assert scan_bytes(data, "a.pkl", Limits(seconds=0.1)) == scan_bytes(data, "a.pkl")


def test_a_limit_of_the_policy_is_named_and_a_fixed_one_is_not():
    assert said(scan_bytes(b"N.", "a.pkl", Limits(artifact=1)))[0].endswith("limits.artifact")
    assert "limits." not in said(scan_bytes(b"Nr\xff\xff\xff\x7f.", "a.pkl"))[0]
    assert "where it names none the limit is fixed" in rules.LIMIT_EXCEEDED.remedy
    assert rules.LIMIT_EXCEEDED.severity is Severity.HIGH


def test_a_child_that_has_no_memory_left_is_a_limit(monkeypatch):
    def without(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(one, "possible", without)
    report = scan_bytes(b"N.", "a.pkl")
    assert report.verdict == "suspicious"
    assert said(report) == ["takes more memory than a file of its size may"]


# --- the process that reads large files -------------------------------------------------------


def bounds(seconds: float = 30.0, memory: int = 2**30) -> Bounds:
    return Bounds(seconds, memory, "took too long")


def forever():
    for _ in itertools.count():
        pass


@pytest.mark.forking
def test_a_loop_that_nobody_counts_is_interrupted(monkeypatch):
    monkeypatch.setattr(isolated, "_GRACE", 0.0)
    with pytest.raises(Died) as died:
        isolated.isolated(forever, bounds(seconds=0.05))
    assert died.value.limit


@pytest.mark.forking
def test_a_call_that_does_not_return_ends_the_child(monkeypatch):
    monkeypatch.setattr(isolated, "_LAST_GRACE", 0)
    with pytest.raises(Died, match="took too long") as died:
        isolated.isolated(lambda: sum(range(10**12)), bounds(seconds=0.5))
    assert died.value.limit


@pytest.mark.forking
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system does not tell")
def test_memory_beyond_the_bounds_is_a_limit():
    with pytest.raises(Died) as died:
        isolated.isolated(lambda: len(bytearray(2**28)), bounds(memory=2**26))
    assert died.value.limit
    assert isolated.isolated(lambda: len(bytearray(2**28)), bounds(memory=2**29)) == 2**28


@pytest.mark.forking
def test_a_limit_that_the_caller_has_is_not_raised():
    def inner() -> int:
        return isolated.isolated(lambda: 1, bounds(memory=2**40))

    assert isolated.isolated(inner, bounds()) == 1


@pytest.mark.forking
def test_a_file_whose_child_is_ended_by_a_limit_is_suspicious(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(bytes(17 * 2**20)))

    def ended(*_: object, **__: object) -> None:
        raise Died("took too long", limit=True)

    monkeypatch.setattr(one, "is_possible", lambda: True)
    monkeypatch.setattr(one, "isolated", ended)
    [report] = scan_path(path).files
    assert (report.verdict, said(report)) == ("suspicious", ["took too long"])


@pytest.mark.forking
def test_the_child_of_a_large_file_has_bounds(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(bytes(17 * 2**20)))
    seen = []

    def watched(work, given):
        seen.append(given)
        return work()

    monkeypatch.setattr(one, "is_possible", lambda: True)
    monkeypatch.setattr(one, "isolated", watched)
    [report] = scan_path(path, Limits(seconds=3)).files
    assert report.verdict == "clean"
    [given] = seen
    assert (given.seconds, given.memory) == (3, budget.MEMORY)


def test_the_clock_is_that_of_the_thread():
    assert budget.time is time
