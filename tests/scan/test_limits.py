"""Bombs end as findings, in bounded time and memory."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from safehold.policy import Limits
from safehold.scan import machine, memo, one, scan_bytes, scan_path, sizes, streams
from tests.bypasses.payloads import call, named, stream, system
from tests.work import calls

pytestmark = pytest.mark.bare


def rules(report):
    return {finding.rule.id for finding in report.findings}


def laughs(levels=40):
    """A tuple that holds itself twice, forty times over, used as a key."""
    return b"\x80\x04}()" + b"2\x86" * levels + b"K\x01u."


def test_key_that_never_ends_hashing():
    assert "SH105" in rules(scan_bytes(laughs(), "a.pkl"))
    assert "SH105" not in rules(scan_bytes(laughs(levels=3), "a.pkl"))


def test_nesting_deeper_than_the_interpreter_allows():
    for opcode in (b"\x85", b"]\x94" * 2):
        data = b"\x80\x04)" + opcode * 30_000 + b"."
        assert scan_bytes(data, "a.pkl").verdict == "clean"


@pytest.mark.parametrize("put", [b"r\xff\xff\xff\x7f", b"p999999999\n"])
def test_memo_index_that_reserves_memory(put):
    assert "SH105" in rules(scan_bytes(b"N" + put + b".", "a.pkl"))


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"X\xff\xff\xff\x7f", "SH103"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "SH103"),
        (b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", "SH103"),
        (b"\x8b\xff\xff\xff\xff.", "SH103"),
    ],
)
def test_lengths_beyond_the_file_reserve_nothing(data, rule):
    tracemalloc.start()
    report = scan_bytes(b"\x80\x04" + data, "a.pkl")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rule in rules(report)
    assert peak < 2**20


@pytest.mark.parametrize(
    "data",
    [
        b"]2" * 150_000 + b".",
        b"(" * 300_000,
        b"]" + b"\x94" * 300_000 + b".",
        b")" + b"\x85" * 300_000 + b".",
        b"(N" + b"2" * 900 + b"t" + b"(N" * 300_000,
        (b"(" + b"]2" * 450 + b"t") * 400 + b".",
        (b"}(" + b"".join(b"\x8c\x02k%cN20" % at for at in range(48, 98)) + b"u") * 3_000 + b".",
        # Runs that are read because of the last opcode.
        b"\x80\x04" + b"]\x94" * 200_000 + b"h\x00.",
    ],
    ids="stack marks memo nested tuple tuples dicts runs".split(),
)
def test_what_is_kept_is_bounded(monkeypatch, data):
    assert "SH105" not in rules(scan_bytes(data, "a.pkl"))
    monkeypatch.setattr(sizes, "MAX_KEPT", 2**20)
    report = scan_bytes(data, "a.pkl")
    assert (report.format, "SH105" in rules(report)) == ("pickle", True)


def test_values_of_runs_that_are_read_are_bounded(monkeypatch):
    """They are many before the opcodes are: the count has to begin before."""
    monkeypatch.setattr(sizes, "MAX_KEPT", 2**20)
    runs = (b"(" + b"K\x01\x85" * 1000 + b"i__a\nb\n") * 40
    data = b"\x80\x02(" + runs + b"I1\n0" * 6000 + b"t."
    assert "SH105" in rules(scan_bytes(data, "a.pkl"))


def test_six_million_opcodes_that_do_nothing_hide_nothing(tmp_path):
    evil = stream(system(tmp_path / "never"))
    report = scan_bytes(evil[:2] + b"N0" * 3_000_000 + evil[2:], "a.pkl")
    assert report.verdict == "malicious"


@pytest.mark.parametrize(
    "maker",
    ["collections.deque", "collections.Counter", "collections.OrderedDict", "array.array",
     "builtins.list", "builtins.tuple", "builtins.set", "builtins.dict.fromkeys", "numpy.array"],
)  # fmt: skip
def test_a_range_that_is_unfolded_is_a_finding(maker):
    module, _, name = maker.partition(".")
    data = stream(call(named(module, name), call(named("builtins", "range"), 10**8)))
    assert "SH105" in rules(scan_bytes(data, "a.pkl"))
    assert scan_bytes(stream(call(named("builtins", "range"), 10**8)), "a.pkl").verdict == "clean"


@pytest.mark.parametrize(
    "made",
    [
        call(named("builtins", "pow"), 7, 10**8),
        call(named("builtins", "bytearray"), 10**8),
        call(named("builtins", "bytes"), 10**8),
        call(named("operator", "mul"), [0], 10**8),
        call(named("numpy", "ndarray"), (10**8,)),
        call(named("numpy", "zeros"), 10**8),
    ],
    ids="pow bytearray bytes mul ndarray zeros".split(),
)
def test_a_call_that_takes_what_it_is_told_to_is_a_finding(made):
    assert scan_bytes(stream(made), "a.pkl").verdict == "suspicious"


def test_opcodes_are_bounded(monkeypatch):
    monkeypatch.setattr(machine, "MAX_OPCODES", 20_000)
    assert "SH105" in rules(scan_bytes(b"]" + b"20" * 30_000 + b".", "a.pkl"))


def test_a_million_numbers_take_few_steps_and_no_memory():
    other, data = (
        pickle.dumps([number * factor for number in range(1_000_000)]) for factor in (0.5, 1.0)
    )
    scan_bytes(other, "a.pkl")  # compiles the patterns, which stay
    tracemalloc.start()
    report = scan_bytes(data, "a.pkl")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.verdict == "clean"
    assert peak < 2**20
    assert calls(lambda: scan_bytes(data, "a.pkl")).total() < 100_000


def test_text_and_bytes_are_left_in_the_file(tmp_path, monkeypatch):
    # As if no other thread ran; with threads a private copy of the file is read, a part at a time.
    monkeypatch.setattr(one, "is_possible", lambda: True)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(["x" * 30_000_000, b"y" * 30_000_000]))
    tracemalloc.start()
    report = scan_path(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.files[0].verdict == "clean"
    assert peak < 4 * 2**20


def test_archives_in_archives_end():
    data = pickle.dumps(1)
    for _ in range(9):
        data = gzip.compress(data)
    assert scan_bytes(data, "a.gz").verdict == "clean"
    report = scan_bytes(data, "a.gz", Limits(depth=8))
    assert rules(report) == {"SH105"}


def test_wrappers_nested_without_end_are_never_clean():
    data = pickle.dumps(1)
    for _ in range(300):
        data = gzip.compress(data, 1)
    assert scan_bytes(data, "a.gz").verdict in {"suspicious", "error"}


def test_members_are_counted():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(20):
            archive.writestr(f"{number}", b"")
    assert scan_bytes(buffer.getvalue(), "a.zip").verdict == "clean"
    report = scan_bytes(buffer.getvalue(), "a.zip", Limits(members=10))
    assert rules(report) == {"SH105"}


def test_expansion_is_bounded_and_what_came_before_is_read(tmp_path):
    evil = stream(system(tmp_path / "never"))
    data = gzip.compress(evil + bytes(200 * 2**20), 9)
    report = scan_bytes(data, "a.gz", Limits(expansion=10))
    assert rules(report) >= {"SH101", "SH105"}


def test_unpacked_bytes_of_all_members_count_together():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"{number}", bytes(2**20))
    limits = Limits(artifact=3 * 2**20)
    assert "SH105" in rules(scan_bytes(buffer.getvalue(), "a.zip", limits))


def test_overlapping_members_are_an_attack():
    """Many directory entries that share one packed member: the non-recursive zip bomb."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(1000))
    data = buffer.getvalue()
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    row = data[start:end]
    tail = bytearray(data[end:])
    tail[8:16] = struct.pack("<HHI", 3, 3, 3 * len(row))
    report = scan_bytes(data[:start] + row * 3 + bytes(tail), "a.zip")
    assert report.verdict == "malicious"


