"""Bundles of model-signing, read and written here: nothing but what was signed is accepted."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from safehold.artifacts import Signature, bundle
from safehold.errors import (
    ConfigError,
    DecodeError,
    NotSealed,
    Rollback,
    SafeholdError,
    Tampered,
    TrailError,
    UnknownKey,
)

DATA = b"the bytes of a model"
CURVES = [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()]


def write_pair(folder: Path, name: str = "key", curve: Any = None) -> tuple[Path, Path]:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture
def keys(tmp_path) -> tuple[Path, Path]:
    return write_pair(tmp_path)


def signed(keys: tuple[Path, Path]) -> dict[str, Any]:
    return json.loads(bundle.signed(DATA, "m.onnx", bundle.load_private_key(keys[0])))


def verify(changed: object, keys: tuple[Path, Path], data: bytes = DATA) -> None:
    raw = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    bundle.verify_signed(raw, data, "m.onnx", bundle.load_public_key(keys[1]))


def resigned(keys: tuple[Path, Path], statement: object) -> dict[str, Any]:
    """Sign any statement well."""
    whole = signed(keys)
    payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
    key = bundle.load_private_key(keys[0])
    pae = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
    signature = key.sign(pae, ec.ECDSA(hashes.SHA256()))
    whole["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    whole["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    return whole


def statement_of(whole: dict[str, Any]) -> dict[str, Any]:
    return json.loads(base64.b64decode(whole["dsseEnvelope"]["payload"]))


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_what_is_signed_verifies(tmp_path, curve):
    keys = write_pair(tmp_path, curve=curve)
    verify(signed(keys), keys)
    with pytest.raises(Tampered, match="not those that were signed"):
        verify(signed(keys), keys, DATA + b"x")


def test_every_changed_byte_of_a_bundle_is_refused_or_changes_nothing_that_counts(keys):
    """JSON has bytes that mean nothing, such as those of a member that is not read."""
    whole = json.dumps(signed(keys)).encode()
    counts = 0
    for index in range(len(whole)):
        data = bytearray(whole)
        data[index] ^= 1
        try:
            verify(bytes(data), keys)
        except (Tampered, UnknownKey):
            counts += 1
        else:
            verify(bytes(data), keys)
            with pytest.raises(Tampered):
                verify(bytes(data), keys, DATA + b"x")
    assert counts > len(whole) * 0.9


def test_another_key_is_named_or_does_not_verify(tmp_path, keys):
    other = write_pair(tmp_path, "other")
    with pytest.raises(UnknownKey, match="another key"):
        verify(signed(keys), other)
    without = signed(keys)
    del without["verificationMaterial"]["publicKey"]["hint"]
    verify(without, keys)
    with pytest.raises(Tampered, match="does not match"):
        verify(without, other)


def changes(whole: dict[str, Any]) -> list[dict[str, Any]]:
    envelope = whole["dsseEnvelope"]
    parts: list[dict[str, Any]] = [
        {"payloadType": "application/json"},
        {"signatures": []},
        {"signatures": envelope["signatures"] * 2},
        {"signatures": [{"sig": ""}]},
        {"signatures": [{"sig": "!"}]},
        {"payload": ""},
        {"payload": 1},
    ]
    found = [whole | {"dsseEnvelope": envelope | part} for part in parts]
    found.append(whole | {"mediaType": "application/vnd.dev.sigstore.bundle.v0.2+json"})
    found.append(whole | {"verificationMaterial": {"certificate": {"rawBytes": ""}}})
    return found


def test_other_envelopes_are_refused(keys):
    for changed in changes(signed(keys)):
        with pytest.raises(Tampered):
            verify(changed, keys)
    for data in (b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":' * 50_000):
        with pytest.raises(Tampered):
            verify(data, keys)


def test_nothing_is_parsed_of_a_statement_that_is_not_authentic(keys, monkeypatch):
    whole = signed(keys)
    whole["dsseEnvelope"]["payload"] = base64.b64encode(b"[" * 10).decode()
    real = bundle.msgspec.json.decode

    def decode(data: Any, *, type: Any) -> Any:  # noqa: A002
        assert type is bundle._Bundle, "the statement was parsed"
        return real(data, type=type)

    monkeypatch.setattr(bundle.msgspec.json, "decode", decode)
    with pytest.raises(Tampered, match="does not match its statement"):
        verify(whole, keys)


def test_other_statements_are_refused_although_they_are_signed_well(keys):
    statement = statement_of(signed(keys))
    predicate = statement["predicate"]
    verify(resigned(keys, statement), keys)
    other = {"name": "other.onnx", "algorithm": "sha256", "digest": "00" * 32}
    for changed in (
        b"not json",
        {},
        statement | {"_type": "https://in-toto.io/Statement/v0.1"},
        statement | {"predicateType": "https://model_signing/Digests/v0.1"},
        statement | {"subject": []},
        statement | {"subject": statement["subject"] * 2},
        statement | {"subject": [{"name": "m", "digest": {"sha256": "00" * 32}}]},
        statement | {"predicate": predicate | {"resources": []}},
        statement | {"predicate": predicate | {"resources": [other]}},
        statement | {"predicate": predicate | {"resources": predicate["resources"] * 2}},
        statement | {"predicate": predicate | {"serialization": {"method": "shards"}}},
    ):
        with pytest.raises(Tampered):
            verify(resigned(keys, changed), keys)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "blake3", ""])
def test_other_digests_are_refused(keys, algorithm):
    digest = hashlib.md5(DATA, usedforsecurity=False).digest()
    statement = statement_of(signed(keys))
    statement["predicate"]["resources"] = [
        {"name": ".", "algorithm": algorithm, "digest": digest.hex()}
    ]
    statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(digest).hexdigest()
    with pytest.raises(Tampered, match="sign with sha256"):
        verify(resigned(keys, statement), keys)


def test_keys_of_another_kind_are_refused_with_the_command_that_makes_one(tmp_path):
    strange = ed25519.Ed25519PrivateKey.generate()
    own = forms.PrivateFormat.PKCS8, forms.NoEncryption()
    small = ec.generate_private_key(ec.SECP256K1())
    locked = forms.PrivateFormat.PKCS8, forms.BestAvailableEncryption(b"password")
    path = tmp_path / "k"
    for data in (
        b"",
        b"rubbish",
        strange.private_bytes(forms.Encoding.PEM, *own),
        small.private_bytes(forms.Encoding.PEM, *own),
        ec.generate_private_key(ec.SECP256R1()).private_bytes(forms.Encoding.PEM, *locked),
    ):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="openssl genpkey"):
            bundle.load_private_key(path)
        with pytest.raises(ConfigError, match="openssl genpkey"):
            bundle.load_public_key(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        bundle.load_private_key(tmp_path / "missing")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="cannot be read"):
        bundle.load_public_key(tmp_path / "fifo")


# --- with a store --------------------------------------------------------------------------


@pytest.mark.parametrize("sidecar", [True, False])
def test_a_sealed_artifact_is_signed_as_its_plain_file(world, keys, sidecar):
    path, out = world.root / "tables/m.onnx", world.root / "outside/m.sig"
    world.store.dump(DATA, path, sidecar=sidecar)
    info = world.store.export_signature(path, keys[0], out)
    assert info == world.store.inspect(path)
    verify(out.read_bytes(), keys)
    world.store.verify_signature(path, Signature(out, keys[1]))
    with pytest.raises(FileExistsError):
        world.store.export_signature(path, keys[0], out)
    world.store.dump(b"another", path, sidecar=sidecar)
    with pytest.raises(Tampered, match="not those that were signed"):
        world.store.verify_signature(path, Signature(out, keys[1]))


def test_what_is_not_authentic_is_not_signed(world, keys):
    path, out = world.root / "tables/m.onnx", world.root / "outside/m.sig"
    path.write_bytes(DATA)
    with pytest.raises(NotSealed):
        world.store.export_signature(path, keys[0], out)
    world.store.seal(path, sidecar=True)
    old = path.read_bytes(), path.with_name("m.onnx.sfh").read_bytes()
    path.write_bytes(DATA[:-1] + b"!")
    with pytest.raises(Tampered):
        world.store.export_signature(path, keys[0], out)
    path.write_bytes(DATA)
    world.store.renew(path)
    path.with_name("m.onnx.sfh").write_bytes(old[1])
    with pytest.raises(Rollback):
        world.store.export_signature(path, keys[0], out)
    assert not out.exists()


def test_the_digest_is_of_the_bytes_that_were_verified(world, keys, monkeypatch):
    """The file is exchanged after it was verified and before anything is signed."""
    path, out = world.root / "tables/m.onnx", world.root / "outside/m.sig"
    world.store.dump(DATA, path, sidecar=True)
    real = bundle.signed

    def exchanged(data: Any, *rest: Any) -> bytes:
        path.write_bytes(b"somebody else's bytes")
        return real(data, *rest)

    monkeypatch.setattr(bundle, "signed", exchanged)
    world.store.export_signature(path, keys[0], out)
    verify(out.read_bytes(), keys)


def test_only_one_plain_file_is_signed(world, keys):
    path, out = world.root / "models/a.pkl", world.root / "outside/m.sig"
    path.write_bytes(pickle.dumps(1) + pickle.dumps(2))
    world.store.seal(path)
    with pytest.raises(DecodeError, match="2 containers"):
        world.store.export_signature(path, keys[0], out)
    world.store.dump([pickle.PickleBuffer(bytearray(10))], path)
    with pytest.raises(DecodeError, match="not a plain file"):
        world.store.export_signature(path, keys[0], out)


def test_a_trail_that_refuses_leaves_no_signature(world, keys):
    path, out = world.root / "tables/m.onnx", world.root / "outside/m.sig"
    world.store.dump(DATA, path, sidecar=True)
    world.events.broken = True
    with pytest.raises((TrailError, SafeholdError)):
        world.store.export_signature(path, keys[0], out)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("sidecar", [True, False])
def test_a_foreign_file_is_sealed_only_as_it_was_signed(world, keys, sidecar):
    path, signature = world.root / "tables/m.onnx", world.root / "outside/m.sig"
    signature.write_bytes(json.dumps(signed(keys)).encode())
    path.write_bytes(DATA[:-1] + b"!")
    wanted = Signature(signature, keys[1])
    with pytest.raises(Tampered):
        world.store.seal(path, sidecar=sidecar, signature=wanted)
    assert path.read_bytes() == DATA[:-1] + b"!"
    assert [item.name for item in path.parent.iterdir()] == ["m.onnx"]
    path.write_bytes(DATA)
    world.store.seal(path, sidecar=sidecar, signature=wanted)
    assert world.store.load(path) == DATA
    world.store.verify_signature(path, wanted)
