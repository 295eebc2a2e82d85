"""The chain of a trail's lines: keys, macs, and what the state says of them.

``mac = BLAKE2b-256(key=K_i, previous mac || line up to the mac)`` and
``K_{i+1} = BLAKE2b-256(K_i)``: who reads the writer's files later cannot rewrite what was
recorded before. K_0 is derived from the root key and the writer's id, so that verification
needs the root key alone.
"""

from __future__ import annotations

import os
import secrets
import struct
from hashlib import blake2b
from typing import Final

from safehold.credentials.traces import traces_of
from safehold.keys import Key

VERSION: Final = 1
START: Final = b"\x00" * 32
"""The "previous mac" of a writer's first line."""
STATE: Final = struct.Struct("<Q32s")
"""Lines written and the current key, or lines on disk and the proof of them."""
STATE_SLOTS: Final = 2
STATE_BYTES: Final = 2 * STATE_SLOTS * STATE.size
"""First the slots of what is written, then those of what is on disk."""


def next_key(key: bytes) -> bytes:
    """Return K_{i+1}; nobody gets back from it to K_i."""
    state = _NEXT.copy()  # faster than to say its parameters anew
    state.update(key)
    return state.digest()


def key_after(key: bytes, steps: int) -> bytes:
    """Return what so many steps of `next_key` come to, in less time."""
    new = _NEXT.copy
    for _ in range(steps):
        state = new()
        state.update(key)
        key = state.digest()
    return key


_NEXT: Final = blake2b(digest_size=32, person=b"sfh-trail-next")


def line_mac(key: bytes, previous: bytes, body: bytes) -> bytes:
    """Return the mac of a line, chained to the one before."""
    return blake2b(previous + body, key=key, digest_size=32).digest()


def on_disk(key: bytes, count: int) -> bytes:
    """Return the proof that so many lines are on disk, which needs K_count."""
    number = count.to_bytes(8, "little")
    return blake2b(number, key=key, digest_size=32, person=b"sfh-trail-sync").digest()


def first_key(key: Key | LentKey, writer: str) -> bytes:
    """Return K_0 of a writer; one with a lent key has its number at the end of its name."""
    if isinstance(key, LentKey):
        return key.first(writer)
    number = writer.split("-")[3:]
    if number:
        return lent_key(key, number[0]).first(writer)
    return key.derive(b"safehold/trail/v1/" + os.fsencode(writer))


class LentKey:
    """What a process writes a trail of its own with that is not given the root key.

    It opens no other writer's trail and nothing that is sealed.
    """

    def __init__(self, text: str) -> None:
        """`text` is what `lend` returned. Raises ValueError."""
        self.id, self.number, secret = text.rsplit(":", 2)
        self._secret = bytes.fromhex(secret)

    def first(self, writer: str) -> bytes:
        """Return K_0 of a writer."""
        return blake2b(os.fsencode(writer), key=self._secret, digest_size=32).digest()

    @property
    def local(self) -> LentKey:
        """Return itself, in a keyring's place."""
        return self

    def traces(self) -> frozenset[int]:
        """Return what its secret is known by in a text, see `Key.traces`."""
        return traces_of(self._secret)

    def __repr__(self) -> str:
        return f"LentKey(id={self.id!r}, number={self.number!r})"


def lend(key: Key) -> str:
    """Return text that makes a `LentKey`; it is secret, but for what that key can do alone."""
    return _lent(key, secrets.token_hex(8))


def lent_key(key: Key, number: str) -> LentKey:
    """Return the key that was lent under a number."""
    return LentKey(_lent(key, number))


def _lent(key: Key, number: str) -> str:
    secret = key.derive(b"safehold/trail/v1/lent/" + number.encode())
    return f"{key.id}:{number}:{secret.hex()}"


def segment_name(number: int) -> str:
    """Return the file name of a segment, counted from 1."""
    return f"{number:06}.jsonl"
