"""Both readers see the same in streams of all kinds, and a finding appears when one does not."""

from __future__ import annotations

import collections
import datetime as dt
import gzip
import io
import os
import pickle
import random
import struct
import threading
import zipfile
from typing import Any

import pytest

from safehold.scan import Verdict, inert, opcodes, scan_bytes, scan_path
from safehold.scan.inert.answers import Reading
from safehold.scan.inert.compare import Ours, differences
from safehold.scan.judge import Judge
from safehold.scan.names import Names
from safehold.scan.opcodes import run
from tests.scan.streams import grow

PROTOCOLS = range(6)
SHARED = (1, "a")
HARMLESS = [
    None,
    [1, 2.5, "x" * 300, b"bytes" * 99, 1 << 80, True, (), SHARED, SHARED],
    {"a": {1, 2}, "b": frozenset({3}), (1, 2): bytearray(b"x"), "\u00e9\udc80": -1},
    collections.OrderedDict(a=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), b=complex(1, 2)),
    [{"n": n, "t": str(n)} for n in range(300)],
]


class Calls:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


def disagreements(report) -> list[str]:
    return [f.message for f in report.findings if f.rule.id == "SH110"]


def second_reader(report) -> list[str]:
    """Findings that only the second reader makes."""
    words = ("CPython's loader", "second reader")
    return [f.message for f in report.findings if any(word in f.message for word in words)]


def asked(monkeypatch) -> list[str]:
    """Names of the sources that the second reader is asked about."""
    names: list[str] = []
    real = inert._ask

    def ask(source, visit, job):
        names.append(source.member or source.name)
        return real(source, visit, job)

    monkeypatch.setattr(inert, "_ask", ask)
    return names


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", HARMLESS, ids=str)
def test_harmless_pickles_stay_clean(value, protocol, monkeypatch):
    names = asked(monkeypatch)
    report = scan_bytes(pickle.dumps(value, protocol), "a.pkl", paranoid=True)
    assert report.verdict is Verdict.CLEAN, report.findings
    assert names


def test_harmless_streams_in_a_row_stay_clean(monkeypatch):
    names = asked(monkeypatch)
    pickler = pickle.Pickler(out := io.BytesIO())
    for value in HARMLESS:
        pickler.dump(value)
    assert scan_bytes(out.getvalue(), "a.pkl", paranoid=True).verdict is Verdict.CLEAN
    assert len(names) == 1


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + bytes(64), b"text", b"{}", b"(", b"\0"])
def test_what_is_no_pickle_gets_no_finding_of_the_second_reader(content):
    report = scan_bytes(content, "a.dat", paranoid=True)
    assert not second_reader(report)


def test_only_what_is_not_known_to_be_harmless_is_read_twice(monkeypatch):
    names = asked(monkeypatch)
    assert scan_bytes(pickle.dumps(HARMLESS), "a.pkl").verdict is Verdict.CLEAN
    assert not names
    scan_bytes(pickle.dumps(Calls(os.getpid)), "b.pkl")
    scan_bytes(b"(", "c.pkl")
    assert names == ["b.pkl", "c.pkl"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        Calls(os.system, "true"),
        [Calls(print, 1), Calls(eval, "1"), Calls(print, 2)],
        {"k": Calls(getattr, Calls(__import__, "os"), "system")},
    ],
    ids=["one", "several", "nested"],
)
def test_both_see_the_same_in_hostile_dumps(value, protocol):
    report = scan_bytes(pickle.dumps(value, protocol), "a.pkl")
    assert report.verdict is Verdict.MALICIOUS
    assert not second_reader(report)