def test_stored_members_count_as_well():
    """Stored members can overlap too, and each would be read in full."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", bytes(3000))
        archive.writestr("b", bytes(3000))
    assert rules(scan_bytes(buffer.getvalue(), "a.zip", Limits(artifact=7000))) == set()
    row = buffer.getvalue()[buffer.getvalue().index(b"PK\x01\x02") :][: 46 + 1]
    data = buffer.getvalue()
    start = data.index(b"PK\x01\x02")
    tail = bytearray(data[data.index(b"PK\x05\x06") :])
    tail[8:16] = struct.pack("<HHI", 5, 5, 5 * len(row))
    report = scan_bytes(data[:start] + row * 5 + bytes(tail), "a.zip", Limits(artifact=7000))
    assert "SH105" in rules(report)


def test_search_for_hidden_streams_ends(monkeypatch):
    """Each place where one might begin is followed a little way, and only so many places."""
    monkeypatch.setattr(streams, "_HIDDEN_BYTES", 2**16)

    def steps(junk):
        report = None

        def scan():
            nonlocal report
            report = scan_bytes(b"N.\xff" + junk, "a.pkl")

        counts = calls(scan)
        assert report.verdict == "suspicious"
        return counts.total()

    steps(b"c" * 3_000_000)  # what is made once
    for junk in (b"c" * 3_000_000, b"\x80\x022" * 5000, b"ca\nb\n" * 2000, b"\na" * 60_000):
        assert steps(junk * 2) < 1.5 * steps(junk), junk[:4]


STREAMS = {
    "nothing": b"N.",
    "run": b"(" + b"K\x01" * 30 + b"t.",
    "gets": b"(" + b"h\x01" * 30 + b"t.",
    "gets of what runs may have put": b"(" + b"K\x01" * 30 + b"l0(" + b"h\x01" * 30 + b"t.",
    "memoize": b"\x80\x04]\x94h\x00\x86.",
}


@pytest.mark.parametrize("name", STREAMS)
def test_many_streams_with_a_large_memo_take_a_step_for_each(name, monkeypatch):
    """None walks what earlier ones have put, or the heap of the process to count its objects."""
    walked = 0

    class Known(dict):
        """A memo that counts the entries that are walked."""

        def walk(self, found):
            nonlocal walked
            walked += len(self)
            return found

        def __iter__(self):
            return self.walk(super().__iter__())

        def keys(self):
            return self.walk(super().keys())

        def values(self):
            return self.walk(super().values())

        def items(self):
            return self.walk(super().items())

        def copy(self):
            return self.walk(super().copy())

    class Memo(memo.Memo):
        def __init__(self):
            super().__init__()
            self.known = Known()

    monkeypatch.setattr(machine, "Memo", Memo)
    first = b"(" + b"]\x94" * 10_000 + b"t."

    def work(streams):
        nonlocal walked
        data, walked = first + STREAMS[name] * streams, 0
        assert scan_bytes(data, "a.pkl").verdict == "clean"
        counts = calls(lambda: scan_bytes(data, "a.pkl"))
        return walked, counts["getallocatedblocks"], counts.total()

    base, once, twice = work(0), work(1000), work(2000)
    assert once[:2] == twice[:2]
    assert once[0] <= 100_000
    assert twice[2] - base[2] < 2.1 * (once[2] - base[2])


def test_what_a_run_of_an_earlier_stream_put_is_known_later():
    texts = b"".join(b"\x8c\x06t%05d\x94" % index for index in range(40))
    data = b"\x80\x04]\x94." + b"\x80\x04(" + texts + b"t." + b"\x80\x04h\x05."
    assert scan_bytes(data, "a.pkl").verdict == "clean"
    data = data[:-3] + b"h\x29."  # the last of them is at 40
    assert rules(scan_bytes(data, "a.pkl")) == {"SH103"}


def test_file_beyond_the_limit(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps("x" * 1000))
    [report] = scan_path(path, Limits(artifact=100)).files
    assert (report.verdict, rules(report)) == ("suspicious", {"SH105"})
    assert rules(scan_bytes(path.read_bytes(), "a.pkl", Limits(artifact=100))) == {"SH105"}


_PEAK = """
import mmap, sys
from pathlib import Path
from safehold.scan import scan_bytes
def peak():
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
scan_bytes(b"\\x80\\x04].", "a.pkl")
before = peak()
with open(sys.argv[1], "rb") as file:
    data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
assert scan_bytes(data, "a.pkl").verdict == "clean"
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell")
def test_bytes_of_a_mapped_array_are_not_touched(tmp_path):
    size = 500 * 10**6
    path = tmp_path / "a.pkl"
    with path.open("wb") as file:
        file.write(b"\x80\x05\x96" + struct.pack("<Q", size))
        file.truncate(3 + 8 + size)
        file.seek(0, io.SEEK_END)
        file.write(b".")
    command = [sys.executable, "-c", _PEAK, str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(said) < 30 * 2**20
