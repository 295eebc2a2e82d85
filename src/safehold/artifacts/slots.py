"""Two slots in the head of a large file: its key changes while its payload stays.

    slot      72 bytes   key tag (8), then what that key says of the file (64), see `Bound`
    zeros                to the end of the sector

What a key of suite ED25519 says is a signature. Another one wraps the file's own key, from
which root and chunks have theirs: salt (16), and AES-256-GCM of the file key (48) whose associated
data is what a signature would sign. Its nonce is zero, since no two salts make the same wrap key.

Both slots must open, under listed keys, and give one file key. In between two rotations they are
the same; a rotation that was killed leaves one under the old key, which is listed then.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, NoReturn, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from safehold.errors import Tampered, UnknownKey
from safehold.keys import Key, Keyring
from safehold.sfh1 import SECTOR, SLOTS, SLOTTED_TEXT, SUITES, Buffer

SLOT_BYTES = 72
_TAG, _SALT = 8, 16
_NONCE = bytes(12)
_SHA256 = SHA256()
_REST = bytes(SECTOR - SLOT_BYTES)

Random = Callable[[int], bytes]


class FileKey:
    """The secret of one file; hands out subkeys or its wrapped form, never itself."""

    __slots__ = ("__secret", "suite")

    def __init__(self, suite: str, secret: bytes) -> None:
        self.suite = suite
        self.__secret = secret

    @classmethod
    def new(cls, suite: str, random: Random = os.urandom) -> Self:
        """Return a new one."""
        return cls(suite, random(32))

    def derive(self, info: bytes, salt: bytes | None = None, length: int = 32) -> bytes:
        """Return an HKDF-SHA256 subkey (RFC 5869), as `Key.derive` does."""
        kdf = HKDF(algorithm=_SHA256, length=length, salt=salt, info=info)
        return kdf.derive(self.__secret)

    def wrapped(self, wrap_key: bytes, bound: bytes) -> bytes:
        """Return it encrypted, for a wrap key that is used this once."""
        return AESGCM(wrap_key).encrypt(_NONCE, self.__secret, bound)

    @classmethod
    def unwrapped(cls, suite: str, wrap_key: bytes, wrapped: bytes, bound: bytes) -> Self | None:
        """Return what was wrapped; None when that is not genuine."""
        try:
            return cls(suite, AESGCM(wrap_key).decrypt(_NONCE, wrapped, bound))
        except InvalidTag:
            return None

    def is_same(self, other: FileKey) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.__secret, other.__secret)

    def __getstate__(self) -> NoReturn:
        message = "a file key cannot be pickled or copied"
        raise TypeError(message)


class Bound(NamedTuple):
    """What a slot speaks of: zone, hash of the head without slots, leaves.

    Were it the artifact's id alone, whoever had unwrapped the file key by an older key could
    put another header under the slots of the newer one.
    """

    zone: str
    head: bytes
    leaves: bytes

    def under(self, key: Key) -> bytes:
        """Return the bytes that a key authenticates; its tag is among them."""
        return key.tag + self.head + self.leaves


class Slots(NamedTuple):
    """Two slots, at least one of which holds.

    ``key`` is the one by which the file is known, the older of the two while it is rotated;
    ``keys`` is that of each slot, None for one that does not open.
    """

    key: Key
    keys: tuple[Key | None, Key | None]
    file_key: FileKey | None
    bound: Bound
    sectors: bytes

    def sector(self, key: Key) -> bytes:
        """Return a slot of a key, the one that is there if there is one.

        Raises:
            ConfigError: the key is a public one.
        """
        for start, known in zip((0, SECTOR), self.keys, strict=True):
            if known is key:
                return self.sectors[start : start + SECTOR]
        return slot_sector(key, self.bound, self.file_key)

    def others(self, key: Key) -> list[int]:
        """Return the positions of the slots of other keys; first one that does not open.

        That other one is needed until this one is written.
        """
        rows = zip(SLOTS, self.keys, strict=True)
        broken_first = sorted(rows, key=lambda row: row[1] is not None)
        return [position for position, known in broken_first if known is not key]


def new_file_key(key: Key, random: Random = os.urandom) -> FileKey | None:
    """Return a new file key for a key's suite; None for one that signs."""
    return None if SUITES[key.suite].signs else FileKey.new(key.suite, random)


