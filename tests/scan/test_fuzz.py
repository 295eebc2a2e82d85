"""The machine against CPython's own loaders, which get inert stand-ins for every global.

Whatever a loader looks up, the machine must have seen; whatever the C loader reads to its end,
the machine must read to its end, at the same place and without complaint.
"""

from __future__ import annotations

import io
import pickle
import random
import struct
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safehold.allow import AllowList
from safehold.scan import scan_bytes
from safehold.scan.judge import Judge
from safehold.scan.names import Names
from safehold.scan.opcodes import run
from tests.scan.streams import grow

pytestmark = pytest.mark.bare


class Stub:
    """Takes every call, state and item, and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Stub:
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        pass

    extend = add = append


class Watcher(Judge):
    """A judge that also keeps the names as they stand in the stream."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        super().__init__(Names(AllowList.of()))
        self.seen: list[tuple[str, str]] = []

    def named(self, module: str, name: str, protocol: int, offset: int) -> Any:
        self.seen.append((module, name))
        return super().named(module, name, protocol, offset)


def load(base: type, data: bytes) -> tuple[list[tuple[str, str]], int | None]:
    """Return what a loader looked up, and where it stopped if it read to the end."""
    seen: list[tuple[str, str]] = []

    class Loader(base):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            seen.append((module, name))
            return Stub

        def persistent_load(self, pid: Any) -> Any:
            return Stub()

    file = io.BytesIO(data)
    try:
        Loader(file).load()
    except Exception:  # noqa: BLE001  hostile streams raise anything
        return seen, None
    return seen, file.tell()


NUMBERS = (
    "0x10|010|00|01|0o7|0b1| 1|1 |+1|-0|1_0|1L|1.5|inf|-inf|nan|1e5|.5|5.||L|0x|08|1\0x|x|\t3|0_1|"
    "--1|1e|infinity|0xL|0x1fL|99999999999999999999"
)
number_text = st.one_of(st.integers(-5, 300).map(str), st.sampled_from(NUMBERS.split("|")))
short_text = st.sampled_from(["a", "os", "system", "x.y", "collections", "OrderedDict", "\u00e9"])


def with_length(opcode: bytes, form: str, data: bytes) -> bytes:
    return opcode + struct.pack(form, len(data)) + data


