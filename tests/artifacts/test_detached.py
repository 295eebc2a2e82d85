"""Containers whose payload lies elsewhere: what a sidecar is made of."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from safehold import sfh1
from safehold.artifacts import container
from safehold.artifacts.container import Header
from safehold.errors import LimitExceeded, NotSealed, Tampered, UnknownKey
from tests.artifacts.test_suites import ARTIFACT, CHUNK, SIDES, Side

PLAIN = [name for name, row in sfh1.SUITES.items() if not row.encrypts]
PAYLOAD = b"p" * CHUNK + b"the rest"


@pytest.fixture(params=PLAIN)
def one(request) -> Side:
    return SIDES[request.param]


def pieces(one: Side, payload: bytes, **options: Any) -> list[bytes]:
    header = Header(
        v=1, suite=one.suite, key="k1", zone="models", name="models/a.npy", generation=3,
        created=1_790_000_000, codec="npy", segments=[len(payload)], raw=True,
    )  # fmt: skip
    parts: list[Any] = [(len(payload), [payload])]
    made = container.sealed_chunks(header, parts, one.writer, ARTIFACT, align=64, **options)
    return [bytes(piece) for piece in made]


def detached(one: Side, payload: bytes = PAYLOAD) -> bytes:
    head, *_, tail = pieces(one, payload, detached=True)
    return head + tail


def opened(one: Side, data: bytes, payload: bytes = PAYLOAD, limit: int = 2**32) -> bytes:
    def read(start: int, into: memoryview) -> None:
        into[:] = payload[start : start + len(into)]

    found = container.open_detached(memoryview(data), one.expected(limit), read)
    out = bytearray(found.shape.payload)
    found.chunks.open_all(memoryview(out))
    assert found.header().name == "models/a.npy"
    return bytes(out)


@pytest.mark.parametrize("payload", [b"", b"x", b"x" * CHUNK, PAYLOAD], ids=len)
def test_a_payload_elsewhere_is_verified(one, payload):
    data = detached(one, payload)
    assert opened(one, data, payload) == payload
    assert payload[:64] not in data or len(payload) < 64
    assert container.detached_length(data[:48], 2**32) == len(data)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_changed_byte_of_it_is_refused(one, mask):
    whole = detached(one)
    for index in range(len(whole)):
        data = bytearray(whole)
        data[index] ^= mask
        with pytest.raises((Tampered, NotSealed, UnknownKey, LimitExceeded)):
            opened(one, bytes(data))


def test_every_length_but_its_own_is_refused(one):
    whole = detached(one)
    for length in range(len(whole)):
        with pytest.raises((Tampered, NotSealed)):
            opened(one, whole[:length])
    for extra in (b"\0", bytes(16), whole):
        with pytest.raises(Tampered):
            opened(one, whole + extra)


@pytest.mark.parametrize("at", [0, CHUNK - 1, CHUNK, len(PAYLOAD) - 1])
def test_a_changed_payload_is_refused(one, at):
    changed = bytearray(PAYLOAD)
    changed[at] ^= 1
    with pytest.raises(Tampered, match="payload does not match"):
        opened(one, detached(one), bytes(changed))


def test_chunks_are_told_apart(one):
    def read(start: int, into: memoryview) -> None:
        raise AssertionError

    found = container.open_detached(memoryview(detached(one)), one.expected(), read)
    first, second = memoryview(PAYLOAD)[:CHUNK], memoryview(PAYLOAD)[CHUNK:]
    assert found.chunks.fits(0, first)
    assert found.chunks.fits(1, second)
    assert not found.chunks.fits(1, first)
    assert not found.chunks.fits(0, second)


def test_with_and_without_payload_are_never_taken_for_each_other(one, tmp_path):
    """The bit is under the root, so nobody without the key makes one of the other."""
    whole = b"".join(pieces(one, PAYLOAD))
    parts = detached(one)
    form = struct.unpack_from("<I", whole, 12)[0]
    assert struct.unpack_from("<I", parts, 12)[0] == form | 0x4000
    with pytest.raises(NotSealed, match="payload of its own"):
        opened(one, whole)
    with pytest.raises(NotSealed, match="is a sidecar"):
        container.verify_bytes(parts, one.expected())
    shape = sfh1.shape_of(parts)
    assert shape is not None
    joined = parts[:12] + struct.pack("<I", form) + parts[16 : shape.head]
    joined += PAYLOAD + parts[shape.head :]
    assert len(joined) == len(whole)
    with pytest.raises(Tampered, match="seal does not match"):
        container.verify_bytes(joined, one.expected())
    taken = whole[:12] + struct.pack("<I", form | 0x4000) + whole[16 : shape.head]
    taken += whole[shape.head + len(PAYLOAD) :]
    with pytest.raises(Tampered, match="seal does not match"):
        opened(one, taken)


@pytest.mark.parametrize(("suite", "align"), [("AES256GCM", 64), ("HS256", 4096)])
def test_forms_that_no_writer_makes_are_none(suite, align):
    row = sfh1.SUITES[suite]
    made = sfh1.prefix_of(row, 10, align, 5, bytes(8), bytes(16), detached=True)
    assert sfh1.shape_of(made) is None


def test_a_payload_beyond_the_limit_is_refused_by_its_prefix(one):
    data = detached(one)
    with pytest.raises(LimitExceeded):
        opened(one, data, limit=len(PAYLOAD) - 1)
    with pytest.raises(LimitExceeded):
        container.detached_length(data[:16] + struct.pack("<Q", 2**63) + data[24:48], 2**32)
