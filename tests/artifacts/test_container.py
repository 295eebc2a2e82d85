"""Sealed bytes: every change is refused with the right error before anything is parsed."""

from __future__ import annotations

import itertools
import os
import struct
import tracemalloc
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold import sfh1
from safehold.artifacts import chunks, container
from safehold.artifacts.container import Expected, Header
from safehold.artifacts.suites import suite_for
from safehold.errors import LimitExceeded, NotSealed, Tampered, UnknownKey, WrongContext
from safehold.keys import Key, Keyring
from tests.holding import OTHER_SECRET, SECRET

KEY = Key("k1", SECRET)
EXPECTED = Expected(Keyring(KEY), "models", 2**32, ("data", "memory"))
ARTIFACT = bytes(range(16))
PREFIX = container.PREFIX_BYTES
TAIL = 32 + len(sfh1.END)


def header(*lengths: int, **changes: object) -> Header:
    fields: dict[str, object] = {
        "v": 1, "suite": "HS256", "key": "k1", "zone": "models", "name": "models/a.pkl",
        "generation": 3, "created": 1_790_000_000, "codec": "pickle", "segments": list(lengths),
    }  # fmt: skip
    return Header(**(fields | changes))


def seal(
    *segments: bytes, key: Key = KEY, align: int = 64, artifact: bytes = ARTIFACT, **changes: object
) -> bytes:
    head = header(*map(len, segments), **changes)
    parts = [(len(segment), [segment]) for segment in segments]
    return b"".join(container.sealed_chunks(head, parts, key, artifact, align=align))


def verify(data: bytes, expected: Expected = EXPECTED) -> list[bytes]:
    return [bytes(segment) for segment in container.verify_bytes(data, expected).segments]


def verify_in_file(data: bytes, tmp_path, expected: Expected = EXPECTED) -> list[bytes]:
    path = tmp_path / "container"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        sealed = container.verify_file(fd, len(data), expected)
    finally:
        os.close(fd)
    return [bytes(segment) for segment in sealed.segments]


@pytest.fixture
def nothing_is_parsed(monkeypatch):
    """Fail when the header is decoded at all."""

    def decode(data: bytes) -> Header:
        pytest.fail("the header was parsed")

    monkeypatch.setattr(container, "decode_header", decode)


SMALL = seal(b"first segment", b"", b"second" * 20)
SHAPES = {
    "three segments": (b"first segment", b"", b"second" * 20),
    "no bytes": (b"",),
    "no segment": (),
    "one byte": (b"x",),
    "a whole chunk": (bytes(container.CHUNK),),
    "a chunk and a byte": (bytes(container.CHUNK) + b"y",),
    "many chunks": (os.urandom(3 * container.CHUNK + 5), b"z" * 100),
}


