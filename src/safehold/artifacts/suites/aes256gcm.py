"""`AES256GCM`: each chunk encrypted with AES-256-GCM, HMAC-SHA256 as root.

The header stays readable, the payload does not. Keys and nonces are those of one file, as in
`GMAC`; the root commits to them, which AES-GCM itself does not.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehold.artifacts.suites import Secret, context
from safehold.artifacts.suites.parts import MacRoot
from safehold.sfh1 import SUITES, Buffer

_TAG = SUITES["AES256GCM"].leaf


class _Suite(MacRoot):
    def __init__(self, keys: bytes) -> None:
        super().__init__(keys[:32])
        self._cipher = AESGCM(keys[32:])

    def seal(self, index: int, chunk: Buffer) -> tuple[Buffer, bytes]:
        stored = bytearray(len(chunk) + _TAG)
        self._cipher.encrypt_into(index.to_bytes(12, "big"), chunk, None, stored)
        view = memoryview(stored)
        return view[:-_TAG], bytes(view[-_TAG:])

    def open(self, index: int, stored: memoryview, leaf: Buffer, into: memoryview) -> bool:
        stored[-_TAG:] = leaf
        try:
            self._cipher.decrypt_into(index.to_bytes(12, "big"), stored, None, into)
        except InvalidTag:
            return False
        return True


def open_suite(key: Secret, zone: str, artifact: bytes) -> _Suite:
    """Derive the keys of the root and of the chunks."""
    return _Suite(key.derive(context(key, zone), artifact, 64))