HOSTILE = {
    "name made while loading": b"\x80\x04cos\ngetcwd\n)R\x8c\x01x\x93.",
    "extension code": b"\x80\x02\x82\x01.",
    "dotted name": b"\x80\x04\x8c\x06random\x8c\x0a_os.system\x93\x8c\x01x\x85R.",
    "name of Python 2": b"c__builtin__\nexecfile\n(S'x'\ntR.",
    "instance": b"(S'x'\nios\nsystem\n.",
    "object": b"(cos\nsystem\nU\x01xo.",
    "memo alias": b"cos\nsystem\np7\n0g7\n(S'x'\ntR.",
    "second stream with the memo of the first": b"cos\nsystem\np7\n.g7\n(S'x'\ntR.",
    "junk behind": b"cos\nsystem\n.\xff\xff\xff",
    "cut off": b"cos\nsystem\n(S'x'",
    "persistent id": b"cos\nsystem\nNQ.",
    "buffers": b"\x80\x05cos\nsystem\n\x97\x98\x85R.",
    "numbers of the C loader": b"I0x10\n0L0x1fL\n0cos\nsystem\n(S'x'\ntR.",
    "class as target": b"\x80\x02cos\nsystem\n}b.",
    "frames": b"\x80\x04\x95\x0c\0\0\0\0\0\0\0cos\nsystem\n.",
    "keywords": b"\x80\x04cos\nsystem\n)}\x92.",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_both_see_the_same_in_hostile_constructions(data):
    report = scan_bytes(data, "a.pkl")
    assert report.verdict is Verdict.MALICIOUS
    assert not second_reader(report)


def test_random_streams_agree():
    for seed in range(150):
        rng = random.Random(seed)
        data = b"".join(grow(rng, rng.choice((3, 10, 30))) for _ in range(rng.choice((1, 1, 3))))
        assert not disagreements(scan_bytes(data, "a.pkl", paranoid=True)), (seed, data)


def test_old_texts_agree_in_both_encodings():
    data = pickle.dumps([1], 2)[:-1] + b"U\x02\xe9\xff\x86T\x01\0\0\0\xff\x86."
    assert scan_bytes(data, "a.pkl", paranoid=True).verdict is Verdict.CLEAN


# A machine that is wrong on purpose


def mutate(monkeypatch, code: int, handler) -> None:
    table = list(opcodes.TABLE)
    table[code] = handler
    monkeypatch.setattr(opcodes, "TABLE", tuple(table))


def test_a_global_that_the_machine_misses_is_malicious(monkeypatch):
    def blind(m):
        m.line()
        m.line()
        m.stack.append(None)

    mutate(monkeypatch, ord("c"), blind)
    data = b"\x80\x02cos\nsystem\nU\x01x\x85."
    assert scan_bytes(data, "a.pkl").verdict is Verdict.CLEAN
    report = scan_bytes(data, "a.pkl", paranoid=True)
    assert report.verdict is Verdict.MALICIOUS
    assert disagreements(report) == ["CPython's loader reaches names that the scanner does not see"]
    [finding] = [f for f in report.findings if f.rule.id == "SH110"]
    assert finding.detail["names"] == ["os.system"]
    # It is judged as if the machine had seen it.
    assert "SH101" in {f.rule.id for f in report.findings}
    assert "os.system" in {use.name for use in report.globals}
    assert not report.plain


def test_an_unseen_name_is_malicious_even_if_it_is_harmless(monkeypatch):
    def blind(m):
        m.line()
        m.line()
        m.stack.append(None)

    mutate(monkeypatch, ord("c"), blind)
    data = b"\x80\x02ccollections\nOrderedDict\n."
    assert scan_bytes(data, "a.pkl", paranoid=True).verdict is Verdict.MALICIOUS


def test_a_call_that_the_machine_misses_is_malicious(monkeypatch):
    mutate(monkeypatch, ord("R"), lambda m: m.pop())
    data = b"\x80\x02cbuiltins\nset\n]\x85R."
    report = scan_bytes(data, "a.pkl", paranoid=True)
    assert disagreements(report) == ["CPython's loader calls what the scanner sees only named"]
    assert report.verdict is Verdict.MALICIOUS


def test_a_memo_that_differs_is_seen(monkeypatch):
    # MEMOIZE of a machine that counts from one: the name is that of another text.
    def late(m):
        m.memo[len(m.memo) + 1] = m.top()

    mutate(monkeypatch, 0x94, late)
    data = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940\x8c\x09posixpath\x940h\x00h\x01\x93."
    assert disagreements(scan_bytes(data, "a.pkl", paranoid=True))


def test_another_end_is_suspicious(monkeypatch):
    def greedy(m):
        m.pos += 1
        m.stack.append(None)

    mutate(monkeypatch, ord("N"), greedy)
    report = scan_bytes(b"\x80\x02N..", "a.pkl", paranoid=True)
    assert "CPython's loader ends at another place" in disagreements(report)
    assert report.verdict is Verdict.SUSPICIOUS


def test_a_stream_that_only_the_machine_reads_is_suspicious(monkeypatch):
    mutate(monkeypatch, 0xFF, lambda m: m.stack.append(None))
    report = scan_bytes(b"\x80\x02\xff.", "a.pkl", paranoid=True)
    assert disagreements(report) == ["CPython's loader refuses what the scanner reads to its end"]
    assert report.verdict is Verdict.SUSPICIOUS


def test_a_stream_that_only_the_loader_reads_is_suspicious(monkeypatch):
    mutate(monkeypatch, ord("N"), opcodes._no_opcode)
    report = scan_bytes(b"\x80\x02N.", "a.pkl", paranoid=True)
    assert disagreements(report) == ["CPython's loader reads on where the scanner cannot"]


def test_another_order_is_seen():
    judge = Judge(Names(allow_nothing()))
    machine, outcome = run(b"cos\na\ncos\nb\n\x86.", judge)
    ours = Ours.of(judge, machine, outcome)
    for names, wanted in (
        ([("os", "a"), ("os", "b")], []),
        ([("os", "b"), ("os", "a")], ["CPython's loader reaches the names in another order"]),
        ([("os", "a")], ["CPython's loader does not reach all names that the scanner sees"]),
    ):
        theirs = Reading("latin1", 0, dict.fromkeys(names), how="stop", stop=machine.pos)
        assert [one.message for one in differences(ours, theirs)] == wanted


def allow_nothing():
    from safehold.allow import AllowList

    return AllowList.of()


# Where streams stand


def test_members_of_archives_are_read_twice(monkeypatch):
    names = asked(monkeypatch)
    with zipfile.ZipFile(out := io.BytesIO(), "w") as archive:
        archive.writestr("m/a.pkl", pickle.dumps(HARMLESS))
    packed = gzip.compress(out.getvalue())
    assert scan_bytes(packed, "c.zip.gz", paranoid=True).verdict is Verdict.CLEAN
    assert any(name.endswith("m/a.pkl") for name in names), names


def test_object_arrays_are_read_twice(monkeypatch):
    names = asked(monkeypatch)
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header = header.ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header
    scan_bytes(data + pickle.dumps(Calls(os.system, "x")), "a.npy")
    assert names == ["@128"]


def test_mapped_files_are_read_twice(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([bytes(17 * 2**20), collections.OrderedDict()]))
    assert scan_path(path, paranoid=True).files[0].verdict is Verdict.CLEAN
    # In a process of its own, where nothing can be counted: a machine that is wrong tells.
    path.write_bytes(pickle.dumps(bytes(17 * 2**20))[:-1] + b"0\xff.")
    mutate(monkeypatch, 0xFF, lambda m: m.stack.append(None))
    assert scan_path(path).files[0].verdict is Verdict.CLEAN
    assert disagreements(scan_path(path, paranoid=True).files[0])


def test_several_threads_ask_at_once():
    reports: list[Any] = []

    def scan() -> None:
        for protocol in PROTOCOLS:
            data = pickle.dumps(Calls(os.system, "x"), protocol)
            reports.append(scan_bytes(data, "a.pkl", paranoid=True))

    threads = [threading.Thread(target=scan) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 4 * len(PROTOCOLS)
    assert not any(second_reader(report) for report in reports)


UNHASHABLE = {
    "list": b"}]Ns.",
    "dict": b"}}Ns.",
    "set": b"\x80\x04}\x8fNs.",
    "bytearray": b"\x80\x05}\x96" + (1).to_bytes(8, "little") + b"x\x4es.",
    "in a tuple": b"\x80\x02}]\x85Ns.",
    "in a tuple in a tuple": b"\x80\x02}K\x01]\x86\x85Ns.",
    "marked": b"}(K\x01K\x02]K\x03u.",
    "after many": b"}(" + b"K\x01K\x02" * 5000 + b"]K\x03" + b"K\x01K\x02" * 5000 + b"u.",
    "of DICT": b"(]K\x01d.",
    "from the memo": b"\x80\x02]q\x000}(" + b"K\x01K\x02" * 999 + b"h\x00K\x01u.",
    "member": b"\x80\x04\x8f(]\x90.",
    "member of a frozenset": b"\x80\x04(]\x91.",
}


@pytest.mark.parametrize("name", UNHASHABLE)
def test_a_key_that_cannot_be_hashed_is_unreadable(name):
    with pytest.raises(TypeError):
        pickle.loads(UNHASHABLE[name])
    report = scan_bytes(UNHASHABLE[name], "a.pkl", paranoid=True)
    assert [(f.rule.id, f.message) for f in report.findings] == [
        ("SH103", "a key that cannot be hashed")
    ]


@pytest.mark.parametrize("data", [b"\x80\x04}((K\x01K\x02t\x91Ns.", b"\x80\x04}(]t0)Ns."])
def test_a_key_that_can_be_hashed_is_none(data):
    pickle.loads(data)
    assert not scan_bytes(data, "a.pkl", paranoid=True).findings