line = st.one_of(
    st.tuples(st.sampled_from("ILFgp"), number_text).map(
        lambda pair: f"{pair[0]}{pair[1]}\n".encode()
    ),
    st.tuples(st.sampled_from(["S'%s'\n", 'S"%s"\n', "V%s\n", "S%s\n"]), short_text).map(
        lambda pair: (pair[0] % pair[1]).encode("latin-1")
    ),
    st.sampled_from([b"S'\\x41'\n", b"S'\\x4'\n", b"S'\\'\n", b"V\\u0041\n", b"V\\u00\n"]),
    st.tuples(st.sampled_from("ci"), short_text, short_text).map(
        lambda names: f"{names[0]}{names[1]}\n{names[2]}\n".encode()
    ),
)
plain = st.sampled_from(
    [bytes([code]) for code in b"(012NR]}tdlaesubo)Q\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92"]
    + [b"\x93", b"\x94", b"P1\n", b"\x97", b"\x98"]
)
fixed = st.one_of(
    st.tuples(st.sampled_from(b"Khq"), st.integers(0, 9)).map(bytes),
    st.tuples(st.sampled_from("rj"), st.integers(0, 300)).map(
        lambda pair: pair[0].encode() + struct.pack("<I", pair[1])
    ),
    st.integers(0, 65535).map(lambda number: b"M" + struct.pack("<H", number)),
    st.integers(-(2**31), 2**31 - 1).map(lambda number: b"J" + struct.pack("<i", number)),
    st.just(b"G" + struct.pack(">d", 1.5)),
    st.integers(0, 6).map(lambda number: bytes([0x80, number])),
    st.integers(0, 40).map(lambda length: b"\x95" + struct.pack("<Q", length)),
    st.binary(max_size=9).map(lambda data: with_length(b"\x8a", "<B", data)),
    st.binary(max_size=9).map(lambda data: with_length(b"\x8b", "<i", data)),
    st.sampled_from([b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00", b"\x82\x00"]),
)
TEXTS = [(b"X", "<I"), (b"\x8c", "<B"), (b"\x8d", "<Q")]
BYTES = [(b"B", "<I"), (b"C", "<B"), (b"\x8e", "<Q"), (b"\x96", "<Q"), (b"T", "<i"), (b"U", "<B")]
text = st.one_of(
    st.tuples(st.sampled_from(TEXTS), short_text).map(
        lambda pair: with_length(*pair[0], pair[1].encode())
    ),
    st.tuples(st.sampled_from(BYTES), st.binary(max_size=5)).map(
        lambda pair: with_length(*pair[0], pair[1])
    ),
    st.sampled_from([b"X\x02\0\0\0\xff\xff", b"\x8c\x03\xed\xa0\x80"]),
)
global_call = st.sampled_from(
    [
        b"cos\nsystem\n)R",
        b"ccollections\nOrderedDict\n)\x81",
        b"\x8c\x02os\x8c\x06system\x93",
        b"(cos\nsystem\no",
    ]
)
streams = st.lists(
    st.one_of(plain, plain, line, fixed, text, global_call), min_size=1, max_size=30
).map(lambda parts: b"".join(parts) + b".")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Real dumps with a few bytes changed, put in or taken out."""
    obj = draw(
        st.sampled_from(
            [
                {"a": [1, 2.5, None, True], "b": ("x" * 3, b"bytes", {1, 2}, frozenset("z"))},
                [[[]], {}, (), 10**30, -1, "text", 1j, bytearray(b"q")],
                [ValueError("no"), range(3), slice(1, 2)],
            ]
        )
    )
    data = bytearray(pickle.dumps(obj, draw(st.integers(0, 5))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from("cid"))
        if kind == "c":
            data[at] = draw(st.integers(0, 255))
        elif kind == "i":
            data[at:at] = draw(st.one_of(plain, line, fixed, text, global_call))
        elif len(data) > 1:
            del data[at]
    return bytes(data)


def reserves_memory(data: bytes) -> bool:
    """A PUT far beyond the others makes the C loader reserve memory for all between."""
    watcher = Watcher()
    run(data, watcher)
    return any(note.rule.id == "SH105" for note in watcher.notes)


def check(data: bytes) -> None:
    if reserves_memory(data):
        return
    watcher = Watcher()
    _, outcome = run(data, watcher)
    if any("frame" in note.message for note in watcher.notes):
        # There the C loader itself reads files and bytes differently; the verdict says so.
        assert scan_bytes(data, "a.pkl").verdict != "clean"
        return
    seen, stop = load(pickle.Unpickler, data)
    assert watcher.seen[: len(seen)] == seen
    if stop is not None:
        assert outcome.complete, outcome
        assert watcher.seen == seen
        assert outcome.stop <= len(data)
        # What the standard library loads with stubs is not called broken, but for what the
        # stubs take and real objects do not.
        broken = [note.message for note in watcher.notes if note.rule.id == "SH103"]
        allowed = ("items", "state", "call", "key", "buffers")
        assert all(any(word in message for word in allowed) for message in broken), broken
    # The Python loader, on which joblib builds, reads frames in another way.
    other = Watcher()
    _, outcome = run(data, other, arrays=lambda machine, target: target)
    seen, stop = load(pickle._Unpickler, data)
    if scan_bytes(data, "a.pkl").verdict == "clean":
        assert set(seen) <= set(watcher.seen)
    if outcome.complete or stop is not None:
        assert outcome.complete
        assert other.seen[: len(seen)] == seen


@settings(max_examples=400)
@given(streams)
def test_random_streams(data):
    check(data)


@settings(max_examples=400)
@given(st.integers(0, 2**32), st.integers(1, 25))
def test_streams_that_mostly_hold_together(seed, length):
    check(grow(random.Random(seed), length))


@settings(max_examples=200)
@given(damaged())
def test_damaged_dumps(data):
    check(data)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(["a.pkl", "a", "a.pt", "a.npy", "a.joblib"]))
def test_any_bytes_end_in_a_report(data, name):
    report = scan_bytes(data, name)
    assert report.verdict in {"clean", "suspicious", "malicious", "error"}
    assert "scanner failed" not in str(report.findings)


MAGICS = [
    b"PK\x03\x04",
    b"\x93NUMPY\x01\x00",
    b"\x1f\x8b\x08\x00",
    b"BZh9",
    b"x\x9c",
    b"\x80\x04",
    b"(",
    b"\x5d\x00\x00\x80\x00",
]


@pytest.mark.parametrize("magic", MAGICS)
@settings(max_examples=25)
@given(data=st.binary(max_size=120))
def test_any_bytes_behind_a_magic_end_in_a_report(magic, data):
    report = scan_bytes(magic + data, "a.pkl")
    assert "scanner failed" not in str(report.findings)
