"""`GMAC`: a GMAC tag for each chunk (NIST SP 800-38D), HMAC-SHA256 as root.

The tags need the key, which is the file's own: the nonce of a chunk is its number, and no
other file has the same artifact id. A chunk of 2**16 blocks is forged with a chance of 2**-112.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehold.artifacts.suites import Secret, context
from safehold.artifacts.suites.parts import MacRoot
from safehold.sfh1 import Buffer


class _Suite(MacRoot):
    def __init__(self, keys: bytes) -> None:
        super().__init__(keys[:32])
        self._tag = AESGCM(keys[32:]).encrypt

    def seal(self, index: int, chunk: Buffer) -> tuple[Buffer, bytes]:
        return chunk, self._tag(index.to_bytes(12, "big"), b"", chunk)

    def open(self, index: int, stored: memoryview, leaf: Buffer, into: memoryview) -> bool:  # noqa: ARG002
        return hmac.compare_digest(self._tag(index.to_bytes(12, "big"), b"", stored), leaf)


def open_suite(key: Secret, zone: str, artifact: bytes) -> _Suite:
    """Derive the keys of the root and of the chunks."""
    return _Suite(key.derive(context(key, zone), artifact, 64))