def slot_sector(
    key: Key, bound: Bound, file_key: FileKey | None, random: Random = os.urandom
) -> bytes:
    """Return a slot in its sector. Raises ConfigError for a public key."""
    message = bound.under(key)
    if file_key is None:
        slot = key.tag + key.sign(_info("slot", key, bound) + b"\0" + message)
    else:
        salt = random(_SALT)
        wrap_key = key.derive(_info("wrap", key, bound), salt)
        slot = key.tag + salt + file_key.wrapped(wrap_key, message)
    return slot + _REST


def head_digest(head: Buffer) -> bytes:
    """Return the hash of a slotted file's head, in which both slots are zeros."""
    view = memoryview(head)
    digest = sha256(view[: SLOTS[0]])
    digest.update(bytes(len(SLOTS) * SECTOR))
    digest.update(view[SLOTTED_TEXT:])
    return digest.digest()


def open_slots(
    sectors: bytes,
    suite: str,
    bound: Bound,
    keyring: Keyring,
    *,
    revoked: bool = False,
    repair: bool = False,
) -> Slots:
    """Open both slots; with `repair` one is enough. Revoked keys count if `revoked` says so.

    Raises:
        UnknownKey, Tampered: of the first slot that does not open.
    """
    first, second = sectors[:SECTOR], sectors[SECTOR:]
    opened: list[tuple[Key, FileKey | None] | None] = []
    errors: list[UnknownKey | Tampered] = []
    for sector in (first,) if first == second else (first, second):
        try:
            key = keyring.by_tag(sector[:_TAG], revoked=revoked)
            opened.append((key, _open(sector, suite, bound, key)))
        except (UnknownKey, Tampered) as error:
            opened.append(None)
            errors.append(error)
    found = [one for one in opened if one is not None]
    # A slot of a revoked key is not broken: its file key is known to others.
    is_torn = not any(keyring.is_revoked(at[:_TAG]) for at in (first, second)) or revoked
    if not found or (errors and not (repair and is_torn)):
        raise errors[0]
    if len(found) == 2 and not _is_same(found[0][1], found[1][1]):
        message = "the slots hold different file keys"
        raise Tampered(message)
    keys = [None if one is None else one[0] for one in opened]
    key = keyring.older(found[0][0], found[-1][0])
    return Slots(key, (keys[0], keys[-1]), found[0][1], bound, sectors)


def _open(sector: bytes, suite: str, bound: Bound, key: Key) -> FileKey | None:
    """Return the file key, None for a signature that holds. Raises Tampered."""
    rest = sector[_TAG:SLOT_BYTES]
    if key.suite != suite:
        message = f"key {key.id!r} is bound to suite {key.suite}, the file claims another"
        raise Tampered(message)
    file_key, genuine = None, sector[SLOT_BYTES:] == _REST
    if not genuine:
        pass
    elif SUITES[suite].signs:
        genuine = key.is_signature(rest, _info("slot", key, bound) + b"\0" + bound.under(key))
    else:
        wrap_key = key.derive(_info("wrap", key, bound), rest[:_SALT])
        file_key = FileKey.unwrapped(suite, wrap_key, rest[_SALT:], bound.under(key))
        genuine = file_key is not None
    if not genuine:
        message = (
            f"the seal does not match the bytes (a slot of key {key.id!r}, zone {bound.zone!r}); "
            f"if a rotation was cut off by a power loss, see: safehold rotate --repair"
        )
        raise Tampered(message)
    return file_key


def _is_same(one: FileKey | None, other: FileKey | None) -> bool:
    if one is None or other is None:  # signatures, both of which hold
        return one is other
    return one.is_same(other)


def _info(use: str, key: Key, bound: Bound) -> bytes:
    return f"safehold/SFH1/{use}/{key.suite}/{bound.zone}".encode()
