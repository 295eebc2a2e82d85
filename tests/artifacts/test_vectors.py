"""Containers of every past version load, also for a reader that knows only the documentation."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import pickle
import shutil
import struct
import time

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehold import sfh1
from safehold.artifacts import container, reading
from safehold.keys import Key, Keyring
from tests.artifacts.slotted import joined
from tests.exact import same
from tests.holding import make_world
from tests.vectors import generate
from tests.vectors.generate import (
    AES_KEY,
    BUFFER,
    GMAC_KEY,
    KEY,
    NEXT_KEY,
    PAIR_KEY,
    PUBLIC_KEY,
    SECRET,
    VECTORS,
    Buffered,
)


def expected(value: object) -> object:
    return BUFFER if isinstance(value, Buffered) else value


@pytest.fixture
def world(tmp_path, monkeypatch):
    # Whatever the clock of this machine says, the vectors were made before.
    now = max(time.time(), generate.CREATED)
    monkeypatch.setattr(reading.time, "time", lambda: now)
    world = make_world(tmp_path, keyring=Keyring(NEXT_KEY, KEY, GMAC_KEY, AES_KEY, PUBLIC_KEY))
    yield world
    world.hold.close()


@pytest.fixture
def world_of(world):
    def make(vector):
        return world.again(keyring=Keyring(vector.signing)) if vector.key is None else world

    return make


def parameter(vector):
    marks = pytest.mark.extras if vector.key is None else ()
    return pytest.param(vector, id=vector.file, marks=marks)


EACH = [parameter(vector) for vector in VECTORS]


def test_every_file_is_a_vector_and_every_vector_a_file():
    paths = {path for folder in generate.HERE.glob("v1*") for path in folder.iterdir()}
    assert paths == {vector.path for vector in VECTORS}


@pytest.mark.parametrize("vector", EACH)
def test_a_vector_loads(vector, world_of):
    world = world_of(vector)
    path = world.root / vector.zone / vector.file
    shutil.copy(vector.path, path)
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
        vector.signing.id,
    )
    assert info.meta == vector.parts[0].meta


@pytest.mark.parametrize("vector", EACH)
def test_the_generator_still_writes_the_same_data(vector):
    if all(part.codec in ("json", "msgpack") for part in vector.parts):
        assert generate.contents(vector) == vector.path.read_bytes()
    else:
        assert len(generate.contents(vector)) > 0


# --- a second reader, from the documentation alone -------------------------------------------


def hkdf(secret: bytes, salt: bytes, info: bytes, blocks: int = 1) -> bytes:
    """RFC 5869 with SHA-256."""
    extracted = hmac.digest(salt, secret, "sha256")
    found, block = b"", b""
    for number in range(1, blocks + 1):
        block = hmac.digest(extracted, block + info + bytes([number]), "sha256")
        found += block
    return found


SECRETS = {
    "vectors-1": (0, "HS256", SECRET),
    "vectors-gmac": (1, "GMAC", b"vector key 2: 90d1f7a83be64c52d70e"),
    "vectors-next": (1, "GMAC", b"vector key 4: 5ad2c9e17f4086b3d25e"),
    "vectors-aes": (2, "AES256GCM", b"vector key 3: e4b86d0f1c79a2385fd6"),
    "vectors-pair": (3, "ED25519", bytes.fromhex(generate.PUBLIC)),
    "vectors-blake3": (4, "BLAKE3", b"vector key 5: 7b52c9d0e81f46a3d27c"),
}
LENGTHS = [(32, 32), (16, 32), (16, 32), (32, 64), (32, 32)]


def opened(suite: str, keys: bytes, payload: bytes, leaves: bytes) -> bytes:
    """Compare each chunk with its leaf; return them decrypted."""
    leaf_length = 16 if suite in ("GMAC", "AES256GCM") else 32
    plain = b""
    for index in range((len(payload) + 2**20 - 1) // 2**20):
        chunk = payload[index * 2**20 : (index + 1) * 2**20]
        leaf = leaves[index * leaf_length : (index + 1) * leaf_length]
        if suite in ("HS256", "ED25519"):
            assert hashlib.sha256(chunk).digest() == leaf
        elif suite == "BLAKE3":
            assert importlib.import_module("blake3").blake3(chunk, key=keys[32:]).digest() == leaf
        elif suite == "GMAC":
            assert AESGCM(keys[32:]).encrypt(index.to_bytes(12, "big"), b"", chunk) == leaf
        else:
            chunk = AESGCM(keys[32:]).decrypt(index.to_bytes(12, "big"), chunk + leaf, None)
        plain += chunk
    return plain


def tag_of(key_id: str) -> bytes:
    return hashlib.sha256(b"safehold key id\x00" + key_id.encode()).digest()[:8]


TAGS = {tag_of(key_id): key_id for key_id in SECRETS}


def read_one(data: bytes, zone: str, key_id: str) -> tuple[dict[str, object], list[bytes], bytes]:
    """Return header, segments and what follows the container."""
    assert data[:8] == bytes.fromhex("534648310d0a1a0a")
    text_length, form, number, payload_length = struct.unpack_from("<IHHQ", data, 8)
    key_tag, artifact = data[24:32], data[32:48]
    slots, align = bool(form & 0x8000), form & 0x3FFF
    assert text_length <= 2**20
    assert form & 0x4000 == 0
    assert align == 4096 if slots else align in (64, 4096)
    assert key_tag == (bytes(8) if slots else tag_of(key_id))
    own_number, suite, secret = SECRETS[key_id]
    assert number == own_number
    leaf_length, root_length = LENGTHS[number]
    if slots and suite == "ED25519":
        root_length = 0
    text_at = 1536 if slots else 48
    head_length = (text_at + text_length + align - 1) // align * align
    chunks = (payload_length + 2**20 - 1) // 2**20
    total = head_length + payload_length + leaf_length * chunks + root_length + 8
    payload_end = head_length + payload_length
    head, payload = data[:head_length], data[head_length:payload_end]
    leaves = data[payload_end : payload_end + leaf_length * chunks]
    root, end = data[total - 8 - root_length : total - 8], data[total - 8 : total]
    assert end == bytes.fromhex("0a1a0d0a31484653")
    info = f"safehold/SFH1/{suite}/{zone}".encode()
    if slots:
        sectors = head[512:1024], head[1024:1536]
        head = head[:512] + bytes(1024) + head[1536:]
        secrets = [open_slot(one, suite, zone, head, leaves) for one in sectors]
        assert secrets[0] == secrets[1]
        secret = secrets[0]
        assert sectors[1][:8] == tag_of(key_id)
    signed = hashlib.sha256(head).digest() + leaves
    keys = b""
    if suite != "ED25519":
        keys = hkdf(secret, artifact, info, blocks=1 if suite == "HS256" else 2)
        assert root == hmac.digest(keys[:32], signed, "sha256")
    elif not slots:
        Ed25519PublicKey.from_public_bytes(secret).verify(root, info + b"\0" + signed)
    payload = opened(suite, keys, payload, leaves)
    header = msgspec.msgpack.decode(head[text_at : text_at + text_length])
    assert header["key"] == ("" if slots else key_id)
    segments, position = [], 0
    for length in header["segments"]:
        position = (position + 63) // 64 * 64
        segments.append(payload[position : position + length])
        position += length
    assert position == payload_length
    return header, segments, data[total:]


def open_slot(sector: bytes, suite: str, zone: str, head: bytes, leaves: bytes) -> bytes:
    """Return the file key of a slot, or nothing for a signature that holds."""
    slot, rest = sector[:72], sector[72:]
    assert rest == bytes(440)
    _, own_suite, secret = SECRETS[TAGS[slot[:8]]]
    assert own_suite == suite
    message = slot[:8] + hashlib.sha256(head).digest() + leaves
    if suite == "ED25519":
        info = f"safehold/SFH1/slot/ED25519/{zone}".encode()
        Ed25519PublicKey.from_public_bytes(secret).verify(slot[8:], info + b"\0" + message)
        return b""
    wrap_key = hkdf(secret, slot[8:24], f"safehold/SFH1/wrap/{suite}/{zone}".encode())
    return AESGCM(wrap_key).decrypt(bytes(12), slot[24:], message)


@pytest.mark.parametrize("vector", EACH)
def test_a_second_reader_agrees(vector):
    data, at = vector.path.read_bytes(), 0
    for part in vector.parts:
        header, segments, rest = read_one(data, vector.zone, vector.signing.id)
        assert header["name"] == f"{vector.zone}/{vector.file}"
        assert header.get("at", 0) == at
        assert header["codec"] == part.codec
        if part.codec == "pickle":
            value = pickle.loads(segments[0], buffers=segments[1:])
            assert same(value, expected(part.value))
        elif vector.key is not KEY:
            ours = generate.codec_named(part.codec).encode(part.value, generate.DEPTH).segments
            assert segments == [bytes(segment) for segment in ours]
        at += len(data) - len(rest)
        data = rest
    assert data == b""


SEALING = {"HS256": KEY, "GMAC": GMAC_KEY, "AES256GCM": AES_KEY, "ED25519": PAIR_KEY}


@pytest.mark.parametrize("suite", sfh1.SUITES)
def test_a_second_reader_agrees_on_many_chunks(suite):
    key = SEALING.get(suite) or Key(generate.BLAKE3_ID, generate.BLAKE3_SECRET, suite)
    segments = [bytes(range(256)) * 5000, b"z" * 2**20, b"end"]
    header = container.Header(
        1, key.suite, key.id, "models", "models/a", 1, 1, "pickle", [len(one) for one in segments]
    )
    parts = [(len(one), [one]) for one in segments]
    data = b"".join(container.sealed_chunks(header, parts, key, bytes(16), align=4096))
    assert read_one(data, "models", key.id)[1:] == (segments, b"")
    slotted = joined(container.slotted_chunks(header, parts, key, bytes(16)))
    assert read_one(slotted, "models", key.id)[1:] == (segments, b"")
