"""`HS256`: SHA-256 of each chunk, HMAC-SHA256 as root. The default."""

from __future__ import annotations

from safehold.artifacts.suites import Secret, context
from safehold.artifacts.suites.parts import DigestLeaves, MacRoot


class _Suite(DigestLeaves, MacRoot):
    pass


def open_suite(key: Secret, zone: str, artifact: bytes) -> _Suite:
    """Derive the key of the root."""
    return _Suite(key.derive(context(key, zone), artifact))
