"""Ed25519 key pairs as texts: PEM, or 64 hexadecimal digits behind the word for what they are.

Both halves of a pair have 64 digits. Without the word a public key could pass for a private
one, and everybody could sign with it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE = "ed25519-private:"
PUBLIC = "ed25519-public:"
_HEX = re.compile(r"[0-9a-fA-F]{64}")
# y coordinates of the points of small order, whose signatures hold for any message; also as
# values beyond the field's size (see "Taming the many EdDSAs", 2020, table 1).
_FIELD = 2**255 - 19
_EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _FIELD - 1, _FIELD, _FIELD + 1, _EIGHTH, _FIELD - _EIGHTH})


class Pair(NamedTuple):
    """The halves of a key pair; a server has no private one."""

    private: Ed25519PrivateKey | None
    public: Ed25519PublicKey

    def spelled(self) -> bytes:
        """Return the bytes of the private half, empty if there is none."""
        return b"" if self.private is None else self.private.private_bytes_raw()


class Texts(NamedTuple):
    """A new pair as text, in one line each and as PEM."""

    private: str
    public: str
    private_pem: str
    public_pem: str


def is_pair_text(secret: bytes) -> bool:
    """Say whether bytes are a PEM file or one half of a pair: no secret for another suite."""
    return b"-----BEGIN " in secret or secret.startswith((PRIVATE.encode(), PUBLIC.encode()))


def parse_pair(secret: bytes) -> Pair | None:
    """Read one half of a pair; None for anything else.

    That includes public keys of small order, and those in another form than RFC 8032 has.
    """
    pair = _parsed(secret)
    if pair is None:
        return None
    point = pair.public.public_bytes_raw()
    return None if is_of_small_order(point) or _y(point) >= _FIELD else pair


def is_of_small_order(point: bytes) -> bool:
    """Say whether an encoded point has small order; in a signature only its signer can put one."""
    return _y(point) in _SMALL_ORDER


def _y(point: bytes) -> int:
    return int.from_bytes(point, "little") & (2**255 - 1)


def _parsed(secret: bytes) -> Pair | None:
    text = secret.decode("ascii", "replace").strip()
    for word in (PRIVATE, PUBLIC):
        digits = text.removeprefix(word)
        if digits == text or not _HEX.fullmatch(digits):
            continue
        if word is PUBLIC:
            return Pair(None, Ed25519PublicKey.from_public_bytes(bytes.fromhex(digits)))
        return _whole(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(digits)))
    try:
        if "-----BEGIN PUBLIC KEY-----" in text:
            public = forms.load_pem_public_key(secret)
            return Pair(None, public) if isinstance(public, Ed25519PublicKey) else None
        private = forms.load_pem_private_key(secret, None)
        return _whole(private) if isinstance(private, Ed25519PrivateKey) else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _whole(private: Ed25519PrivateKey) -> Pair:
    return Pair(private, private.public_key())


def generate_pair() -> Texts:
    """Return a new key pair."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    return Texts(
        PRIVATE + private.private_bytes_raw().hex(),
        PUBLIC + public.public_bytes_raw().hex(),
        private.private_bytes(
            forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
        ).decode(),
        public.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo).decode(),
    )
