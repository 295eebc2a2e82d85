"""Signatures in the format of OpenSSF model-signing 1: a Sigstore bundle under an EC key.

    bundle      JSON: a hint at the public key, and a DSSE envelope
    envelope    Base64 of the statement, its media type, one ECDSA signature over both
    statement   in-toto JSON: the name of the model, and the digest of each of its files

Written and read with `cryptography` alone, since the package hashes a path and we sign bytes that
were verified. Keyless signatures of Sigstore and certificates are not read, and neither are files
that were signed in shards.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec

from safehold.errors import ConfigError, Tampered, UnknownKey
from safehold.paths import StrPath
from safehold.policy.lines import read_regular
from safehold.sfh1 import Buffer

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
SINGLE = "."  # the name of the one file of a model that is a file

# Curve -> the hash that goes with it, in the format's own table.
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_DIGESTS: Mapping[str, Callable[[Buffer], Any]] = {
    "sha256": hashlib.sha256,
    "blake2b": hashlib.blake2b,
}


class _Sig(msgspec.Struct):
    sig: bytes


class _Envelope(msgspec.Struct, rename="camel"):
    payload: bytes
    payload_type: str
    signatures: list[_Sig]


class _PublicKey(msgspec.Struct):
    hint: str | None = None


class _Material(msgspec.Struct, rename="camel"):
    public_key: _PublicKey


class _Bundle(msgspec.Struct, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope


class _Digest(msgspec.Struct):
    sha256: str


class _Subject(msgspec.Struct):
    name: str
    digest: _Digest


class _Resource(msgspec.Struct):
    name: str
    algorithm: str
    digest: str


class _Serialization(msgspec.Struct):
    method: str


class _Predicate(msgspec.Struct):
    serialization: _Serialization
    resources: list[_Resource]


class _Statement(msgspec.Struct, rename="camel"):
    kind: str = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate_type: str
    predicate: _Predicate


class Signature(NamedTuple):
    """A file that model-signing wrote, and the public key, in PEM, that it must be under."""

    file: StrPath
    key_file: StrPath

    def verify(self, data: Buffer, name: str) -> None:
        """Check that these bytes were signed. Raises as `verify_signed`; ConfigError."""
        verify_signed(_read(self.file), data, name, load_public_key(self.key_file))


def load_private_key(file: StrPath) -> ec.EllipticCurvePrivateKey:
    """Read a private key of one of the format's curves, in PEM. Raises ConfigError."""
    try:
        key = forms.load_pem_private_key(_read(file), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(file, "private") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _HASHES:
        raise _no_key(file, "private")
    return key


def load_public_key(file: StrPath) -> ec.EllipticCurvePublicKey:
    """Read a public key of one of the format's curves, in PEM. Raises ConfigError."""
    try:
        key = forms.load_pem_public_key(_read(file))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(file, "public") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise _no_key(file, "public")
    return key


def _read(file: StrPath) -> bytes:
    """Return the first mebibyte of a file, which is more than a key or a bundle has."""
    try:
        return read_regular(Path(os.fsdecode(file)))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{os.fsdecode(file)} cannot be read: {reason}"
        raise ConfigError(message) from error


def _no_key(file: StrPath, kind: str) -> ConfigError:
    curves = ", ".join(_HASHES)
    return ConfigError(
        f"{os.fsdecode(file)} is no {kind} key of {curves} in PEM without a password; "
        f"make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
    )


def signed(data: Buffer, name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the bundle of a model that is one file with these bytes."""
    digest = hashlib.sha256(data).digest()
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": hashlib.sha256(digest).hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [],
            },
            "resources": [{"name": SINGLE, "algorithm": "sha256", "digest": digest.hex()}],
        },
    }
    payload = json.dumps(statement).encode()
    signature = key.sign(_encoded(payload), ec.ECDSA(_HASHES[key.curve.name]))
    bundle: dict[str, Any] = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": _hint(key.public_key())},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode()


def verify_signed(bundle: Buffer, data: Buffer, name: str, key: ec.EllipticCurvePublicKey) -> None:
    """Check that a bundle is under this key, and of these bytes.

    A bundle of a directory is taken for a file directly in it that is called `name`.

    Raises:
        UnknownKey: it names another key. Tampered: anything else does not hold.
    """
    statement = _statement(bundle, key)
    wanted = {SINGLE, name}
    found = [item for item in statement.predicate.resources if item.name in wanted]
    if len(found) != 1:
        message = f"the signature is of {len(found)} files called {name}, not of one"
        raise Tampered(message)
    algorithm = _DIGESTS.get(found[0].algorithm)
    if algorithm is None:
        message = f"the signature uses {found[0].algorithm!r}; sign with sha256"
        raise Tampered(message)
    if not hmac.compare_digest(algorithm(data).hexdigest(), found[0].digest.lower()):
        message = f"the bytes of {name} are not those that were signed"
        raise Tampered(message)


def _statement(bundle: Buffer, key: ec.EllipticCurvePublicKey) -> _Statement:
    """Verify the envelope, then parse what it holds."""
    try:
        parsed = msgspec.json.decode(bundle, type=_Bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = f"not a bundle of model-signing under an EC key: {error}"
        raise Tampered(message) from error
    envelope, hint = parsed.dsse_envelope, parsed.verification_material.public_key.hint
    kinds = (parsed.media_type, envelope.payload_type, len(envelope.signatures))
    if kinds != (MEDIA_TYPE, PAYLOAD_TYPE, 1):
        message = f"not a bundle of model-signing 1 with one signature: {kinds}"
        raise Tampered(message)
    if hint and hint != _hint(key):
        message = f"signed with another key than the one given; its hint is {hint[:64]!r}"
        raise UnknownKey(message)
    try:
        key.verify(
            envelope.signatures[0].sig,
            _encoded(envelope.payload),
            ec.ECDSA(_HASHES[key.curve.name]),
        )
    except InvalidSignature as error:
        message = "the signature does not match its statement and the key"
        raise Tampered(message) from error
    try:
        statement = msgspec.json.decode(envelope.payload, type=_Statement)
        digests = [bytes.fromhex(item.digest) for item in statement.predicate.resources]
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        message = f"the signed statement is not one of model-signing 1: {error}"
        raise Tampered(message) from error
    _check_statement(statement, hashlib.sha256(b"".join(digests)).hexdigest())
    return statement


def _check_statement(statement: _Statement, digest: str) -> None:
    kinds = (statement.kind, statement.predicate_type, statement.predicate.serialization.method)
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE, "files"):
        message = f"signed is {kinds}; sign a model with file serialization"
        raise Tampered(message)
    if [subject.digest.sha256 for subject in statement.subject] != [digest]:
        message = "the digests of the signed statement do not make that of its model"
        raise Tampered(message)


def _encoded(payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )


def _hint(key: ec.EllipticCurvePublicKey) -> str:
    pem = key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()
