"""Keys: where they come from, how strong they must be, which one signs.

The newest key signs, every listed key verifies. Secrets never show in ``repr``, logs,
pickles or in the local variables of a frame that raises.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from safehold.credentials.traces import traces_of
from safehold.errors import ConfigError, MissingExtra, UnknownKey, WeakKey
from safehold.keys.pairs import (
    Texts,
    generate_pair,
    is_of_small_order,
    is_pair_text,
    parse_pair,
)
from safehold.keys.sources import Environment, read_source
from safehold.keys.strength import MIN_KEY_BYTES, weakness
from safehold.sfh1 import SUITES

__all__ = [
    "MIN_KEY_BYTES",
    "Environment",
    "Key",
    "Keyring",
    "Texts",
    "generate_key",
    "generate_pair",
    "weakness",
]

_TAG_BYTES = 8
_SHA256 = SHA256()
_FORMS = "give PEM or one of the lines of: safehold keygen --suite ED25519"
_SIGNER = "name the private half of the pair as source where artifacts are written"


class Key:
    """One named secret; hands out derived subkeys or signatures, never itself.

    A key is bound to one suite: what it signs cannot be passed off as another suite's. One of
    suite ED25519 is a pair, or the public half of one, which verifies alone.
    """

    __slots__ = ("__pair", "__secret", "id", "suite", "tag")

    def __init__(
        self, key_id: str, secret: bytes, suite: str = "HS256", *, source: str = ""
    ) -> None:
        """Check the secret's strength and keep it; `source` is for the message alone.

        Raises:
            WeakKey: the secret could be guessed; says why, without showing it.
            ConfigError: no such suite, or not a key of that suite.
            MissingExtra: the suite's package is not installed.
        """
        self.id = key_id
        self.suite = suite
        self.__pair = None
        is_bytes = isinstance(secret, bytes)
        reason, error = None, ConfigError
        if is_bytes and suite in SUITES and SUITES[suite].signs:
            self.__pair = parse_pair(secret)
            if self.__pair is None:
                reason = f"it is no Ed25519 key; {_FORMS}"
        elif is_bytes and is_pair_text(secret):
            # The text of a public key is known to everybody, and keyed hashes take any text.
            reason = f"it is one half of a key pair or a PEM file, no key of suite {suite!r}; "
            reason += 'set suite = "ED25519" beside its source'
        elif is_bytes:
            reason, error = weakness(secret), WeakKey
            if reason is None:
                self.__secret = secret
            else:
                reason += "; make a new one with: safehold keygen"
        del secret  # from here on this frame may raise
        if not is_bytes:
            message = f"the secret of key {key_id!r} must be bytes"
            raise TypeError(message)
        if suite not in SUITES:
            message = f"key {key_id!r}: no suite {suite!r}; there are: {', '.join(SUITES)}"
            raise ConfigError(message)
        _check_extra(SUITES[suite].extra)
        if reason is not None:
            place = f" ({source})" if source else ""
            message = f"key {key_id!r}{place} is refused: {reason}"
            raise error(message)
        self.tag = _tag_of(key_id)

    @property
    def is_public(self) -> bool:
        """Say whether it is the public half of a pair, which cannot sign."""
        return self.__pair is not None and self.__pair.private is None

    def derive(self, info: bytes, salt: bytes | None = None, length: int = 32) -> bytes:
        """Return an HKDF-SHA256 subkey (RFC 5869) for one purpose, `length` bytes.

        Raises:
            ConfigError: the key is a pair, of which the public half is known to others.
        """
        if self.__pair is not None:
            message = f"key {self.id!r} is a key pair; nothing secret can be derived from it"
            raise ConfigError(message)
        kdf = HKDF(algorithm=_SHA256, length=length, salt=salt, info=info)
        return kdf.derive(self.__secret)

    def sign(self, message: bytes) -> bytes:
        """Return an Ed25519 signature. Raises ConfigError without a private half."""
        if self.__pair is None or self.__pair.private is None:
            reason = f"key {self.id!r} cannot sign; {_SIGNER}"
            raise ConfigError(reason)
        return self.__pair.private.sign(message)

    def is_signature(self, signature: bytes, message: bytes) -> bool:
        """Say whether an Ed25519 signature is this key's, in the one form of RFC 8032.

        Stricter than that: a first half of small order, which no signer makes, is refused.
        """
        if self.__pair is None or is_of_small_order(signature[:32]):
            return False
        try:
            self.__pair.public.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def traces(self) -> frozenset[int]:
        """Return what the secret is known by in a text that shall not hold it."""
        if self.__pair is None:
            return traces_of(self.__secret)
        return frozenset() if self.__pair.private is None else traces_of(self.__pair.spelled())

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, suite={self.suite!r})"

    def __getstate__(self) -> NoReturn:  # asked by pickle and copy; the default shows the slots
        message = "a Key cannot be pickled or copied; load it from its source instead"
        raise TypeError(message)


class Keyring:
    """The keys of one policy: `signing` is the newest, all of them verify that are not revoked.

    `local` authenticates what this machine writes for itself, the trail and the marks, and
    never an artifact.
    """

    __slots__ = ("_by_tag", "_keys", "_local", "_revoked")

    def __init__(
        self, signing: Key, *previous: Key, local: Key | None = None, revoked: Iterable[str] = ()
    ) -> None:
        """Order the keys; those whose ids are `revoked` verify nothing, listed or not.

        Raises:
            ConfigError: an id is used twice, or the key that signs or the local one is revoked.
        """
        self._keys = (signing, *previous)
        self._local = local
        self._by_tag = {key.tag: key for key in self._keys}
        everything = self._all()
        if len({key.tag for key in everything}) != len(everything):
            message = f"key ids are not unique: {', '.join(key.id for key in everything)}"
            raise ConfigError(message)
        self._revoked = {_tag_of(key_id): key_id for key_id in revoked}
        for key in (signing, local):
            if key is not None and key.tag in self._revoked:
                message = (
                    f"key {key.id!r} is revoked and cannot be the one in use; make a new one with "
                    f"safehold keygen, give it another id, and list this one as [[keys.previous]]"
                )
                raise ConfigError(message)

    def revoking(self, key_ids: Iterable[str]) -> Keyring:
        """Return the same keys with these ids revoked too. Raises ConfigError as `Keyring`."""
        ids = (*self._revoked.values(), *key_ids)
        return Keyring(*self._keys, local=self._local, revoked=ids)

    @classmethod
    def load(
        cls,
        sources: Iterable[tuple[str, str] | tuple[str, str, str]],
        root: Path,
        environ: Mapping[str, str] | None = None,
        *,
        local: tuple[str, str] | None = None,
    ) -> Keyring:
        """Read the keys of (id, source, suite), newest first; `root` anchors file paths.

        Without a suite it is HS256. `local` is the (id, source) of this machine's own key.

        Raises:
            ConfigError: a source is missing or unreadable; names it and the mending command.
            WeakKey: a key could be guessed.
            MissingExtra: a package of a source or of a suite is not installed.
        """
        hidden = environ if isinstance(environ, Environment) else Environment(environ)
        del environ
        return cls(
            *(
                Key(key_id, read_source(key_id, source, root, hidden), *suite, source=source)
                for key_id, source, *suite in sources
            ),
            local=None
            if local is None
            else Key(local[0], read_source(*local, root, hidden), source=local[1]),
        )

    @property
    def signing(self) -> Key:
        """The key that signs. Raises ConfigError when it is a public one."""
        if self._keys[0].is_public:
            message = f"key {self._keys[0].id!r} is public and cannot sign; {_SIGNER}"
            raise ConfigError(message)
        return self._keys[0]

    @property
    def local(self) -> Key:
        """The key of the trail and the marks. Raises ConfigError when a pair has none beside it."""
        key = self._keys[0] if self._local is None else self._local
        if SUITES[key.suite].signs:
            message = (
                f"key {key.id!r} is a key pair, which cannot authenticate this machine's trail "
                f"and marks; name a secret of its own: [keys.local] source, id"
            )
            raise ConfigError(message)
        return key

    def local_by_tag(self, tag: bytes, *, revoked: bool = False) -> Key:
        """Return the secret with this tag that a mark may be made with. Raises UnknownKey.

        One that is revoked is returned only if `revoked` says so.
        """
        if tag in self._revoked and not revoked:
            key_id = self._revoked[tag]
            message = (
                f"the high-water mark was made with key {key_id!r}, which is revoked; write it "
                f"anew with: safehold rotate --rekey, or safehold seal --renew"
            )
            raise UnknownKey(message)
        for key in self._all():
            if key.tag == tag and not SUITES[key.suite].signs:
                return key
        return self.by_tag(b"")  # the same error as for a file

    def local_by_id(self, key_id: str) -> Key:
        """Return the secret with this id that a trail may be made with. Raises UnknownKey."""
        if _tag_of(key_id) in self._revoked:
            message = (
                f"key {key_id!r} is revoked: whoever has it can have written what was recorded "
                f"under it; move the writer's directory away when you have looked at it"
            )
            raise UnknownKey(message)
        return self.local_by_tag(self.by_id(key_id).tag)

    def traces(self) -> frozenset[int]:
        """Return the traces of all keys, see `Key.traces`."""
        return frozenset[int]().union(*(key.traces() for key in self._all()))

    def _all(self) -> tuple[Key, ...]:
        return self._keys if self._local is None else (*self._keys, self._local)

    def is_revoked(self, tag: bytes) -> bool:
        """Say whether a tag is that of an id that is revoked."""
        return tag in self._revoked

    def is_revoked_id(self, key_id: str) -> bool:
        """Say whether a key of this id is revoked."""
        return _tag_of(key_id) in self._revoked

    def by_tag(self, tag: bytes, *, revoked: bool = False) -> Key:
        """Return the key whose id has this tag. Raises UnknownKey.

        One that is revoked is returned only if `revoked` says so.
        """
        if tag in self._revoked and not revoked:
            key_id = self._revoked[tag]
            message = (
                f"sealed with key {key_id!r}, which is revoked; make the file again from its "
                f"source, or if you are sure of it: safehold rotate --rekey {key_id} NEW PATH"
            )
            raise UnknownKey(message)
        key = self._by_tag.get(tag)
        if key is None:
            known = ", ".join(key.id for key in self._keys)
            message = (
                f"sealed with a key that is not in the keyring (known ids: {known}); add it as "
                f"[[keys.previous]] if it is one of yours"
            )
            raise UnknownKey(message)
        return key

    def older(self, one: Key, other: Key) -> Key:
        """Return the one of two listed keys that is listed later."""
        return max(one, other, key=self._keys.index)

    def by_id(self, key_id: str, *, revoked: bool = False) -> Key:
        """Return the key with this id. Raises UnknownKey.

        One that is revoked is returned only if `revoked` says so.
        """
        if _tag_of(key_id) in self._revoked and not revoked:
            message = f"key {key_id!r} is revoked; what it sealed only goes on with: --rekey"
            raise UnknownKey(message)
        for key in self._all():
            if key.id == key_id:
                return key
        known = ", ".join(key.id for key in self._all())
        message = f"no key {key_id!r} in the keyring (known ids: {known})"
        raise UnknownKey(message)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(key.id for key in self._all())})"

    def __getstate__(self) -> NoReturn:
        message = "a Keyring cannot be pickled or copied; load it from its sources instead"
        raise TypeError(message)


def _check_extra(extra: str) -> None:
    """Raise MissingExtra now if a suite's package is absent, and not at the first file."""
    if extra:
        try:
            import_module(extra)
        except ImportError as error:
            raise MissingExtra(extra, extra) from error


def _tag_of(key_id: str) -> bytes:
    return sha256(b"safehold key id\x00" + key_id.encode()).digest()[:_TAG_BYTES]


def generate_key() -> str:
    """Return a new key: 256 random bits as 64 hexadecimal digits."""
    return secrets.token_hex(32)
