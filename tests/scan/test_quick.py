"""Small pickles that are read in one loop, against the machine that follows each opcode."""

from __future__ import annotations

import array
import datetime as dt
import decimal
import fractions
import pickle
import random
import uuid
from collections import Counter, OrderedDict, defaultdict, deque

import pytest

from safehold.allow import PRESETS, AllowList
from safehold.scan import quick, scan_bytes
from safehold.scan.judge import Judge
from safehold.scan.names import Names
from safehold.scan.opcodes import run

NAMES = Names(AllowList.of(PRESETS), frozenset({"shop.Order"}))
_MAGIC = 0x1950A86A20F9469CFC6C
# Opcodes and names that decide how a stream goes on; each complete by itself.
_PIECES = [
    *(bytes((code,)) for code in b"(aesub)N]}tR012Q\x81\x85\x86\x87\x88\x8f\x90\x91\x92\x93\x94.P"),
    b"h\x00", b"h\x01", b"h\x05", b"j\x02\x00\x00\x00", b"q\x00", b"q\x03", b"K\x00", b"K\xff",
    b"M\x01\x02", b"J\xff\xff\xff\xff", b"G" + b"\x3f" * 8, b"\x8a\x02\x00\x01", b"\x82\x01",
    b"C\x02ab", b"C\x18" + b"y" * 24, b"B\x03\x00\x00\x00abc", b"\x96\x02" + bytes(7) + b"ab",
    b"X\x01\x00\x00\x00a", b"X\x00\x01\x00\x00" + b"z" * 256, b"X\x01\x01\x00\x00" + b"z" * 257,
    b"\x8c\x00", b"\x8c\x01a", b"\x8c\x48" + b"x" * 72, b"\x8c\x02\xc3\xa9", b"\x8c\x02\xff\xfe",
    b"\x8c\x0c__setstate__", b"U\x01a", b"I1\n", b"\x8d" + bytes((1, *bytes(7))) + b"a",
]  # fmt: skip
_NAMED = [
    "builtins set", "builtins range", "builtins getattr", "builtins complex", "builtins eval",
    "collections OrderedDict", "collections Counter", "collections deque", "datetime date",
    "datetime datetime", "copyreg _reconstructor", "copyreg __newobj__", "builtins object",
    "_codecs encode", "numpy dtype", "numpy ndarray", "numpy._core.multiarray _reconstruct",
    "numpy._core.multiarray scalar", "os system", "shop Order", "nobody knows", "posix system",
    "joblib.numpy_pickle NumpyArrayWrapper", "torch.storage _load_from_bytes",
    "sklearn.linear_model._base LinearRegression", "functools partial", "__builtin__ set",
]  # fmt: skip


def _names() -> list[bytes]:
    found = []
    for line in _NAMED:
        module, name = line.encode().split()
        texts = b"\x8c%c%b\x94\x8c%c%b" % (len(module), module, len(name), name)
        found += [texts + b"\x94\x93\x94", texts + b"\x93", b"c%b\n%b\n" % (module, name)]
    return found


_ALL = [*_PIECES * 3, *_names()]


def same(data: bytes) -> bool:
    """Whether it is read quickly; if so, the machine must find the same."""
    found = quick.read(data, NAMES)
    if found is None:
        return False
    judge = Judge(NAMES)
    machine, outcome = run(data, judge, skip=False)
    assert not judge.notes, data
    assert (outcome.status, outcome.stop) == ("stop", len(data)), data
    assert machine.persistent == [], data
    assert (machine.buffers, machine.missing) == (0, 0), data
    assert type(outcome.top) is not int, data
    assert list(found.uses) == list(judge.uses), data
    assert found.versions == judge.versions, data
    return True


def values() -> list[object]:
    day = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    shared = ("a", 1)
    return [
        {"when": [day, day.date(), dt.timedelta(hours=1)], "n": 1},
        OrderedDict((f"k{index}", [day, index / 2]) for index in range(5)),
        {"c": Counter("abcab"), "f": fractions.Fraction(1, 3), "d": decimal.Decimal("1.5")},
        [deque([1, 2, (3, shared)]), shared, [shared], {shared: 1}, {1, "a"}, frozenset({2.5})],
        [uuid.UUID(int=5), array.array("d", [1.0]), complex(1, 2), bytearray(b"ab"), b"c" * 300],
        {"t" * 80: "u" * 300, "": "\u00e9" * 40, "n": [None, True, False, -1, 70_000, 2**70, 0.5]},
        (defaultdict(list, {"a": [1]}), dt.time(1, 2), [dt.timezone(dt.timedelta(hours=2))]),
    ]


def pickles() -> list[bytes]:
    return [pickle.dumps(value, kind) for value in values() for kind in (2, 3, 4, 5)]


def framed(data: bytes) -> bytes:
    """Return it with a frame that ends where it does, if it began with one."""
    if data[2:3] != b"\x95":
        return data
    return data[:3] + (len(data) - 11).to_bytes(8, "little") + data[11:]


def changed(rng: random.Random, data: bytes) -> bytes:
    """Return it with pieces put in, left out or doubled, or with another byte."""
    start = 11 if data[2:3] == b"\x95" else 2
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, piece = rng.randrange(start, len(data)), rng.choice(_ALL)
        to = min(len(data) - 1, at + rng.randrange(8))
        data = rng.choice(
            (
                data[:at] + piece + data[at:],
                data[:at] + data[to:],
                data[:at] + data[at:to] * 2 + data[to:],
                data[:at] + bytes((rng.randrange(256),)) + data[at + 1 :],
                data[:at] + piece + data[to:],
            )
        )
    return framed(data)


