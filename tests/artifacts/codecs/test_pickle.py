"""The pickle codec: names are resolved by the allow-list alone, whatever the stream does."""

from __future__ import annotations

import contextlib
import copyreg
import io
import os
import pickle
import struct
import subprocess
import sys
from collections import OrderedDict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.artifacts.codecs import pickle as codec
from safehold.artifacts.codecs.pickle import Segment, Unpickler, load_checked, split_pickles
from safehold.errors import DecodeError, EncodeError, TypeNotAllowed

EVERYTHING = ("*",)


def decode(data: bytes, *names: str, **options: object) -> object:
    reading = Reading(AllowList.of(names), 64, raw=True, options=options)
    return codec.decode([memoryview(data)], reading)


def encode(value: object) -> list[bytes]:
    return [bytes(segment) for segment in codec.encode(value, 64).segments]


@pytest.fixture
def marker(tmp_path):
    found = tmp_path / "ran"
    yield found
    assert not found.exists(), "the payload ran"


# --- round trips ---------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [None, {"a": [1, 2.5, (3,)]}, [Decimal("1.5"), OrderedDict(a=1)], b"x" * 100_000,
     bytearray(b"y" * 100_000), "text" * 50_000, {1, 2}, 10**200, list(range(5000))],
    ids=range(9),
)  # fmt: skip
def test_a_pickle_of_any_protocol_is_decoded(value, protocol):
    assert decode(pickle.dumps(value, protocol)) == value


def test_large_buffers_become_segments():
    class Holder:
        def __reduce_ex__(self, protocol: int) -> object:
            return bytearray, (pickle.PickleBuffer(b"z" * 1000),)

    stream, buffer = encode(Holder())
    assert len(stream) < 100
    assert buffer == b"z" * 1000
    views = [memoryview(stream), memoryview(buffer)]
    assert codec.decode(views, Reading(AllowList.of(), 64)) == b"z" * 1000


@pytest.mark.parametrize("value", [lambda: 1, sys.stdout, sys, (x for x in ())], ids=range(4))
def test_what_has_no_pickle_is_an_encode_error(value):
    with pytest.raises(EncodeError, match="cannot be pickled"):
        codec.encode(value, 64)


def test_a_value_that_is_too_deep_is_an_encode_error():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(EncodeError):
        codec.encode(value, 64)
    while value:
        value = value[0]  # type: ignore[assignment]  # else freeing it recurses


# --- names ---------------------------------------------------------------------------------

PAYLOADS = {
    "protocol 0": b"cposix\nsystem\n(S'touch %s'\ntR.",
    "os": b"cos\nsystem\n(S'touch %s'\ntR.",
    "subprocess": b"csubprocess\ncheck_output\n((lS'touch'\naS'%s'\natR.",
    "eval": b'cbuiltins\neval\n(S\'open("%s", "w")\'\ntR.',
    "exec of python 2": b'c__builtin__\neval\n(S\'open("%s", "w")\'\ntR.',
    "instance": b"(S'touch %s'\niposix\nsystem\n.",
    "object": b"(cposix\nsystem\nS'touch %s'\no.",
    "open": b"cio\nopen\n(S'%s'\nS'w'\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(cposix\nsystem\nS'__call__'\ntR(S'touch %s'\ntR.",
    "import": b"cbuiltins\n__import__\n(S'os'\ntR.",
    "importlib": b"cimportlib\nimport_module\n(S'antigravity'\ntR.",
    "operator": b"coperator\nattrgetter\n(S'system'\ntR.",
    "functools": b"cfunctools\npartial\n(cos\nsystem\nS'touch %s'\ntR(tR.",
    "shutil": b"cshutil\nrmtree\n(S'%s'\ntR.",
    "runpy": b"crunpy\nrun_path\n(S'%s'\ntR.",
    "code": b"ctypes\nCodeType\n.",
    "pickle": b"cpickle\nloads\n(S'x'\ntR.",
    "pathlib": b"cpathlib\nPath.touch\n(S'%s'\ntR.",
    "logging": b"clogging\nFileHandler\n(S'%s'\ntR.",
    "ctypes": b"cctypes\nCDLL\n(NtR.",
    "own module": b"csafehold.artifacts.codecs.pickle\nos.system\n.",
}
DOTTED = {
    "through a module": ("safehold.artifacts.codecs.pickle", "pickle.loads"),
    "through a package": ("collections", "abc.sys.modules"),
    "out of a class": ("collections", "OrderedDict.__init__.__globals__"),
    "subclasses": ("collections", "OrderedDict.__subclasses__"),
    "reduce": ("collections", "OrderedDict.__reduce__"),
    "module in the name": ("os", "path.os.system"),
    "empty": ("", ""),
    "dots": ("collections", "."),
    "dunder": ("builtins", "object.__reduce_ex__"),
}


