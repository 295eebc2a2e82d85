"""The machine with runs stepped over against the same machine that follows each opcode."""

from __future__ import annotations

import pickle
import random
import struct

import pytest

from safehold.allow import PRESETS, AllowList
from safehold.scan import scan_bytes
from safehold.scan import skip as skipping
from safehold.scan.judge import Judge
from safehold.scan.machine import Machine
from safehold.scan.names import Names
from safehold.scan.opcodes import TABLE, run
from safehold.scan.values import Box, Global, Made, Opaque, Run
from tests.scan.streams import grow
from tests.work import is_linear

pytestmark = pytest.mark.bare

_TEXTS = ("a", "key", "text 12", "__class__", "x" * 30, "y" * 300, "\u00e9", "q\x01h\x02", "")
_NUMBERS = (
    *(b"K\x07", b"M\x07\x71", b"J\xff\xff\xff\xff", b"N", b"\x88", b"\x89", b")"),
    *(b"G" + struct.pack(">d", 1.5), b"\x8a\x02\x01\x02", b"\x8a\x0c" + b"\x01" * 12, b"C\x01a"),
    *(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", b"U\x03abc", b"B\x01\0\0\0a"),
)  # fmt: skip


class _Growing:
    """A pickle of nested data in the making, mostly as picklers write it."""

    def __init__(self, rng: random.Random, *, framed: bool, tricks: float) -> None:
        self.rng = rng
        self.framed = framed
        self.tricks = tricks
        # Whether PUTs also change what is known, or leave gaps.
        self.games = rng.random() < 0.4
        self.out = bytearray()
        self.memo = 0

    def values(self, count: int, depth: int) -> None:
        for _ in range(count):
            self.value(depth)

    def value(self, depth: int) -> None:
        rng = self.rng
        if rng.random() < self.tricks:
            self.trick()
        kind = rng.randrange(12)
        if depth and kind == 0:
            self.put(b"]")
            self.batches(depth, b"e", 1)
        elif depth and kind == 1:
            self.put(b"}")
            self.batches(depth, b"u", 2)
        elif depth and kind == 2:
            self.out += b"("
            self.values(rng.randrange(6), depth - 1)
            self.put(b"t")
        elif depth and kind == 3:
            count = rng.randrange(1, 4)
            self.values(count, depth - 1)
            self.put(bytes([0x84 + count]))
        elif depth and kind == 4:
            self.put(b"]")
            self.value(depth - 1)
            self.out += b"a"
        elif depth and kind == 5:
            self.put(b"\x8f")
            self.batches(0, b"\x90", 1)
        elif kind < 8:
            self.text()
        elif kind == 8 and self.memo:
            self.get()
        else:
            self.out += rng.choice(_NUMBERS)

    def batches(self, depth: int, closing: bytes, width: int) -> None:
        for _ in range(self.rng.randrange(3)):
            self.out += b"("
            for _ in range(self.rng.randrange(8)):
                if width == 2:
                    self.value(self.rng.random() < 0.05)
                self.value(max(depth - 1, 0))
            self.out += closing

    def text(self) -> None:
        raw = self.rng.choice(_TEXTS).encode()
        if self.framed and len(raw) < 256:
            self.put(b"\x8c" + bytes([len(raw)]) + raw)
        else:
            self.put(b"X" + struct.pack("<I", len(raw)) + raw)

    def get(self) -> None:
        index = self.rng.randrange(min(self.memo, self.rng.choice((4, self.memo))))
        wide = index > 255 or self.rng.random() < 0.1
        self.out += b"j" + struct.pack("<I", index) if wide else b"h" + bytes([index])

    def put(self, opcode: bytes) -> None:
        self.out += opcode
        if self.rng.random() < 0.1:
            return
        if self.games and self.rng.random() < 0.1:
            index = self.rng.randrange(min(self.memo, 250) + 2)
            wide = self.rng.random() < 0.3
            self.out += b"r" + struct.pack("<I", index) if wide else b"q" + bytes([index])
            return
        if self.framed:
            self.out += b"\x94"
        elif self.memo < 256:
            self.out += b"q" + bytes([self.memo])
        else:
            self.out += b"r" + struct.pack("<I", self.memo)
        self.memo += 1

    def trick(self) -> None:
        rng = self.rng
        forms: tuple[bytes, ...] = (
            b"q" + bytes([rng.randrange(256)]),
            b"r" + struct.pack("<I", rng.choice((0, 3, 300, 2**21, 2**31))),
            b"h" + bytes([rng.randrange(256)]),
            b"j" + struct.pack("<I", rng.choice((0, 2, 300, 2**24))),
            *(b"\x94", b"0", b"1", b"2", b"(", b"e", b"u", b"t", b"a", b"s", b"]", b"}", b"\x90"),
            *(b"\x85", b"\x86", b"\x87", b"l", b"d", b"\x91", b"o", b"\x80\x02", b"\x80\x04"),
            *(b"cos\nsystem\n", b"cbuiltins\ngetattr\n", b"\x8c\x02os\x94\x8c\x06system\x93"),
            *(b"R", b"b", b")\x81", b"\x93", b"I07\n", b"X\x02\0\0\0\xff\xff", b"\xff", b"."),
            *(b"ccollections\nOrderedDict\n)R", b"p5\n", b"g5\n", b"p900\n"),
            b"\x95" + struct.pack("<Q", rng.choice((5, 40, 400))),
        )
        self.out += rng.choice(forms)


def grown(seed: int) -> bytes:
    """Return a stream of nested data; one of two holds things that no pickler writes."""
    rng = random.Random(seed)
    growing = _Growing(rng, framed=rng.random() < 0.5, tricks=rng.choice((0, 0.002, 0.02, 0.1)))
    growing.out += b"\x80\x04" if growing.framed else b"\x80\x02"
    if rng.random() < 0.2:
        growing.out += b"\x95" + struct.pack("<Q", rng.randrange(10, 300))
    growing.put(rng.choice((b"]", b"}", b"(", b"\x8f")))
    for _ in range(rng.randrange(1, 12)):
        growing.out += b"("
        growing.values(rng.choice((2, 20, 60)), rng.randrange(5))
        growing.out += rng.choice((b"e", b"u", b"t", b"1", b"\x90", b"d"))
        if rng.random() < 0.2:
            growing.get() if growing.memo else growing.text()
    return bytes(growing.out) + b"."


def picture(value: object, seen: dict[int, object]) -> object:
    """Return nested tuples that are equal if values are, and shared in the same places."""
    if isinstance(value, Box | Made | Global | Opaque):
        if id(value) in seen:
            return ("again", seen[id(value)])
        seen[id(value)] = len(seen)
    if isinstance(value, Box):
        items = value.items
        if isinstance(items, dict):
            items = [part for pair in items.items() for part in pair]
        shown = [picture(item, seen) for item in items or ()]
        return (value.kind, shown, value.whole, value.odd, value.fixed)
    if isinstance(value, Made):
        parts = (value.maker, value.args, value.state)
        return ("made", [picture(part, seen) for part in parts], value.built, value.keyed)
    if isinstance(value, Global):
        return ("global", value.dotted, value.guarded)
    if isinstance(value, Opaque):
        return ("opaque", value.kind)
    if isinstance(value, tuple):
        # One that others hold three times each would be drawn a million times.
        if id(value) not in seen:
            seen[id(value)] = ("tuple", [picture(item, seen) for item in value])
        return seen[id(value)]
    if hasattr(value, "start"):
        return (type(value).__name__, value.kind, value.start, value.stop)
    return (type(value).__name__, value)


def followed(data: bytes, *, skip: bool, most: int = 50_000) -> tuple[object, ...]:
    """Return everything that is known after a stream was followed."""
    judge = Judge(Names(AllowList.of(PRESETS)))
    machine, outcome = run(data, judge, skip=skip, most=most)
    notes = [(note.rule.id, note.message, note.offset, note.detail) for note in judge.notes]
    seen: dict[int, object] = {}
    memo = [(index, picture(value, seen)) for index, value in sorted(machine.memo.items())]
    stack: list[object] = []
    heights = {0: 0}
    for place, value in enumerate(machine.stack, 1):
        stack += value.unfolded() if type(value) is Run else [value]
        heights[place] = len(stack)
    if type(outcome.last) is Run:
        stack += outcome.last.unfolded()[:-1]
    marks = [heights[mark] for mark in machine.marks if mark in heights]
    top = picture(outcome.top, seen)
    ended = outcome.status, outcome.stop, outcome.reason, machine.pos, machine.missing
    shown = [picture(value, seen) for value in stack]
    return notes, list(judge.uses), ended, memo, shown, marks, top, machine.proto


_WRONG = b"qrhjX\x8c\x94()]}eutas0."


def same(data: bytes, most: int = 50_000) -> bool:
    return followed(data, skip=True, most=most) == followed(data, skip=False, most=most)


@pytest.mark.parametrize("hundred", range(6))
def test_stepping_over_runs_changes_nothing(hundred):
    for seed in range(100 * hundred, 100 * hundred + 100):
        assert same(grown(seed)), seed


def test_stepping_over_runs_changes_nothing_in_streams_of_any_opcodes():
    for seed in range(300):
        assert same(grow(random.Random(seed), 60)), seed


@pytest.mark.parametrize("protocol", range(6))
def test_stepping_over_runs_changes_nothing_in_dumps_with_wrong_bytes(protocol):
    rng = random.Random(protocol)
    for value in VALUES:
        data = pickle.dumps(value, protocol)
        assert same(data)
        for _ in range(25):
            broken = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                broken[rng.randrange(len(broken))] = rng.choice(_WRONG + broken)
            assert same(bytes(broken))


_SHARED = [("k" * size, size) for size in range(30)]
VALUES = [
    [{"name": f"n{index}", "age": index, "tags": ["a", "b"], "on": True} for index in range(60)],
    {f"key {index}": [index * 0.5, (index, f"v{index}"), {"x": index}] for index in range(60)},
    [(index, f"text {index}", None) for index in range(300)],
    [[[index, [index + 1]], (index,)] for index in range(80)],
    [_SHARED[index % 30] for index in range(100)],
    {index: {"a": {index, 2}, "b": frozenset({"c"}), "c": b"raw" * index} for index in range(40)},
    [f"th\u00e9 {index}" if index % 7 == 0 else f"plain {index}" for index in range(200)],
    [{tuple(tuple(range(1000)) for _ in range(20)), *range(60)}, "x" * 2**16],
    (tuple(range(2000)), list(range(300, 900)), {"deep": [[[[[[[1, 2], "x"]]]]]]}),
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_dumps_of_data_have_nothing_to_find(value, protocol):
    assert scan_bytes(pickle.dumps(value, protocol)).verdict in {"clean", "suspicious"}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("value", [
    list(range(200_000)),
    {f"key {index}": index for index in range(100_000)},
    [(index, 0.5) for index in range(100_000)],
    [f"text {index}" for index in range(100_000)],
    [[index, [index]] for index in range(50_000)],
    [{"name": f"n{index}", "tags": ["a", index]} for index in range(50_000)],
    [(index, f"t {index}", index * 0.5) for index in range(50_000)],
    [(f"a{index}", f"b{index}", f"c{index}") for index in range(50_000)],
    [(index, f"of more than thirty letters {index}", 0.5) for index in range(30_000)],
    [(index, f"{index}" * 8, f"{index}" * 9, 1) for index in range(30_000)],
    [{"at": (index, index + 1), "name": f"n{index}" * 5} for index in range(30_000)],
    [{"at": (index, f"t{index}")} for index in range(30_000)],
])  # fmt: skip
def test_data_takes_few_steps(value, protocol):
    data = pickle.dumps(value, protocol)
    machine, outcome = run(data, Judge(Names(AllowList.of())), most=10_000)
    assert outcome.complete
    assert machine.replayed < 5_000


@pytest.mark.parametrize("size", range(1, 24))
def test_the_last_value_of_a_run_is_read_without_the_others(size):
    one = _text("a" * size) * 3 + b"\x87\x94"
    count = 3000 // len(one)
    data = b"\x80\x04](" + one * count + b"0e."
    machine, outcome = run(data, Judge(Names(AllowList.of())))
    assert outcome.complete
    assert machine.replayed < count / 2
    assert same(data)


@pytest.mark.parametrize("seed", range(20))
def test_stepping_over_runs_changes_nothing_in_long_rows(seed):
    """Windows and frames end in the middle of tuples, and in dicts that hold them."""
    rng = random.Random(seed)
    forms = rng.sample(_ROWS, rng.randrange(1, 4))
    shared = rng.choice(([], ["s" * 5, "k" * 40]))
    made = [rng.choice(forms)(index, rng.choice([*shared, f"t{index}"])) for index in range(3000)]
    data = bytearray(pickle.dumps(made, rng.choice((2, 4))))
    for _ in range(rng.choice((0, 0, 1, 3))):
        data[rng.randrange(len(data))] = rng.choice(_WRONG + data[:400])
    assert same(bytes(data), 200_000)


_ROWS = [
    lambda index, text: (index, text, index * 0.5),
    lambda index, text: (text, index),
    lambda index, text: (text * 9, text, index),
    lambda index, text: {"at": (index, text)},
    lambda index, text: {"at": (index,), text: (text, 1, 2), "more": [(1, text)]},
    lambda index, text: (index, text * 8, text, 0.5),
    lambda index, text: ((index, text), (text,), {}),
    lambda index, text: [index, {}, {text: []}],
    lambda index, text: index,
]


def _text(word: str) -> bytes:
    return b"\x8c" + bytes([len(word)]) + word.encode()


FILLING = b"".join(_text(f"filling {index}") for index in range(20))


@pytest.mark.parametrize("data", [
    # The names stand in a run, and are taken from the memo.
    b"\x80\x04(" + _text("os") + b"\x94" + _text("system") + b"\x94" + FILLING
    + b"1h\x00h\x01\x93.",
    # A later PUT in a run changes what the memo holds.
    b"\x80\x02X\x01\0\0\0aq\x00X\x06\0\0\0systemq\x01(" + b"X\x02\0\0\0osq\x00" + b"K\x01" * 20
    + b"1h\x00h\x01\x93.",
    # The same by its longer form.
    b"\x80\x02X\x01\0\0\0aq\x00X\x06\0\0\0systemq\x01(" + b"X\x02\0\0\0osr\0\0\0\0" + b"K\x01" * 20
    + b"1h\x00h\x01\x93.",
    # MEMOIZE sets an index that PUT had set ahead of it.
    b"\x80\x04X\x01\0\0\0aq\x01(" + _text("os") + b"\x94" + FILLING + b"1h\x01"
    + _text("system") + b"\x93.",
    # They end a run.
    b"\x80\x04" + FILLING + _text("os") + b"\x94" + _text("system") + b"\x94\x93.",
    # They are an item, popped.
    b"\x80\x04(" + FILLING + _text("os") + b"\x94" + _text("system") + b"\x940" + _text("system")
    + b"\x93.",
])  # fmt: skip
def test_names_inside_runs_are_found(data):
    report = scan_bytes(data, "a.pkl")
    assert report.verdict == "malicious"
    assert "os.system" in {use.name for use in report.globals}


def test_a_global_that_is_got_inside_a_run_is_judged():
    judge = Judge(Names(AllowList.of(PRESETS)))
    run(b"\x80\x04cbuiltins\ngetattr\n\x940](" + b"h\x00" * 40 + b"e.", judge)
    assert any(note.rule.id == "SH101" for note in judge.notes)


def test_a_tuple_that_takes_long_to_hash_is_judged_inside_a_run():
    laughs = b"()" + b"2\x86" * 40 + b"\x941" + b"}(" + b"h\x00K\x01" * 40 + b"u."
    assert "SH105" in {finding.rule.id for finding in scan_bytes(b"\x80\x04" + laughs).findings}


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_run_goes_on_after_it_gets_what_it_put(protocol):
    made = {f"key {index}": [index * 0.5, f"text {index}", (1, 2)] for index in range(22)}
    steps = []
    table = tuple(
        lambda machine, opcode=opcode, handle=handle: (steps.append(opcode), handle(machine))
        for opcode, handle in enumerate(TABLE)
    )
    judge = Judge(Names(AllowList.of(PRESETS)))
    outcome = Machine(pickle.dumps(made, protocol), judge).run(table)
    assert outcome.complete
    assert len(steps) < 10


@pytest.mark.parametrize("code", [b"\x94", b"q%c", b"q\x01"])
def test_chains_of_tuples_inside_a_run_are_weighed(code):
    weighed = []
    for length in range(1, 14):
        put = [code % index if b"%" in code else code for index in range(length + 2)]
        got = [1 if code == b"q\x01" else index for index in range(length + 2)]
        links = [b"h%c" % got[index] * 3 + b"\x87" + put[index + 1] for index in range(1, length)]
        head = b"\x80\x04" if code == b"\x94" else b"\x80\x02"
        body = b"](K\x01" + put[0] + b"K\x01K\x02K\x03\x87" + put[1] + b"".join(links) + b"e0"
        data = head + body + b"}(" + b"h%cK\x01" % got[length] * 20 + b"u."
        assert same(data)
        weighed.append("SH105" in {finding.rule.id for finding in scan_bytes(data).findings})
    assert weighed == sorted(weighed)
    assert set(weighed) == {False, True}


def test_without_sound_repeats_nothing_is_stepped_over(monkeypatch):
    monkeypatch.setattr(skipping, "SOUND", False)
    data = pickle.dumps(list(range(20_000)))
    _, outcome = run(data, Judge(Names(AllowList.of())), most=10_000)
    assert outcome.status == "limit"


def test_many_runs_that_the_memo_depends_on_take_a_step_for_each():
    """Each GET needs what an unread run put; no run is searched or read twice for it."""

    def make(size):
        parts = [_text(f"t{index:05}") + b"\x94" + FILLING for index in range(size)]
        gets = [b"j" + struct.pack("<I", index) for index in range(size)]
        both = b"".join(part + get for part, get in zip(parts, gets, strict=True))
        return lambda: scan_bytes(b"\x80\x04(" + both + b"t.")

    assert is_linear(make, 2000)


def test_many_runs_that_get_what_is_known_take_a_step_for_each():
    """Each asks for another index; the unread runs before it are not searched for each of them."""

    def make(size):
        indexes = [struct.pack("<I", index) for index in range(size)]
        known = b"".join(b"]r" + index for index in indexes) + b"j" + indexes[-1]
        runs = b"".join(b"I1\n(" + b"K\x01" * 20 + b"j" + index + b"t" for index in indexes)
        return lambda: scan_bytes(b"\x80\x02(" + known + runs + b"t.")

    assert is_linear(make, 300)


@pytest.mark.parametrize("index", [-1, -(2**40), 2**32, 2**64])
def test_a_text_may_ask_for_a_memo_index_that_no_put_of_a_run_writes(index):
    data = b"\x80\x02]q\x00(" + b"K\x01" * 50 + b"eg%d\n0." % index
    assert verdict_of(scan_bytes(data, "a.pkl")) == ("suspicious", "SH103")


def verdict_of(report):
    return report.verdict, *{finding.rule.id for finding in report.findings}
