"""`BLAKE3`: keyed BLAKE3 of each chunk, HMAC-SHA256 as root. Needs the extra `blake3`.

The key of the leaves is the file's own. BLAKE3 lets other threads run, as SHA-256 does.
"""

from __future__ import annotations

import hmac

from safehold.artifacts.suites import Secret, context
from safehold.artifacts.suites.parts import MacRoot
from safehold.errors import MissingExtra
from safehold.sfh1 import Buffer

try:
    from blake3 import blake3
except ImportError as error:
    package = "blake3"
    raise MissingExtra(package, "blake3") from error


class _Suite(MacRoot):
    def __init__(self, keys: bytes) -> None:
        super().__init__(keys[:32])
        self._leaf_key = keys[32:]

    def seal(self, index: int, chunk: Buffer) -> tuple[Buffer, bytes]:  # noqa: ARG002
        return chunk, blake3(chunk, key=self._leaf_key).digest()

    def open(self, index: int, stored: memoryview, leaf: Buffer, into: memoryview) -> bool:  # noqa: ARG002
        return hmac.compare_digest(blake3(stored, key=self._leaf_key).digest(), leaf)


def open_suite(key: Secret, zone: str, artifact: bytes) -> _Suite:
    """Derive the keys of the root and of the leaves."""
    return _Suite(key.derive(context(key, zone), artifact, 64))
