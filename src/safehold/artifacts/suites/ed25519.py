"""`ED25519`: SHA-256 of each chunk, an Ed25519 signature (RFC 8032) as root.

Whoever trains has the private key, whoever loads the public one. GMAC tags would not do as
leaves here: a reader that knew their key could make other bytes with the same tags.
"""

from __future__ import annotations

from safehold.artifacts.suites import context
from safehold.artifacts.suites.parts import DigestLeaves
from safehold.keys import Key
from safehold.sfh1 import Buffer


class _Suite(DigestLeaves):
    def __init__(self, key: Key, zone: str) -> None:
        self._key = key
        self._context = context(key, zone) + b"\0"  # no zone's name holds a NUL

    def root(self, head: bytes, leaves: Buffer) -> bytes:
        return self._key.sign(self._context + head + leaves)

    def is_root(self, root: Buffer, head: bytes, leaves: Buffer) -> bool:
        return self._key.is_signature(bytes(root), self._context + head + leaves)


def open_suite(key: Key, zone: str, artifact: bytes) -> _Suite:  # noqa: ARG001  (the head has it)
    """Bind a key to the zone."""
    return _Suite(key, zone)