def composed(rng: random.Random, kind: int) -> bytes:
    """Return pieces in a row: some end as a pickle does."""
    parts = [rng.choice(_ALL) for _ in range(rng.randrange(1, 12))]
    called = rng.choice(
        (b"", b")\x81", b")R", b"\x85R", b"}b", b"](K\x01e\x85R", b"}\x8c\x01aK\x01sb")
    )
    return b"\x80%c%b%b." % (kind, b"".join(parts), called)


@pytest.mark.parametrize("data", pickles())
def test_what_picklers_write_is_read_quickly(data):
    assert same(data)


def test_changed_pickles_are_read_as_the_machine_does():
    rng = random.Random(4)
    bases = pickles()
    read = sum(same(changed(rng, rng.choice(bases))) for _ in range(20_000))
    assert read > 1_000


def test_composed_pickles_are_read_as_the_machine_does():
    rng = random.Random(5)
    read = sum(same(composed(rng, rng.choice((2, 3, 4, 5)))) for _ in range(20_000))
    assert read > 50


def _named(module: str, name: str) -> bytes:
    return b"c%b\n%b\n" % (module.encode(), name.encode())


# A dtype of one field; index 7 of the memo is the dict of its fields.
_DTYPE = (
    b"cnumpy\ndtype\nq\x00X\x02\x00\x00\x00V4q\x01\x89\x88\x87q\x02Rq\x03(K\x03X\x01\x00\x00\x00|q\x04N"
    b"X\x01\x00\x00\x00aq\x05\x85q\x06}q\x07h\x05h\x00X\x02\x00\x00\x00f4q\x08\x89\x88\x87q\tRq\n"
    b"(K\x03X\x01\x00\x00\x00<q\x0bNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0cbK\x00\x86q\rs"
    b"K\x04K\x01K\x10tq\x0eb"
)
_LEFT_TO_THE_MACHINE = {
    "a PUT of another index": b"X\x01\x00\x00\x00aq\x01h\x00\x86",
    "a PUT of another index, of a list": b"]q\x01h\x00a",
    "a PUT of another index, of long bytes": b"]B\x03\x00\x00\x00abcq\x01ah\x00\x86",
    "a PUT of another index, of arguments": _named("datetime", "date")
    + b"K\x01\x85q\x01Rh\x00\x86",
    "fields that are changed": _DTYPE + b"h\x07h\x05K\x01s\x86",
    "a range that is unfolded": b"](" + _named("datetime", "date") + _named("builtins", "range")
    + b"K\x05\x85R\x85Re",
    "a wrapper of joblib": _named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}b",
    "bytes of torch": _named("torch.storage", "_load_from_bytes") + b"C\x01a\x85R",
    "very many arguments": _named("datetime", "date") + b"(" + b"N" * 1025 + b"tR",
    "getattr": _named("builtins", "getattr") + _named("datetime", "datetime")
    + b"X\x03\x00\x00\x00now\x86R",
    "a class of one's own that is called": _named("shop", "Order") + b"K\x01\x85R",
    "a special name": _named("shop", "Order") + b")\x81}X\x0c\x00\x00\x00__setstate__]sb",
    "a state twice": _named("shop", "Order") + b")\x81}b}b",
    "items added to a class": _named("shop", "Order") + b"K\x01a",
    "persistent ids": b"](K\x01Qe",
    "what is no text": b"X\x02\x00\x00\x00\xff\xfe\x85",
    "a mark that is closed twice": b"](K\x01ee",
    "bytes that go on behind the end": b"B\xff\x00\x00\x00abc\x85",
}  # fmt: skip


@pytest.mark.parametrize("what", _LEFT_TO_THE_MACHINE)
def test_the_machine_reads(what):
    assert quick.read(b"\x80\x03" + _LEFT_TO_THE_MACHINE[what] + b".", NAMES) is None


@pytest.mark.parametrize("opcode", [b"u", b"\x90", b"\x91"])
def test_keys_that_take_long_to_hash_are_left_to_the_machine(opcode):
    for times, read in ((2, True), (20, False)):
        levels = b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(times))
        opened = {b"u": b"}(", b"\x90": b"\x8f(", b"\x91": b"("}[opcode]
        key = b"](K\x01\x85q\x00" + levels + b"e"
        used = opened + b"h%c" % times + (b"K\x01" if opcode == b"u" else b"") + opcode
        data = b"\x80\x03" + key + used + b"\x86."
        assert (quick.read(data, NAMES) is not None) is read
        assert not read or same(data)


def test_fields_of_a_dtype_that_stay_are_read_quickly():
    assert same(b"\x80\x03" + _DTYPE + b".")
    assert same(b"\x80\x03" + _DTYPE + b"h\x07\x86.")


def test_frames_end_where_the_bytes_do():
    data = pickle.dumps([dt.timedelta(1)], 4)
    assert same(data)
    for change in (-1, 1):
        length = len(data) - 11 + change
        assert quick.read(data[:3] + length.to_bytes(8, "little") + data[11:], NAMES) is None
    assert quick.read(data[:-1] + b"..", NAMES) is None


def test_what_fails_here_is_read_by_the_machine(monkeypatch):
    data = pickle.dumps([dt.timedelta(1)], 4)
    expected = scan_bytes(data, "a.pkl")

    def fails(*_):
        raise RuntimeError

    monkeypatch.setattr(quick, "_follow", fails)
    assert scan_bytes(data, "a.pkl") == expected
    assert expected.verdict == "clean"


def test_reports_are_those_of_the_machine(monkeypatch):
    streams = [*pickles(), *(b"\x80\x03" + data + b"." for data in _LEFT_TO_THE_MACHINE.values())]
    quickly = [scan_bytes(data, "a.pkl") for data in streams]
    monkeypatch.setattr(quick, "read", lambda *_: None)
    assert quickly == [scan_bytes(data, "a.pkl") for data in streams]
