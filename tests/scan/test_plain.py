"""Files that are told to be nothing but data, against the machine that follows each opcode."""

from __future__ import annotations

import datetime as dt
import pickle
import pickletools
import random

import pytest

from safehold.allow import PRESETS, AllowList
from safehold.scan import plain, scan_bytes
from safehold.scan.formats import PLAIN, possible, tar
from safehold.scan.judge import Judge
from safehold.scan.names import Names
from safehold.scan.opcodes import run
from safehold.scan.plain import is_plain
from safehold.scan.values import Box, Opaque
from tests.scan.test_runs import followed

_TEXTS = ("a", "text", "weight", "q\x01h\x02", "__class__", "x" * 30, "y" * 255, "", "hj", "\u00e9")
_WRONG = b"qrhjX\x8c\x94()]}eutas0.\x85\x86\x87\x8f\x90lN"


def nothing_to_find(data: bytes) -> bool:
    """Whether the machine reads it to its end, at the end of the bytes, and notes nothing."""
    notes, uses, ended, *_ = followed(data, skip=False)
    status, stop, _, _, missing = ended
    top = run(data, Judge(Names(AllowList.of(PRESETS))), skip=False)[1].top
    kind = "tuple" if isinstance(top, tuple) else getattr(top, "kind", "")
    assert isinstance(top, Box | tuple | Opaque) or not kind
    return (notes, uses, status, stop, missing) == ([], [], "stop", len(data), 0) and kind in {
        "list", "dict", "tuple",
    }  # fmt: skip


