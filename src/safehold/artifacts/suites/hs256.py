"""`HS256`: SHA-256 of each chunk, HMAC-SHA256 as root. The default."""

from __future__ import annotations

from safehold.artifacts.suites import context
from safehold.artifacts.suites.parts import DigestLeaves, MacRoot
from safehold.keys import Key


class _Suite(DigestLeaves, MacRoot):
    pass


def open_suite(key: Key, zone: str, artifact: bytes) -> _Suite:
    """Derive the key of the root."""
    return _Suite(key.derive(context(key, zone), artifact))