@pytest.mark.parametrize("segments", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("align", [64, 4096])
def test_what_is_sealed_comes_back(segments, align, tmp_path):
    data = seal(*segments, align=align)
    assert verify(data) == list(segments)
    assert verify_in_file(data, tmp_path) == list(segments)


def test_segments_start_at_multiples_of_64_in_the_file():
    data = seal(b"a", b"b" * 65, b"c", align=4096)
    positions = [data.index(mark) for mark in (b"b" * 65, b"c\x00" if b"c\x00" in data else b"c")]
    assert positions[0] % 64 == 0
    assert data.index(b"a", 4096) == 4096


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
@pytest.mark.usefixtures("nothing_is_parsed")
def test_every_changed_byte_is_refused(mask):
    for index in range(len(SMALL)):
        data = bytearray(SMALL)
        data[index] ^= mask
        if index < 8:
            expected: tuple[type[Exception], ...] = (NotSealed,)
        elif 24 <= index < 32:
            expected = (UnknownKey,)
        else:
            # A payload length beyond the limit is a size before it is a seal.
            expected = (Tampered, LimitExceeded) if 16 <= index < 24 else (Tampered,)
        if PREFIX + struct.unpack_from("<I", SMALL, 8)[0] <= index:
            expected = (Tampered,)
        with pytest.raises(expected):
            verify(bytes(data))


def payload_of(data: bytes) -> tuple[int, int]:
    shape = sfh1.shape_of(data[:PREFIX])
    assert shape is not None
    return shape.head, shape.head + shape.payload


def test_a_changed_payload_byte_is_refused_by_its_leaf():
    start, end = payload_of(SMALL)
    for index in range(start, end):
        data = bytearray(SMALL)
        data[index] ^= 1
        with pytest.raises(Tampered, match="payload does not match"):
            verify(bytes(data))


@pytest.mark.usefixtures("nothing_is_parsed")
def test_every_truncation_is_refused(tmp_path):
    for length in range(len(SMALL)):
        with pytest.raises((Tampered, NotSealed)):
            verify(SMALL[:length])
        with pytest.raises((Tampered, NotSealed)):
            verify_in_file(SMALL[:length], tmp_path)


@pytest.mark.usefixtures("nothing_is_parsed")
@pytest.mark.parametrize("segments", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    "extra", [b"\0", b"x" * 16, bytes(64), bytes(container.CHUNK), SMALL], ids=len
)
def test_every_appended_byte_is_refused(segments, extra, tmp_path):
    data = seal(*segments) + extra
    with pytest.raises(Tampered, match="extended"):
        verify(data)
    with pytest.raises(Tampered, match="extended"):
        verify_in_file(data, tmp_path)


def big(mark: bytes) -> bytes:
    return seal(b"".join(bytes([value]) * container.CHUNK for value in mark), align=4096)


def test_chunks_cannot_be_swapped_repeated_or_dropped(tmp_path):
    data = big(b"abc")
    start, end = payload_of(data)
    chunk = container.CHUNK
    a, b, c = (data[start + n * chunk : start + (n + 1) * chunk] for n in range(3))
    head, tail = data[:start], data[end:]
    leaves = [tail[n * 32 : n * 32 + 32] for n in range(3)]
    rest = tail[96:]
    assert verify_in_file(head + a + b + c + tail, tmp_path)
    for payload, marks in [
        (b + a + c, leaves),
        (b + a + c, [leaves[1], leaves[0], leaves[2]]),
        (a + a + c, leaves),
        (a + a + c, [leaves[0], leaves[0], leaves[2]]),
    ]:
        with pytest.raises(Tampered):
            verify_in_file(head + payload + b"".join(marks) + rest, tmp_path)
    shorter = head[:16] + struct.pack("<Q", 2 * chunk) + head[24:]
    with pytest.raises(Tampered):
        verify_in_file(shorter + a + b + leaves[0] + leaves[1] + rest, tmp_path)


@pytest.mark.parametrize("index", [0, container.CHUNK, 2 * container.CHUNK + 7, -1])
def test_a_changed_byte_of_a_large_file_is_refused(index, tmp_path):
    data = bytearray(big(b"abc"))
    start, end = payload_of(data)
    data[start + index if index >= 0 else end + index] ^= 1
    with pytest.raises(Tampered, match="payload does not match"):
        verify_in_file(bytes(data), tmp_path)


def test_parts_of_two_valid_files_do_not_mix():
    one = seal(b"payload one", name="models/a.pkl")
    two = seal(b"payload two", name="models/b.pkl", artifact=bytes(16))
    assert len(one) == len(two)
    start, end = payload_of(one)
    cuts = [0, 24, 32, PREFIX, start, end, len(one) - TAIL, len(one) - 8, len(one)]
    for first in range(len(cuts) - 1):
        for last in range(first + 1, len(cuts)):
            low, high = cuts[first], cuts[last]
            mixed = one[:low] + two[low:high] + one[high:]
            if mixed in (one, two):
                continue
            with pytest.raises(Tampered):
                verify(mixed)


def test_parts_of_two_files_with_the_same_id_and_header_do_not_mix():
    one, two = seal(b"payload one"), seal(b"payload two")
    start, end = payload_of(one)
    for mixed in (
        one[:start] + two[start:end] + one[end:],
        one[:end] + two[end:],
        one[: end + 32] + two[end + 32 :],
    ):
        with pytest.raises(Tampered):
            verify(mixed)


@pytest.mark.usefixtures("nothing_is_parsed")
def test_another_zone_is_named():
    data = seal(b"x", zone="data")
    with pytest.raises(WrongContext, match="sealed for zone 'data', used in zone 'models'"):
        verify(data)


@pytest.mark.usefixtures("nothing_is_parsed")
def test_a_zone_that_the_policy_does_not_have_is_tampering():
    with pytest.raises(Tampered):
        verify(seal(b"x", zone="elsewhere"))


@pytest.mark.usefixtures("nothing_is_parsed")
def test_an_unknown_key_and_another_secret_under_the_same_id():
    with pytest.raises(UnknownKey, match="k1"):
        verify(seal(b"x", key=Key("k9", OTHER_SECRET)))
    with pytest.raises(Tampered):
        verify(seal(b"x", key=Key("k1", OTHER_SECRET)))


def test_the_tag_of_another_listed_key_is_refused():
    other = Key("k2", OTHER_SECRET)
    expected = Expected(Keyring(other, KEY), "models", 2**32)
    assert verify(SMALL, expected)
    swapped = SMALL[:24] + other.tag + SMALL[32:]
    with pytest.raises(Tampered):
        verify(swapped, expected)


def test_a_key_is_bound_to_its_suite():
    other = Key("k1", SECRET, suite="GMAC")
    with pytest.raises(Tampered, match="bound to suite HS256"):
        verify(seal(b"x", key=other, suite="GMAC"))
    with pytest.raises(Tampered, match="bound to suite GMAC"):
        verify(seal(b"x"), Expected(Keyring(other), "models", 2**32))


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": 0},
        {"suite": "none"},
        {"suite": ""},
        {"key": "k2"},
        {"zone": "data"},
        {"segments": [2]},
        {"segments": []},
        {"segments": [-1, 2]},
        {"segments": [64, -63]},
        {"generation": "3"},
    ],
    ids=str,
)
def test_what_only_a_key_holder_can_make_and_must_not(changes):
    text = sfh1.encode_header(msgspec.structs.replace(header(1), **changes))
    with pytest.raises(Tampered, match="not canonical or contradicts"):
        verify(sealed_with_text(text, b"x"))


