"""Sidecars of every past version verify, also for a reader that knows only the documentation."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import struct
import time
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehold.artifacts import reading
from safehold.keys import Keyring
from tests.artifacts.test_vectors import SECRETS, hkdf, tag_of
from tests.holding import make_world
from tests.vectors import generate, sidecars
from tests.vectors.sidecars import HERE, KEYS, NEW, OLD, ZONE

LENGTHS = {"HS256": (32, 32), "GMAC": (16, 32), "ED25519": (32, 64)}


@pytest.fixture
def world(tmp_path, monkeypatch):
    now = max(time.time(), generate.CREATED)
    monkeypatch.setattr(reading.time, "time", lambda: now)
    ring = Keyring(generate.KEY, generate.GMAC_KEY, generate.PUBLIC_KEY)
    world = make_world(tmp_path, keyring=ring)
    yield world
    world.hold.close()


def test_every_file_is_a_vector_and_every_vector_a_file():
    assert {path.name for path in HERE.iterdir()} == {f"{file}.sfh" for file in KEYS}


@pytest.mark.parametrize("file", KEYS)
def test_a_vector_loads(file, world):
    path = world.root / ZONE / file
    shutil.copy(HERE / f"{file}.sfh", path.with_name(f"{file}.sfh"))
    for generation, payload in ((1, OLD), (2, NEW)):
        path.write_bytes(payload)
        assert world.store.load(path) == payload
        info = world.store.inspect(path)
        assert (info.generation, info.created, info.key, info.meta, info.sidecar) == (
            generation,
            generate.CREATED,
            KEYS[file].id,
            {"run": generation},
            True,
        )


@pytest.mark.parametrize("file", KEYS)
def test_the_generator_still_writes_the_same_sidecar(file):
    assert sidecars.contents(file) == (HERE / f"{file}.sfh").read_bytes()


# --- a second reader, from the documentation alone -------------------------------------------


def record_of(data: bytes, key_id: str) -> tuple[dict[str, Any], list[bytes], bytes, bytes]:
    """Return header, leaves, the keys of the chunks, and what follows the record."""
    assert data[:8] == bytes.fromhex("534648310d0a1a0a")
    text_length, form, number, payload_length = struct.unpack_from("<IHHQ", data, 8)
    key_tag, artifact = data[24:32], data[32:48]
    own_number, suite, secret = SECRETS[key_id]
    assert (form, number, key_tag) == (0x4040, own_number, tag_of(key_id))
    leaf, root_length = LENGTHS[suite]
    head_length = (48 + text_length + 63) // 64 * 64
    count = (payload_length + 2**20 - 1) // 2**20
    root_at = head_length + leaf * count
    total = root_at + root_length + 8
    head, leaves, root = data[:head_length], data[head_length:root_at], data[root_at : total - 8]
    assert data[total - 8 : total] == bytes.fromhex("0a1a0d0a31484653")
    info = f"safehold/SFH1/{suite}/{ZONE}".encode()
    signed = hashlib.sha256(head).digest() + leaves
    keys = b""
    if suite == "ED25519":
        Ed25519PublicKey.from_public_bytes(secret).verify(root, info + b"\0" + signed)
    else:
        keys = hkdf(secret, artifact, info, blocks=2)
        assert root == hmac.digest(keys[:32], signed, "sha256")
    header = msgspec.msgpack.decode(head[48 : 48 + text_length])
    assert head[48 + text_length :].strip(b"\0") == b""
    assert header["segments"] == [payload_length]
    each = [leaves[at : at + leaf] for at in range(0, len(leaves), leaf)]
    return header, each, keys[32:], data[total:]


def fits(payload: bytes, leaves: list[bytes], key: bytes) -> bool:
    for index, leaf in enumerate(leaves):
        chunk = payload[index * 2**20 : (index + 1) * 2**20]
        if key and len(leaf) == 16:
            found = AESGCM(key).encrypt(index.to_bytes(12, "big"), b"", chunk)
        else:
            found = hashlib.sha256(chunk).digest()
        if found != leaf:
            return False
    return True


@pytest.mark.parametrize("file", KEYS)
def test_a_second_reader_agrees(file):
    rest = (HERE / f"{file}.sfh").read_bytes()
    for generation, payload, other in ((2, NEW, OLD), (1, OLD, NEW)):
        header, leaves, key, rest = record_of(rest, KEYS[file].id)
        assert (header["generation"], header["name"]) == (generation, f"{ZONE}/{file}")
        assert header["raw"] is True
        assert fits(payload, leaves, key)
        assert not fits(other, leaves, key)
    assert rest == b""
