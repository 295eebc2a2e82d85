"""Keys: where they come from, how strong they must be, which one signs.

The newest key signs, every listed key verifies. Secrets never show in ``repr``, logs,
pickles or in the local variables of a frame that raises.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from safehold.errors import ConfigError, UnknownKey, WeakKey
from safehold.keys.sources import Environment, read_source
from safehold.keys.strength import MIN_KEY_BYTES, weakness

__all__ = ["MIN_KEY_BYTES", "Environment", "Key", "Keyring", "generate_key", "weakness"]

_TAG_BYTES = 8
_SHA256 = SHA256()


class Key:
    """One named secret; hands out derived subkeys, never itself.

    A key is bound to one suite: what it signs cannot be passed off as another suite's.
    """

    __slots__ = ("__secret", "id", "suite", "tag")

    def __init__(
        self, key_id: str, secret: bytes, suite: str = "HS256", *, source: str = ""
    ) -> None:
        """Check the secret's strength and keep it; `source` is for the message alone.

        Raises:
            WeakKey: the secret could be guessed; says why, without showing it.
        """
        self.id = key_id
        self.suite = suite
        is_bytes = isinstance(secret, bytes)
        reason = weakness(secret) if is_bytes else None
        if is_bytes and reason is None:
            self.__secret = secret
        del secret  # from here on this frame may raise
        if not is_bytes:
            message = f"the secret of key {key_id!r} must be bytes"
            raise TypeError(message)
        if reason is not None:
            place = f" ({source})" if source else ""
            message = f"key {key_id!r}{place} is refused: {reason}; make a new one with: "
            raise WeakKey(message + "safehold keygen")
        self.tag = sha256(b"safehold key id\x00" + key_id.encode()).digest()[:_TAG_BYTES]

    def derive(self, info: bytes, salt: bytes | None = None, length: int = 32) -> bytes:
        """Return an HKDF-SHA256 subkey (RFC 5869) for one purpose, `length` bytes."""
        kdf = HKDF(algorithm=_SHA256, length=length, salt=salt, info=info)
        return kdf.derive(self.__secret)

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, suite={self.suite!r})"

    def __getstate__(self) -> NoReturn:  # asked by pickle and copy; the default shows the slots
        message = "a Key cannot be pickled or copied; load it from its source instead"
        raise TypeError(message)


class Keyring:
    """The keys of one policy: `signing` is the newest, all of them verify."""

    __slots__ = ("_by_tag", "_keys")

    def __init__(self, signing: Key, *previous: Key) -> None:
        """Order the keys. Raises ConfigError when an id is used twice."""
        self._keys = (signing, *previous)
        self._by_tag = {key.tag: key for key in self._keys}
        if len(self._by_tag) != len(self._keys):
            message = f"key ids are not unique: {', '.join(key.id for key in self._keys)}"
            raise ConfigError(message)

    @classmethod
    def load(
        cls,
        sources: Iterable[tuple[str, str]],
        root: Path,
        environ: Mapping[str, str] | None = None,
    ) -> Keyring:
        """Read the keys of (id, source) pairs, newest first; `root` anchors file paths.

        Raises:
            ConfigError: a source is missing or unreadable; names it and the mending command.
            WeakKey: a key could be guessed.
        """
        hidden = environ if isinstance(environ, Environment) else Environment(environ)
        del environ
        return cls(
            *(
                Key(key_id, read_source(key_id, source, root, hidden), source=source)
                for key_id, source in sources
            )
        )

    @property
    def signing(self) -> Key:
        """The key that signs."""
        return self._keys[0]

    def by_tag(self, tag: bytes) -> Key:
        """Return the key whose id has this tag. Raises UnknownKey."""
        key = self._by_tag.get(tag)
        if key is None:
            known = ", ".join(key.id for key in self._keys)
            message = (
                f"sealed with a key that is not in the keyring (known ids: {known}); add it as "
                f"[[keys.previous]] if it is one of yours"
            )
            raise UnknownKey(message)
        return key

    def by_id(self, key_id: str) -> Key:
        """Return the key with this id. Raises UnknownKey."""
        for key in self._keys:
            if key.id == key_id:
                return key
        known = ", ".join(key.id for key in self._keys)
        message = f"no key {key_id!r} in the keyring (known ids: {known})"
        raise UnknownKey(message)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(key.id for key in self._keys)})"

    def __getstate__(self) -> NoReturn:
        message = "a Keyring cannot be pickled or copied; load it from its sources instead"
        raise TypeError(message)


def generate_key() -> str:
    """Return a new key: 256 random bits as 64 hexadecimal digits."""
    return secrets.token_hex(32)
