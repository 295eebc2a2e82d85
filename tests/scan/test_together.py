"""Memory of all processes of a scan together, and what a limit must not take away."""

from __future__ import annotations

import gc
import gzip
import re
import tracemalloc

import pytest

from safehold.allow import PRESETS, AllowList
from safehold.policy import Limits
from safehold.scan import budget, inert, machine, rules, scan_bytes, searching
from safehold.scan.budget import Budget, OutOfTime
from safehold.scan.formats import joblib, otherwise, possible
from safehold.scan.formats import pickle as pickle_format
from safehold.scan.memo import Memo
from safehold.scan.names import Names
from safehold.scan.streams import run_first
from safehold.scan.visit import Source, Visit
from tests.fuzz.families import FAMILIES

pytestmark = pytest.mark.bare

MIB = 2**20
SETS = b"\x8f\x94" * 50_000  # which are no run
NAMED = b"\x80\x04cos\nsystem\n0"
ARRAY = (
    b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(\x8c\x08subclasscnumpy\nndarray\n"
    b"\x8c\x05shapeK\x01\x85\x8c\x05order\x8c\x01C\x8c\x05dtypecnumpy\ndtype\n\x8c\x02u1"
    b"\x89\x88\x87R\x8c\x0aallow_mmap\x89ubN0"
)
TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


class Asked:
    """Stands for the second reader: what the first had in memory, and what the second may have."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.memory: list[int] = []

    def ask(self, _data, _job, allowance):
        gc.collect()
        self.kept.append(tracemalloc.get_traced_memory()[0])
        self.memory.append(allowance.memory)
        return [["confined", []], ["left", 0]]


@pytest.fixture
def asked(monkeypatch):
    found = Asked()
    monkeypatch.setattr(inert, "PROCESSES", found)
    return found


# --- the second reader ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        NAMED + b"(" + SETS + b"t.",
        NAMED + b"(" + SETS + b"l.",
        NAMED + b"(" + SETS,
        NAMED + b"(" + SETS + b"t.N.",
        b"\x80\x04" + ARRAY + NAMED[2:] + b"(" + SETS + b"t.",
        TORCH + NAMED + b"(" + SETS + b"t.",
    ],
    ids=["tuple", "list", "open", "several", "joblib", "torch"],
)
def test_the_first_reader_lets_go_of_its_values_before_the_second_is_asked(data, asked):
    scan_bytes(data[:1000], "a.pkl")  # patterns and imports
    asked.kept.clear()
    tracemalloc.start()
    try:
        scan_bytes(data, "a.pkl")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak > 5 * MIB
    assert asked.kept
    assert max(asked.kept) < MIB


def test_the_second_reader_may_take_what_is_left_for_the_file(asked, monkeypatch):
    monkeypatch.setattr(budget, "MEMORY", 200 * MIB)
    scan_bytes(NAMED + b"N.", "a.pkl")
    assert asked.memory == [200 * MIB - budget._INTERPRETERS]


def test_what_a_small_file_unpacks_to_gives_the_second_reader_no_more(asked):
    large = 110 * MIB
    data = NAMED + b"B" + large.to_bytes(4, "little") + bytes(large) + b"."
    scan_bytes(gzip.compress(data, 1), "a.pkl.gz")
    assert asked.memory
    assert all(memory <= 512 * MIB - budget._INTERPRETERS for memory in asked.memory)


def test_what_the_first_reader_has_still_is_not_left():
    mine = Budget(size=1)
    assert mine.room == budget.MEMORY - budget._INTERPRETERS
    mine.keep(bytes(2**17))
    kept = bytearray(b"x") * (100 * MIB)
    assert mine.room < budget.MEMORY - budget._INTERPRETERS - len(kept) // 2


def test_some_room_is_left_in_any_case():
    mine = Budget(size=1)
    mine.keep(bytes(2**17))
    mine._had -= 2**40
    assert mine.room == budget._LEAST_ROOM


def test_nobody_finds_the_first_stream_without_its_values(asked):
    names = Names(AllowList.of(PRESETS))
    visit = Visit("a.pkl", Limits(), names, possible, otherwise)
    source = Source(NAMED + b"N.", "a.pkl", named=True)
    assert pickle_format.read(source, visit) == "pickle"
    assert asked.memory
    assert visit.first is None
    run_first(source, visit)
    assert visit.first is not None
    inert.check(source, visit)
    assert visit.first is None


# --- time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["byte 4e", "byte 5d", "small ints", "distinct memo", "puts"])
def test_the_clock_is_asked_while_a_pattern_steps_over_many_bytes(name, monkeypatch):
    asked = []
    real = Budget.ask
    monkeypatch.setattr(Budget, "ask", lambda self: asked.append(1) or real(self))
    size = 2 * MIB
    scan_bytes(FAMILIES[name].build(size), "a.pkl")
    assert len(asked) * budget.STRIDE * budget._MATCHED > size // 2


SIGN = re.compile(rb"a[bc]{2}d|\xff")


def test_a_search_in_pieces_finds_what_one_search_does(monkeypatch):
    monkeypatch.setattr(searching, "_PIECE", 64)
    for shift in range(70):
        data = bytes(shift) + b"abcd" + bytes(200) + b"\xff\xffabbd" + bytes(61) + b"accd"
        expected = [found.span() for found in SIGN.finditer(data)]
        found = [one.span() for one in searching.matches(SIGN, data, Budget())]
        assert found == expected
        assert searching.search(SIGN, data, Budget(), shift + 4).start() == shift + 204
    assert searching.search(SIGN, bytes(1000), Budget()) is None


def test_the_clock_is_asked_between_two_pieces(monkeypatch):
    monkeypatch.setattr(searching, "_PIECE", 64)
    late = Budget(0.0)
    with pytest.raises(OutOfTime):
        searching.search(SIGN, bytes(1000), late)
    assert searching.search(SIGN, bytes(60), late) is None


# --- what a limit must not take away ----------------------------------------------------------


def out_of_time(*_, **__):
    raise OutOfTime("no time is left")


def findings(data):
    report = scan_bytes(data, "a.pkl")
    return report.verdict, {finding.rule.id for finding in report.findings}


LOADS = b"\x80\x04ctorch.storage\n_load_from_bytes\nC\x02N.\x85R0"


@pytest.mark.parametrize("before", [b"", b"N."], ids=["first", "second"])
def test_dangers_count_though_what_bytes_of_a_call_hold_takes_all_time(before, monkeypatch, asked):
    monkeypatch.setattr(Visit, "_are_weights", out_of_time)
    report = scan_bytes(before + LOADS + NAMED[2:] + b"N.", "a.pkl")
    assert report.verdict == "malicious"
    named = {finding.detail.get("global") for finding in report.findings}
    assert named >= {"torch.storage._load_from_bytes", "os.system"}
    assert rules.LIMIT_EXCEEDED in {finding.rule for finding in report.findings}


@pytest.mark.parametrize("data", [NAMED + b"N.N.", b"N." + NAMED + b"N.N."])
def test_a_danger_counts_though_a_memo_takes_all_time(data, monkeypatch, asked):
    monkeypatch.setattr(Memo, "resolve", out_of_time)
    verdict, found = findings(data)
    assert verdict == "malicious"
    assert found >= {rules.DANGEROUS_GLOBAL.id, rules.LIMIT_EXCEEDED.id}


def test_names_count_though_no_format_had_time_to_claim_the_stream(monkeypatch):
    monkeypatch.setattr(machine, "MAX_OPCODES", 1)
    monkeypatch.setattr(joblib, "is_wrapper", out_of_time)
    verdict, found = findings(b"ca\nb\n0" + b"N0" * budget.STRIDE)
    assert verdict == "suspicious"
    assert found >= {rules.UNKNOWN_GLOBAL.id, rules.LIMIT_EXCEEDED.id}


def test_a_danger_counts_though_what_follows_takes_all_time(monkeypatch, asked):
    monkeypatch.setattr(pickle_format, "read_following", out_of_time)
    verdict, found = findings(NAMED + b"N.N.")
    assert verdict == "malicious"
    assert found >= {rules.DANGEROUS_GLOBAL.id, rules.LIMIT_EXCEEDED.id}