def value(rng: random.Random, depth: int, pool: list[object]) -> object:
    """Return nested data in which parts stand more than once."""
    kind = rng.randrange(14) if depth > 0 else 0
    if kind < 5:
        numbers = (rng.randrange(300), -1, 70_000, 0.5, None, True, False, (), 2**40)
        made = rng.choice((*numbers, rng.choice(_TEXTS), f"t{rng.randrange(5)}", b"ab"))
    elif kind < 7:
        made = [value(rng, depth - 1, pool) for _ in range(rng.choice((0, 1, 2, 5)))]
    elif kind < 9:
        made = {f"{index}": value(rng, depth - 1, pool) for index in range(rng.choice((0, 1, 5)))}
    elif kind < 12:
        made = tuple(value(rng, depth - 1, pool) for _ in range(rng.choice((1, 2, 3, 5))))
    else:
        made = rng.choice(pool) if pool else None
    pool.append(made)
    return made


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Return it with a wrong byte or two; its frame still ends where the bytes do."""
    broken = bytearray(data)
    for _ in range(rng.randrange(1, 3)):
        place, wrong = rng.randrange(2, len(broken)), rng.choice(_WRONG + broken)
        broken[place : place + rng.randrange(2)] = bytes([wrong])[: rng.randrange(2)] or b""
        if rng.random() < 0.5:
            broken.insert(min(place, len(broken)), wrong)
    if broken[1] > 3 and len(broken) > 11 and broken[2] == 0x95:
        broken[3:11] = (len(broken) - 11).to_bytes(8, "little")
    return bytes(broken)


@pytest.mark.parametrize("hundred", range(6))
def test_the_machine_finds_nothing_in_plain_files(hundred):
    found = {False: 0, True: 0}
    for seed in range(100 * hundred, 100 * hundred + 100):
        rng = random.Random(seed)
        pool: list[object] = []
        made: object = [value(rng, rng.randrange(5), pool) for _ in range(rng.randrange(8))]
        if seed % 2:
            made = dict(enumerate(made))
        data = pickle.dumps(made, rng.choice((2, 3, 4, 5)))
        for _ in range(6):
            told = is_plain(data)
            found[told] += 1
            assert not told or nothing_to_find(data), (seed, data)
            data = damaged(rng, data)
            if len(data) < 9:
                break
    assert found[True] > 15


_FILLING = b"".join(b"\x8c\x08filling%d\x94" % number for number in range(9))


@pytest.mark.parametrize("body", [
    pytest.param(b"](h\x00K\x01e", id="gets what is put later"),
    pytest.param(b"](h\x01K\x01e\x94\x94", id="memoized twice behind it"),
    pytest.param(b"](" + _FILLING + b"j\xff\0\0\0e", id="gets what is never put"),
    pytest.param(b"}\x94(K\x01K\x02K\x03u", id="a key without a value"),
    pytest.param(b"}\x94(]\x94K\x02u", id="a list as a key"),
    pytest.param(b"]\x94(K\x01K\x02u", id="items with keys for a list"),
    pytest.param(b"}\x94(K\x01K\x02e", id="items without keys for a dict"),
    pytest.param(b"]\x94K\x01K\x02a", id="an item for a number"),
    pytest.param(b"]\x94(K\x01e.", id="bytes after the end"),
    pytest.param(b"]\x94K\x01", id="two values on the stack"),
    pytest.param(b"]\x94(K\x01", id="an open mark"),
    pytest.param(b"]\x94(K\x01ee", id="no mark"),
    pytest.param(b"]\x94(\x8c\x02\xff\xffe", id="a text that is none"),
    pytest.param(b"]\x94(c__main__\nx\ne", id="a name"),
    pytest.param(b"]\x94(K\x01eb", id="a state"),
    pytest.param(b"]\x94q\x07(K\x01e", id="another memo index"),
    pytest.param(b"]\x94(K\x01P1\ne", id="a persistent id"),
    pytest.param(b"K\x01", id="no container"),
    pytest.param(b"(" * 40 + b"t\x94" * 40, id="nested deeply"),
])  # fmt: skip
@pytest.mark.parametrize("framed", [False, True])
def test_other_files_are_not_plain(body, framed):
    frame = b"\x95" + (len(body) + 1).to_bytes(8, "little") if framed else b""
    padding = b"](" + b"K\x01" * 9 + b"e0" if len(body) < 7 and not framed else b""
    assert not is_plain(b"\x80\x04" + frame + padding + body + b".")


def test_tuples_in_each_other_are_plain_only_if_they_take_little_to_hash():
    def chain(length: int) -> bytes:
        links = b"".join(b"h%c" % index * 3 + b"\x87\x94" for index in range(1, length + 1))
        return b"\x80\x04]\x94(K\x01K\x02K\x03\x87\x94" + links + b"e."

    assert is_plain(chain(4))
    assert not is_plain(chain(5))
    assert not is_plain(b"\x80\x04]\x94((K\x01K\x02K\x03K\x04t\x94h\x01e.")


def test_a_memo_that_is_changed_is_not_plain():
    parts = [b"](X\x01\0\0\0aq\x00", b"h\x00h\x00\x86q\x00" * 2, b"h\x00K\x01" * 9, b"e."]
    assert not is_plain(b"\x80\x02" + b"".join(parts))
    parts[1] = parts[1].replace(b"q\x00", b"r\0\0\0\0")
    assert not is_plain(b"\x80\x02" + b"".join(parts))
    parts[1] = parts[1].replace(b"r\0\0\0\0", b"")
    assert is_plain(b"\x80\x02" + b"".join(parts))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("made", [
    [], {}, [[]], {"a": 1}, {"a": {"b": {"c": [1, 2, {"d": "x"}]}}}, [1, [2, [3, [4, [5]]]]],
    {f"key {index}": [index * 0.5, f"text {index}", (1, 2)] for index in range(40)},
    [{"name": f"n{index}", "tags": ["a", index], "on": True} for index in range(40)],
    (1, 2, 3, [4]), {"rows": [[[index, str(index)] for index in range(9)] for _ in range(9)]},
])  # fmt: skip
def test_data_as_picklers_write_it_is_plain(made, protocol):
    data = pickle.dumps(made, protocol)
    assert is_plain(data) is (len(data) > 8)
    assert nothing_to_find(data)


def test_a_frame_covers_all_of_a_plain_file():
    data = bytearray(pickle.dumps(list(range(50)), 4))
    assert is_plain(bytes(data))
    for wrong in (-1, 1):
        data[3] += wrong
        assert not is_plain(bytes(data))
        data[3] -= wrong


def nested(index: int, depth: int) -> dict[str, object]:
    inner = [nested(index, depth - 1)] if depth else {"one": index}
    return {"id": index, "name": f"n{index}" * 20, "tags": ["a", f"t{index}", None], "inner": inner}


@pytest.mark.parametrize("protocol", [2, 4])
def test_nested_data_in_several_frames_is_plain(protocol, monkeypatch):
    monkeypatch.setattr(plain, "_MOST_SHALLOW", 100)  # deeper patterns are used as well
    data = pickle.dumps([nested(index, 4) for index in range(200)], protocol)
    assert len(data) > 2**16
    assert is_plain(data)
    assert nothing_to_find(data)


def test_frames_follow_each_other_in_a_plain_file():
    data = bytearray(pickle.dumps([nested(index, 4) for index in range(200)], 4))
    second = 11 + int.from_bytes(data[3:11], "little")
    assert data[second] == 0x95
    for place in (3, second + 1):
        for wrong in (-1, 1):
            kept = data[place]
            data[place] = (kept + wrong) % 256
            assert not is_plain(bytes(data))
            data[place] = kept
    assert is_plain(bytes(data))
    assert not is_plain(bytes(data[:2] + data[11:]))
    assert not is_plain(bytes(data[:second] + data[second + 9 :]))


def framed(*parts: bytes) -> bytes:
    """Return parts of a pickle as frames, the last with a STOP."""
    frames = (*parts[:-1], parts[-1] + b".")
    return b"\x80\x04" + b"".join(
        b"\x95" + len(part).to_bytes(8, "little") + part for part in frames
    )


@pytest.mark.parametrize(("first", "second", "told"), [
    (b"](NN]\x94", b"(K\x01ee", True), (b"](NN]\x94", b"]ae", True), (b"](NN]", b"]e", True),
    (b"](NN}\x94", b"(K\x01K\x02ue", True), (b"](NN}", b"]e", True), (b"](NN]", b"K\x01e", True),
    (b"}(K\x01]\x94", b"(K\x01eu", True), (b"}(K\x01]", b"}au", True),
    (b"}(K\x01}", b"(K\x01K\x02uu", True), (b"}(K\x01]", b"K\x02Nu", True),
    (b"}(K\x01]", b"](K\x01K\x02eau", True), (b"](NN]", b"(K\x01tae", False),
    (b"](NN]", b"(K\x01e", False), (b"](NN}", b"(K\x01ee", False),
    (b"](NN]", b"(K\x01K\x02ue", False),
    (b"}(K\x01]", b"}u", False), (b"}(K\x01]", b"]u", False), (b"}(K\x01}", b"]au", False),
    (b"](NN]", b"]aae", False), (b"](NN]\x94", b"(K\x01eae", False), (b"](NN]", b"aee", False),
    (b"}(K\x01]", b"K\x02au", False), (b"}(K\x01}", b"(K\x01eu", False),
])  # fmt: skip
def test_a_list_or_dict_goes_on_in_the_next_frame(first, second, told):
    data = framed(first, second)
    assert is_plain(data) is told
    assert not told or nothing_to_find(data)


def test_a_frame_may_end_behind_any_opcode_of_a_plain_file():
    told = 0
    for seed in range(150):
        rng = random.Random(seed)
        made = [value(rng, 3, []) for _ in range(4)]
        whole = pickle.dumps(made, 4)
        body = whole[11:-1] if whole[2] == 0x95 else whole[2:-1]
        places = [place for _, _, place in pickletools.genops(b"\x80\x04" + body + b".")][1:]
        cut = rng.choice(places) - 2
        data = framed(body[:cut], body[cut:])
        if is_plain(data):
            told += 1
            assert nothing_to_find(data), (seed, cut)
    assert told > 10


@pytest.mark.parametrize(("first", "second", "told"), [
    (b"](N", b"\x85e", True), (b"](N", b"N\x86e", True), (b"](N", b"NN\x87e", True),
    (b"](NN", b"\x86\x94e", True), (b"](NN", b"N\x87\x94e", True), (b"](NNN", b"\x87e", True),
    (b"](NNNNN", b"\x87e", True), (b"](N\x85NN", b"\x86e", True),
    (b"](N\x85N\x8c\x01a\x94", b"\x86e", True),
    (b"](N", b"\x86e", False), (b"](NN", b"\x87e", False), (b"](N", b"N\x87e", False),
    (b"](NN", b"\x86\x94\x94e", False), (b"](NNN", b"\x87\x87e", False), (b"](", b"\x85e", False),
])  # fmt: skip
def test_a_tuple_goes_on_in_the_next_frame(first, second, told):
    data = framed(first, second)
    assert is_plain(data) is told
    assert not told or nothing_to_find(data)


def test_a_tuple_between_frames_holds_only_what_is_there():
    told = 0
    for seed in range(400):
        rng = random.Random(seed)
        forms = [(1,), (1, "a"), ("t", None, 0.5), 7, "x" * 30, [1], {"k": 1}]
        body = pickle.dumps([rng.choice(forms) for _ in range(9)], 4)[2:-1]
        body = bytearray(body[9:] if body[0] == 0x95 else body)
        places = [place - 2 for _, _, place in pickletools.genops(b"\x80\x04" + body + b".")][1:]
        for place in places[:-1]:
            if body[place] in b"\x85\x86\x87" and rng.random() < 0.2:
                body[place] = rng.choice(b"\x85\x86\x87")
        cut = rng.choice(places)
        data = framed(bytes(body[:cut]), bytes(body[cut:]))
        if is_plain(data):
            told += 1
            assert nothing_to_find(data), (seed, cut)
    assert told > 100


def test_what_goes_on_in_frame_after_frame_is_no_deeper_than_anything_else():
    assert is_plain(framed(b"](N]\x94", *[b"(N]\x94"] * 9, b"e" * 10))
    assert not is_plain(framed(b"](N]\x94", *[b"(N]\x94"] * 5000, b"e" * 5001))


def test_bytes_that_could_be_of_another_format_are_looked_at_again():
    zero = framed(b"](" + b"K\0" * 400 + b"e")  # where old archives have their checksum
    assert zero[148] == 0
    assert possible(zero, "a.pkl") is PLAIN
    header = bytearray(b"\x80\x02" + bytes(510))
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert tar in possible(bytes(header), "a.pkl")
    header[0] ^= 1
    assert not tar.fits(bytes(header))


def test_a_pickle_that_names_something_is_asked_of_the_formats_that_begin_with_one():
    data = pickle.dumps([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)], 4)
    names = [row.__name__.rpartition(".")[2] for row in possible(data, "a.pkl")]
    assert names == ["legacy_torch", "joblib", "pickle"]


@pytest.mark.parametrize("body", [
    b"](]}]ae", b"](]a]e", b"](K]}ae", b"](K]}K\x01]sea", b"](}K\x01](K\x02esae",
    b"](}K\x01K\x02]se",
    b"}(K\x01]]}ssu", b"}(K\x01]K\x02]au", b"}(K\x01K]]au", b"}(K\x01}K\x02](K\x03essu",
    b"}(K\x01}K\x02]u",
    b"}(K\x01K}K\x02](es\x75", b"](](](ea", b"](}K\x01](](ees]e", b"](]](](]eeae", b"](]](](]eeaee",
])  # fmt: skip
def test_one_item_of_a_list_or_dict_is_taken_by_the_container_before_it(body):
    padded = b"\x80\x02" + body.replace(b"(", b"(" + b"N" * 2, 1) + b"."
    for data in (b"\x80\x02" + body + b".", padded, padded.replace(b"](](", b"](]](")):
        assert not is_plain(data) or nothing_to_find(data)


def test_large_files_and_unsound_patterns_are_left_to_the_machine(monkeypatch):
    data = pickle.dumps(list(range(50)), 4)
    with monkeypatch.context() as smaller:
        smaller.setattr(plain, "LARGEST", len(data) - 1)
        assert not is_plain(data)
    lists = pickle.dumps([[] for _ in range(50)], 4)
    with monkeypatch.context() as fewer:
        fewer.setattr(plain, "_ANY_VALUES", 10)
        assert is_plain(lists)
        fewer.setattr(plain, "_MOST_DEAR", 49)
        assert not is_plain(lists)
        assert is_plain(data)
    assert is_plain(data)
    monkeypatch.setattr(plain, "SOUND", False)
    assert not is_plain(data)


def old_tar() -> bytes:
    """Return a pickle whose first block is a header of an archive before ustar."""
    before = b"\x80\x02](" + b"N" * 94 + b"C\x39" + b"0000000\0" * 3 + b"00000000000\0" * 2
    after = b"0" + b"N" * 170 + b"C\x10" + b"0000000\0" * 2 + b"N" * 170
    total = sum((before + b" " * 8 + after)[:512])
    return before + b"%06o\0 " % total + after + b"e."


@pytest.mark.parametrize("other", [
    pytest.param(pickle.dumps([b"PK\x05\x06" + b"\0" * 18], 4), id="zip"),
    pytest.param(pickle.dumps([b"\x89HDF\r\n\x1a\n"], 4), id="hdf5"),
    pytest.param(b"\x80\x02](" + b"N" * 251 + b"C\x05ustare.", id="tar"),
    pytest.param(old_tar(), id="old tar"),
    pytest.param(b"\x80\x02](NNNK{NNe.", id="safetensors"),
    pytest.param(b"\x80\x03]C\x08" + b"\xff" * 8 + b"a.", id="lzma"),
    pytest.param(b"\x80\x04\x95\0\1" + bytes(6) + b"](" + b"N" * 252 + b"e.", id="YAML in UTF-16"),
    pytest.param(b"\x80\x02](NJ\5\0\0\0C\x0e\x0a\x0c\x0a\x01x\x12\x07NoOpABCe.", id="graph"),
])  # fmt: skip
def test_plain_pickles_that_may_be_something_else_are_asked_about(other):
    data = pickle.dumps([1, 2, 3], 4)
    assert is_plain(data)
    assert possible(data, "a.pkl") is PLAIN
    for name in ("a.json", "saved_model.pb", "a.yaml", "graph.PBTXT", "dir/MLmodel"):
        assert len(possible(data, name)) > 5
    assert len(possible(other, "a.pkl")) > 5


def test_the_second_reader_is_asked_about_plain_files_too(monkeypatch):
    asked = []
    monkeypatch.setattr("safehold.scan.inert.check", lambda *given: asked.append(given))
    data = pickle.dumps([1, 2, 3], 4)
    assert scan_bytes(data, paranoid=True).format == scan_bytes(data).format == "pickle"
    assert len(asked) == 1


def test_a_plain_file_is_reported_as_any_other(monkeypatch):
    data = pickle.dumps({"a": [1, 2, "x"], "b": {}}, 4)
    told = scan_bytes(data, "a.pkl")
    monkeypatch.setattr(plain, "LARGEST", 0)
    assert told == scan_bytes(data, "a.pkl")
    assert (told.verdict, told.format, told.plain) == ("clean", "pickle", True)
