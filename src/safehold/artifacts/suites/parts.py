"""What several suites share: digests as leaves, and an HMAC as root."""

from __future__ import annotations

import hmac
from hashlib import sha256

from safehold.sfh1 import Buffer


class DigestLeaves:
    """SHA-256 of each chunk. It has no key, so the root can be made again without the payload."""

    def seal(self, index: int, chunk: Buffer) -> tuple[Buffer, bytes]:  # noqa: ARG002
        """Store a chunk as it is."""
        return chunk, sha256(chunk).digest()

    def open(self, index: int, stored: memoryview, leaf: Buffer, into: memoryview) -> bool:  # noqa: ARG002
        """Compare the digest. SHA-256 lets other threads run meanwhile."""
        return hmac.compare_digest(sha256(stored).digest(), leaf)


class MacRoot:
    """HMAC-SHA256, which also commits to the key: no container verifies under two of them.

    Tags of AES-GCM do not; whoever knows two keys finds bytes that verify under both.
    """

    def __init__(self, root_key: bytes) -> None:
        self._root_key = root_key

    def root(self, head: bytes, leaves: Buffer) -> bytes:
        """Return the root."""
        return hmac.digest(self._root_key, head + leaves, "sha256")

    def is_root(self, root: Buffer, head: bytes, leaves: Buffer) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.root(head, leaves), root)
