"""What says that head and leaves of a container are authentic: its root, and slots if it has them.

Nothing is parsed here but the prefix's fixed-width numbers and the slots' fixed fields.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from safehold.artifacts.slots import Bound, Slots, head_digest, open_slots
from safehold.artifacts.suites import Suite, suite_for
from safehold.errors import Revoked, Tampered, UnknownKey, VerificationError, WrongContext
from safehold.keys import Key, Keyring
from safehold.sfh1 import END, SLOTS, SLOTTED_TEXT, Buffer, Shape

Reread = Callable[[], Buffer]
"""Reads the sectors of both slots again."""

_REREADS = 3
_PAUSE = 0.0005


@dataclass(frozen=True, slots=True)
class Expected:
    """What the opened file must be: which keys, which zone, and how large at most.

    ``others`` are the policy's further zones, tried only to explain a failure. Artifacts whose ids
    are in ``refused`` are revoked. Keys that are revoked count only if ``revoked`` says so.
    """

    keyring: Keyring
    zone: str
    limit: int
    others: Sequence[str] = ()
    refused: frozenset[bytes] = frozenset()
    revoked: bool = False


class Proof(NamedTuple):
    """The key that says so, the keys of root and chunks, and the slots of a file that has them."""

    key: Key
    suite: Suite
    slots: Slots | None


class _Read(NamedTuple):
    shape: Shape
    digest: bytes
    leaves: bytes
    root: Buffer


def verify_root(
    shape: Shape,
    head: Buffer,
    tail: Buffer,
    expected: Expected,
    reread: Reread | None = None,
    *,
    repair: bool = False,
) -> Proof:
    """Verify that head and leaves are authentic; with `repair` one of two slots may be broken.

    Raises:
        UnknownKey, WrongContext, Tampered, Revoked
    """
    proof = _authentic(shape, head, tail, expected, reread, repair=repair)
    if shape.artifact in expected.refused:
        message = f"artifact {shape.artifact.hex()} is revoked by the policy; replace the file"
        raise Revoked(message)
    return proof


def _authentic(
    shape: Shape,
    head: Buffer,
    tail: Buffer,
    expected: Expected,
    reread: Reread | None,
    *,
    repair: bool,
) -> Proof:
    end = shape.leaves + shape.root
    leaves, root = bytes(tail[: shape.leaves]), tail[shape.leaves : end]
    if shape.slotted:
        read = _Read(shape, head_digest(head), leaves, root)
        if tail[end:] != END:
            message = "the container's last bytes were changed"
            raise Tampered(message)
        return _verify_slots(
            read, bytes(head[SLOTS[0] : SLOTTED_TEXT]), expected, reread, repair=repair
        )
    key = expected.keyring.by_tag(shape.tag, revoked=expected.revoked)
    if shape.suite.name != key.suite:
        message = f"key {key.id!r} is bound to suite {key.suite}, the file claims another"
        raise Tampered(message)
    digest = sha256(head).digest()
    suite = suite_for(key, expected.zone, shape.artifact)
    if not suite.is_root(root, digest, leaves) or tail[end:] != END:
        for zone in expected.others:
            if suite_for(key, zone, shape.artifact).is_root(root, digest, leaves):
                raise _of_another_zone(zone, expected)
        message = f"the seal does not match the bytes (key {key.id!r}, zone {expected.zone!r})"
        raise Tampered(message)
    return Proof(key, suite, None)


def _verify_slots(
    read: _Read, sectors: bytes, expected: Expected, reread: Reread | None, *, repair: bool
) -> Proof:
    """Verify slots and root.

    A slot that is just being written may be read half old and half new, so that one which does
    not open is read again. Whatever is read must be genuine all the same.
    """
    left = 0 if reread is None else _REREADS
    while True:
        try:
            return _proof(read, sectors, expected, expected.zone, repair=repair)
        except (Tampered, UnknownKey) as error:
            failure = error
        if reread is None or not left:
            break
        left -= 1
        time.sleep(_PAUSE)
        sectors = bytes(reread())
    for zone in expected.others:
        try:
            _proof(read, sectors, expected, zone, repair=False)
        except VerificationError:
            continue
        raise _of_another_zone(zone, expected)
    raise failure


def _proof(read: _Read, sectors: bytes, expected: Expected, zone: str, *, repair: bool) -> Proof:
    shape, digest, leaves, root = read
    bound = Bound(zone, digest, leaves)
    slots = open_slots(
        sectors,
        shape.suite.name,
        bound,
        expected.keyring,
        revoked=expected.revoked,
        repair=repair,
    )
    suite = suite_for(slots.file_key or slots.key, zone, shape.artifact)
    # A wrapped key does not commit: who knows two keys makes a slot that opens under both, but
    # the root is right for one file key alone. A signature needs no root beside it.
    if slots.file_key is not None and not suite.is_root(root, digest, leaves):
        message = f"the seal does not match the bytes (key {slots.key.id!r}, zone {zone!r})"
        raise Tampered(message)
    return Proof(slots.key, suite, slots)


def _of_another_zone(zone: str, expected: Expected) -> WrongContext:
    return WrongContext(f"sealed for zone {zone!r}, used in zone {expected.zone!r}")