@pytest.mark.parametrize("names", [(), EVERYTHING], ids=["presets", "everything"])
@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_dangerous_name_is_never_resolved(payload, names, marker):
    data = payload.replace(b"%s", os.fsencode(marker))
    with pytest.raises(TypeNotAllowed) as caught:
        decode(data, *names)
    assert caught.value.name


def stack_global(module: str, name: str) -> bytes:
    parts = [text.encode() for text in (module, name)]
    texts = b"".join(b"X" + struct.pack("<I", len(part)) + part for part in parts)
    return b"\x80\x04" + texts + b"\x93."


# With every name allowed that is not dangerous, a method of an allowed class is one too.
METHODS = {"subclasses", "reduce", "dunder"}
WALKS = [
    pytest.param(module, name, names, id=f"{walk}-{list_}")
    for walk, (module, name) in DOTTED.items()
    for list_, names in (("presets", ()), ("everything", EVERYTHING))
    if not (names and walk in METHODS)
]


@pytest.mark.parametrize(("module", "name", "names"), WALKS)
def test_a_dotted_walk_does_not_leave_what_is_listed(module, name, names):
    with pytest.raises((TypeNotAllowed, DecodeError)):
        decode(stack_global(module, name), *names)


def test_every_name_goes_through_the_list_in_every_opcode(monkeypatch):
    asked: list[tuple[str, str]] = []

    class Spy(Unpickler):
        def find_class(self, module_name: str, global_name: str, /) -> object:
            asked.append((module_name, global_name))
            return super().find_class(module_name, global_name)

    data = [
        b"cdecimal\nDecimal\n.",
        b"(idecimal\nDecimal\n.",
        stack_global("decimal", "Decimal"),
    ]
    for stream in data:
        Spy(Segment(memoryview(stream)), AllowList.of()).load()
    assert asked == [("decimal", "Decimal")] * 3


def test_a_name_of_python_2_is_the_name_of_python_3():
    data = pickle.dumps({1, 2}, 2)
    assert b"__builtin__" in data
    assert decode(data) == {1, 2}
    with pytest.raises(TypeNotAllowed):
        decode(b"\x80\x02c__builtin__\neval\n.")


@pytest.mark.parametrize("seen", [False, True], ids=["new", "cached"])
def test_an_extension_code_is_no_way_around_the_list(seen, marker):
    code = 0x7FFF_0001
    copyreg.add_extension("os", "system", code)
    try:
        if seen:  # something else in the process has loaded it
            assert pickle.loads(b"\x80\x02\x84" + struct.pack("<i", code) + b".") is os.system
        call = b"(S'touch %s'\ntR." % os.fsencode(marker)
        with pytest.raises(TypeNotAllowed):
            decode(b"\x80\x02\x84" + struct.pack("<i", code) + call)
    finally:
        copyreg.remove_extension("os", "system", code)
        copyreg.clear_extension_cache()


def test_a_persistent_id_is_refused():
    for data in (b"Pname\n.", b"\x80\x02Nq\x00Q."):
        with pytest.raises(pickle.UnpicklingError, match="persistent"):
            decode(data)


# --- malformed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b".", b"N", b"(", b"\x80\x09N.", b"I12", b"I1x\n.", b"h\x05.", b"\x97.", b"]\x94a.",
     b"S'x\n.", b"Vx", b"\x8e" + b"\xff" * 8 + b".", b"X\xff\xff\xff\x7f", b"\x95" + b"\xff" * 8,
     b"cdecimal\nDecimal\n(S'x'\ntR.", b"cdecimal\nDecimal\n(I5\nI5\nI5\nI5\ntR.", b"Nb.",
     b"cdatetime\ndate\n(NNNtR.", b"\x84\x01\x02\x03\x04.", b"N.N.", b"N. "],
    ids=range(22),
)  # fmt: skip
def test_a_malformed_stream_is_a_decode_error(data):
    with pytest.raises((DecodeError, pickle.UnpicklingError)) as caught:
        decode(data)
    assert isinstance(caught.value, pickle.UnpicklingError)


