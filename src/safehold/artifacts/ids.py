"""Artifact ids: random, but for small bytes without a path, whose seal is equal for equal values.

Programs look values up by their pickle: keys of caches, columns with a unique index. An id that
follows from the content keeps that true: whoever sees two such seals sees whether they hold the
same, which plain payloads show anyway. Encrypted ones get random ids.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256

from safehold import sfh1
from safehold.artifacts.container import Header, Segment
from safehold.artifacts.target import Target
from safehold.keys import Key

_LENGTH = 16
_LARGEST = 2**23
"""Keys are rarely larger; of values the content would be hashed twice."""
_PLAIN_SECRET = frozenset({"HS256", "GMAC", "BLAKE3"})
"""Not AES256GCM, and not ED25519: of a key pair nothing secret can be derived."""


def is_equal(target: Target, key: Key, segments: Sequence[Segment]) -> bool:
    """Say whether equal values get equal bytes."""
    size = sum(length for length, _ in segments)
    return not target.name and size <= _LARGEST and key.suite in _PLAIN_SECRET


def new_id(header: Header, segments: Sequence[Segment], key: Key, *, equal: bool) -> bytes:
    """Return a random id, or for an `equal` container the one that belongs to its content.

    It is drawn with the key: two contents under one id would be sealed with the same subkeys.
    """
    if not equal:
        return os.urandom(_LENGTH)
    digest = sha256(sfh1.encode_header(header))
    for _, pieces in segments:
        for piece in pieces:
            digest.update(piece)
    return key.derive(b"safehold artifact id", digest.digest(), _LENGTH)
