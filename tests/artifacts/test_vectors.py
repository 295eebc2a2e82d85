"""Containers of every past version load, also for a reader that knows only the documentation."""

from __future__ import annotations

import hashlib
import hmac
import pickle
import shutil
import struct

import msgspec
import pytest

from safehold.keys import Keyring
from tests.exact import same
from tests.holding import make_world
from tests.vectors import generate
from tests.vectors.generate import BUFFER, KEY, SECRET, VECTORS, Buffered

FILES = generate.HERE / "v1"


def expected(value: object) -> object:
    return BUFFER if isinstance(value, Buffered) else value


@pytest.fixture
def world(tmp_path):
    world = make_world(tmp_path, keyring=Keyring(KEY))
    yield world
    world.hold.close()


def test_every_file_is_a_vector_and_every_vector_a_file():
    assert {path.name for path in FILES.iterdir()} == {vector.file for vector in VECTORS}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.file)
def test_a_vector_loads(vector, world):
    path = world.root / vector.zone / vector.file
    shutil.copy(FILES / vector.file, path)
    with path.open("rb") as file:
        for part in vector.parts:
            assert same(world.store.load_from(file), expected(part.value))
        with pytest.raises(EOFError):
            world.store.load_from(file)
    world.store.verify(path)
    info = world.store.inspect(path)
    assert (info.generation, info.created, info.key) == (
        vector.generation,
        generate.CREATED,
        "vectors-1",
    )
    assert info.meta == vector.parts[0].meta


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.file)
def test_the_generator_still_writes_the_same_data(vector):
    if all(part.codec in ("json", "msgpack") for part in vector.parts):
        assert generate.contents(vector) == (FILES / vector.file).read_bytes()
    else:
        assert len(generate.contents(vector)) > 0


# --- a second reader, from the documentation alone -------------------------------------------


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, one block."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def read_one(data: bytes, zone: str) -> tuple[dict[str, object], list[bytes], bytes]:
    """Return header, segments and what follows the container."""
    assert data[:8] == bytes.fromhex("534648310d0a1a0a")
    text_length, align, payload_length = struct.unpack_from("<IIQ", data, 8)
    key_tag, artifact = data[24:32], data[32:48]
    assert text_length <= 2**20
    assert align in (64, 4096)
    assert key_tag == hashlib.sha256(b"safehold key id\x00" + b"vectors-1").digest()[:8]
    head_length = (48 + text_length + align - 1) // align * align
    leaves_length = (payload_length + 2**20 - 1) // 2**20 * 32
    total = head_length + payload_length + leaves_length + 40
    head = data[:head_length]
    payload = data[head_length : head_length + payload_length]
    leaves = data[head_length + payload_length : total - 40]
    root, end = data[total - 40 : total - 8], data[total - 8 : total]
    key = hkdf(SECRET, artifact, b"safehold/SFH1/HS256/" + zone.encode())
    assert root == hmac.digest(key, hashlib.sha256(head).digest() + leaves, "sha256")
    assert end == bytes.fromhex("0a1a0d0a31484653")
    for number in range(leaves_length // 32):
        chunk = payload[number * 2**20 : (number + 1) * 2**20]
        assert hashlib.sha256(chunk).digest() == leaves[number * 32 : number * 32 + 32]
    header = msgspec.msgpack.decode(head[48 : 48 + text_length])
    segments, position = [], 0
    for length in header["segments"]:
        position = (position + 63) // 64 * 64
        segments.append(payload[position : position + length])
        position += length
    assert position == payload_length
    return header, segments, data[total:]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.file)
def test_a_second_reader_agrees(vector):
    data, at = (FILES / vector.file).read_bytes(), 0
    for part in vector.parts:
        header, segments, rest = read_one(data, vector.zone)
        assert header["name"] == f"{vector.zone}/{vector.file}"
        assert header.get("at", 0) == at
        assert header["codec"] == part.codec
        if part.codec == "pickle":
            value = pickle.loads(segments[0], buffers=segments[1:])
            assert same(value, expected(part.value))
        at += len(data) - len(rest)
        data = rest
    assert data == b""