def sealed_with_text(text: bytes, payload: bytes, zone: str = "models") -> bytes:
    """Seal any header text, as somebody with the key could."""
    head = sfh1.PREFIX.pack(sfh1.MAGIC, len(text), 64, len(payload), KEY.tag, ARTIFACT) + text
    head += bytes(-len(head) % 64)
    suite = suite_for(KEY, zone, ARTIFACT)
    leaves = b"".join(suite.seal(0, chunk)[1] for chunk in [payload] if payload)
    return head + payload + leaves + suite.root(sha256(head).digest(), leaves) + sfh1.END


def test_the_helper_above_makes_valid_containers():
    assert verify(sealed_with_text(sfh1.encode_header(header(1)), b"x")) == [b"x"]


def test_a_header_has_one_encoding():
    text = sfh1.encode_header(header(1))
    fields = msgspec.msgpack.decode(text)
    longer = text.replace(b"\xa1v\x01", b"\xa1v\xcc\x01")  # the number 1 in two bytes
    reordered = msgspec.msgpack.encode(dict(reversed(fields.items())))
    repeated = bytes([text[0] + 1]) + text[1:] + b"\xa1v\x01"
    defaulted = msgspec.msgpack.encode({**fields, "at": 0})
    unknown = msgspec.msgpack.encode({**fields, "zz": 0})
    for other in (longer, reordered, repeated, defaulted, unknown, text + b"\0", b"", b"\xc1"):
        assert other != text
        with pytest.raises(Tampered, match="not canonical or contradicts"):
            verify(sealed_with_text(other, b"x"))


@given(st.binary(max_size=80))
def test_any_header_text_ends_in_a_typed_error(text):
    with pytest.raises(Tampered):
        verify(sealed_with_text(text, b"x"))


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_typed_error(data):
    for start in (b"", sfh1.MAGIC):
        with pytest.raises((NotSealed, Tampered, UnknownKey, LimitExceeded)):
            verify(start + data)


@pytest.mark.parametrize("payload", [2**63, 2**64 - 1, 2**32 + 1])
@pytest.mark.parametrize("text", [10, 2**20, 2**32 - 1])
def test_lengths_that_lie_allocate_nothing(payload, text, tmp_path):
    data = sfh1.PREFIX.pack(sfh1.MAGIC, text, 64, payload, KEY.tag, ARTIFACT) + bytes(200)
    path = tmp_path / "lie"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    tracemalloc.start()
    try:
        with pytest.raises((LimitExceeded, Tampered)):
            verify(data)
        with pytest.raises((LimitExceeded, Tampered)):
            container.verify_file(fd, len(data), EXPECTED)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        os.close(fd)
    assert peak < 2**18


def test_a_sparse_file_of_a_tebibyte_is_refused_by_its_length(tmp_path):
    path = tmp_path / "sparse"
    path.write_bytes(SMALL)
    os.truncate(path, 2**40)
    fd = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(Tampered, match="extended"):
            container.verify_file(fd, 2**40, EXPECTED)
    finally:
        os.close(fd)