def test_more_than_one_pickle_is_refused():
    with pytest.raises(DecodeError, match="more than one pickle"):
        decode(pickle.dumps(1) + pickle.dumps(2))


@given(st.binary(max_size=60))
def test_any_bytes_end_in_a_value_or_an_unpickling_error(data):
    with contextlib.suppress(pickle.UnpicklingError):
        decode(data)


@given(st.binary(max_size=12), st.integers(0, 200))
def test_a_damaged_pickle_ends_in_a_value_or_an_unpickling_error(patch, at):
    data = bytearray(pickle.dumps({"a": [Decimal(1), {2}], "b": (3.5, b"x" * 20)}, at % 6))
    at %= len(data)
    data[at : at + len(patch)] = patch
    with contextlib.suppress(pickle.UnpicklingError):
        decode(bytes(data))


def test_a_missing_library_is_told_as_it_is():
    def load() -> None:
        raise ModuleNotFoundError("no module named 'x'")

    with pytest.raises(ModuleNotFoundError):
        load_checked(load)


# --- options -------------------------------------------------------------------------------


def test_a_pickle_of_python_2_takes_an_encoding():
    data = b"S'\\xe9'\n."
    assert decode(data, encoding="latin1") == "é"
    assert decode(data, encoding="bytes") == b"\xe9"
    with pytest.raises(DecodeError):
        decode(data)


def test_the_callers_buffers_are_used_where_given():
    data = pickle.dumps(pickle.PickleBuffer(b"abc"), 5, buffer_callback=lambda _: None)
    assert bytes(decode(data, buffers=[b"abc"])) == b"abc"
    with pytest.raises(pickle.UnpicklingError):
        decode(data)


# --- the segment as a file -----------------------------------------------------------------


@given(st.binary(max_size=50), st.lists(st.integers(0, 20), max_size=10))
def test_a_segment_reads_like_a_file(data, sizes):
    ours, theirs = Segment(memoryview(data)), io.BytesIO(data)
    for number, size in enumerate(sizes):
        assert bytes(ours.peek(5)) == theirs.getvalue()[theirs.tell() :]
        if number % 3 == 0:
            assert bytes(ours.read(size)) == theirs.read(size)
        elif number % 3 == 1:
            assert ours.readline() == theirs.readline()
        else:
            one, two = bytearray(size), bytearray(size)
            assert ours.readinto(one) == theirs.readinto(two)
            assert one == two
        assert ours.at == theirs.tell()


def test_a_stream_is_not_copied(monkeypatch):
    import tracemalloc

    data = pickle.dumps(["x" * 1000] * 3 + [None] * 2_000_000, 5)
    reading = Reading(AllowList.of(), 64)
    view = memoryview(data)
    tracemalloc.start()
    codec.decode([view], reading)
    ours = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    pickle.loads(view)
    plain = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ours < plain * 1.05 + 10_000


# --- splitting -----------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 5), st.recursive(st.integers(), st.lists)), max_size=5))
def test_pickles_in_a_row_are_cut_where_they_end(items):
    parts = [pickle.dumps(value, protocol) for protocol, value in items]
    assert split_pickles(b"".join(parts)) == (parts or [b""])


@pytest.mark.parametrize("rest", [b"x", b"\0" * 10, b"I", b"cposix", b"\xff"])
def test_what_does_not_parse_stays_with_the_last_part(rest):
    assert split_pickles(pickle.dumps(1) + rest) == [pickle.dumps(1), rest]


@given(st.binary(max_size=60))
def test_cutting_any_bytes_loses_none(data):
    assert b"".join(split_pickles(data)) == data


def test_a_module_is_not_imported_to_refuse_it(tmp_path):
    (tmp_path / "hostile.py").write_text("raise SystemExit('imported')\n")
    code = """
from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading, pickle
from safehold.errors import TypeNotAllowed
try:
    pickle.decode([memoryview(b"chostile\\nthing\\n.")], Reading(AllowList.of(["numpy"]), 64))
except TypeNotAllowed as error:
    print(error.name)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "hostile.thing\n", done.stderr


def test_split_says_nothing_of_escapes_in_what_is_no_text():
    """Warnings are errors here, and bytes of a zip archive may look like one."""
    assert split_pickles(b"S'\\z'\n.") == [b"S'\\z'\n."]