def test_a_sparse_payload_is_refused_before_it_is_read(tmp_path, monkeypatch):
    payload = 2**32
    prefix = sfh1.PREFIX.pack(sfh1.MAGIC, 10, 4096, payload, KEY.tag, ARTIFACT)
    shape = sfh1.shape_of(prefix)
    path = tmp_path / "sparse"
    path.write_bytes(prefix)
    os.truncate(path, shape.total)

    def refuse(*args: object) -> None:
        pytest.fail("memory was asked for")

    monkeypatch.setattr(chunks.mmap, "mmap", refuse)
    fd = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(Tampered, match="seal does not match"):
            container.verify_file(fd, shape.total, EXPECTED)
    finally:
        os.close(fd)


def test_a_payload_beyond_the_limit_is_refused():
    data = seal(b"x" * 1000)
    with pytest.raises(LimitExceeded, match="limit is 999"):
        verify(data, Expected(Keyring(KEY), "models", 999))
    assert verify(data, Expected(Keyring(KEY), "models", 1000))


def test_a_header_beyond_its_limit_is_not_written():
    with pytest.raises(LimitExceeded, match="shorten meta"):
        seal(b"x", meta={"text": "m" * sfh1.HEADER_MAX})


def test_a_segment_that_changes_while_it_is_written_is_an_error():
    with pytest.raises(ValueError, match="changed meanwhile"):
        list(container.sealed_chunks(header(5), [(5, [b"four"])], KEY, ARTIFACT, align=64))


def test_a_file_that_is_cut_while_it_is_read_is_refused(tmp_path, monkeypatch):
    data = big(b"ab")
    path = tmp_path / "cut"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    real = container._ends

    def cut(fd: int, size: int, expected: Expected) -> object:
        found = real(fd, size, expected)
        os.truncate(path, 8192)
        return found

    monkeypatch.setattr(container, "_ends", cut)
    try:
        with pytest.raises(Tampered, match="cut while it was read"):
            container.verify_file(fd, len(data), EXPECTED)
    finally:
        os.close(fd)


@pytest.mark.parametrize("payload", [b"x" * 100, b"x" * (3 * container.CHUNK)], ids=len)
def test_no_byte_of_a_file_is_read_twice(payload, tmp_path, monkeypatch):
    data = seal(payload, align=4096)
    path = tmp_path / "once"
    path.write_bytes(data)
    seen: list[tuple[int, int]] = []
    pread, preadv = os.pread, os.preadv

    def one(fd: int, count: int, offset: int) -> bytes:
        got = pread(fd, count, offset)
        seen.append((offset, offset + len(got)))
        return got

    def many(fd: int, buffers: list[memoryview], offset: int) -> int:
        got = preadv(fd, buffers, offset)
        seen.append((offset, offset + got))
        return got

    monkeypatch.setattr(os, "pread", one)
    monkeypatch.setattr(os, "preadv", many)
    fd = os.open(path, os.O_RDONLY)
    try:
        container.verify_file(fd, len(data), EXPECTED)
    finally:
        os.close(fd)
    seen.sort()
    assert seen[0][0] == 0
    assert seen[-1][1] == len(data)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(seen))


def test_the_root_alone_gives_the_header_without_the_payload(tmp_path):
    data = bytearray(big(b"ab"))
    data[payload_of(data)[0]] ^= 1  # not read, so not noticed
    path = tmp_path / "header"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        found, artifact = container.verified_header(fd, len(data), EXPECTED)
    finally:
        os.close(fd)
    assert (found.name, artifact) == ("models/a.pkl", ARTIFACT)


def test_an_empty_file_is_what_the_replaced_libraries_call_it(tmp_path):
    with pytest.raises(NotSealed) as caught:
        verify_in_file(b"", tmp_path)
    assert isinstance(caught.value, EOFError)


def test_a_forked_child_does_not_write_into_the_memory_of_its_parent(tmp_path):
    data = big(b"abc")
    path = tmp_path / "large"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    segment = container.verify_file(fd, len(data), EXPECTED).segments[0]
    os.close(fd)
    pid = os.fork()
    if pid == 0:
        segment[0] = 0
        os._exit(segment[0])
    assert os.waitpid(pid, 0)[1] == 0
    assert segment[0] == ord("a")
