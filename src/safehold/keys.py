"""Keys: where they come from, how strong they must be, which one signs.

The newest key signs, every listed key verifies. Secrets never show in ``repr``, logs,
pickles or in the local variables of a frame that raises.
"""

from __future__ import annotations

import math
import os
import re
import secrets
import shlex
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from safehold.errors import ConfigError, UnknownKey, WeakKey

MIN_KEY_BYTES = 32
"""NIST SP 800-107: an HMAC-SHA256 key has at least the digest's security strength."""
_MIN_DISTINCT = 10
_MIN_BITS = 90  # Shannon entropy of the text as it stands; 32 random hex digits have about 115
_MIN_UNKNOWN = 16  # characters left when well-known words are taken out
_COMMAND_SECONDS = 30

_TAG_BYTES = 8
_SHA256 = SHA256()


class Key:
    """One named secret; hands out derived subkeys, never itself.

    A key is bound to one suite: what it signs cannot be passed off as another suite's.
    """

    __slots__ = ("__secret", "id", "suite", "tag")

    def __init__(self, key_id: str, secret: bytes, suite: str = "HS256") -> None:
        """Check the secret's strength and keep it.

        Raises:
            WeakKey: the secret could be guessed; says why, without showing it.
        """
        self.id = key_id
        self.suite = suite
        self.tag = sha256(b"safehold key id\x00" + key_id.encode()).digest()[:_TAG_BYTES]
        reason = weakness(secret)
        if reason is None:
            self.__secret = bytes(secret)
            return
        del secret
        message = f"key {key_id!r} is refused: {reason}; make a new one with: safehold keygen"
        raise WeakKey(message)

    def derive(self, info: bytes, salt: bytes | None = None, length: int = 32) -> bytes:
        """Return an HKDF-SHA256 subkey (RFC 5869) for one purpose, `length` bytes."""
        kdf = HKDF(algorithm=_SHA256, length=length, salt=salt, info=info)
        return kdf.derive(self.__secret)

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, suite={self.suite!r})"

    def __reduce__(self) -> NoReturn:
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
        env = os.environ if environ is None else environ
        return cls(*(_load_key(key_id, source, root, env) for key_id, source in sources))

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

    def __reduce__(self) -> NoReturn:
        message = "a Keyring cannot be pickled or copied; load it from its sources instead"
        raise TypeError(message)


def generate_key() -> str:
    """Return a new key: 256 random bits as 64 hexadecimal digits."""
    return secrets.token_hex(32)


# --- sources -------------------------------------------------------------------------------


def _from_env(name: str, root: Path, environ: Mapping[str, str]) -> bytes:  # noqa: ARG001
    value = environ.get(name)
    if value is None:
        message = (
            f"environment variable {name} holds no key; set it with: "
            f'export {name}="$(safehold keygen)"'
        )
        raise ConfigError(message)
    return value.encode("utf-8", "surrogateescape")


def _from_file(name: str, root: Path, environ: Mapping[str, str]) -> bytes:  # noqa: ARG001
    path = root / Path(name).expanduser()
    try:
        return path.read_bytes()
    except OSError as error:
        message = (
            f"key file {path} cannot be read ({error.strerror}); make one with: "
            f"safehold keygen --output {shlex.quote(str(path))}"
        )
        raise ConfigError(message) from error


def _from_command(command: str, root: Path, environ: Mapping[str, str]) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603  (the operator's own policy names the command)
            shlex.split(command),
            cwd=root,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        # `from None`: TimeoutExpired carries what the command had printed.
        message = f"key command {command!r} did not run: {type(error).__name__}"
        raise ConfigError(message) from None
    if done.returncode != 0:
        message = f"key command {command!r} ended with exit code {done.returncode}"
        raise ConfigError(message)
    return done.stdout


_SOURCES: Mapping[str, Callable[[str, Path, Mapping[str, str]], bytes]] = {
    "env": _from_env,
    "file": _from_file,
    "cmd": _from_command,
}


def _load_key(key_id: str, source: str, root: Path, environ: Mapping[str, str]) -> Key:
    scheme, colon, rest = source.partition(":")
    read = _SOURCES.get(scheme)
    if read is None or not colon or not rest:
        schemes = ", ".join(f"{name}:" for name in _SOURCES)
        message = f"key source of {key_id!r} must start with one of {schemes} and name a place"
        raise ConfigError(message)
    return Key(key_id, read(rest, root, environ).strip())


# --- strength ------------------------------------------------------------------------------

# Words that example keys are made of. Order matters not; longest match first is taken below.
_WORDS = """
    changeme changethis change replace default secret secretkey key keys your yours my mine our
    the this that with here there please insert enter put some any value string text password
    passwd passphrase pass pwd admin root user test testing tests tester example sample demo dummy
    insecure secure unsafe safe security production prod development dev staging local localhost
    django flask fastapi rails laravel app application service server client web api jwt token
    auth session cookie sign signing signature hmac encryption encrypt crypto master private
    public random generated long very super strong minimum min least bytes characters chars
    letters digits in for from not use used dont do never ever todo fixme xxx foo bar baz qux
    lorem ipsum hello world qwerty qwertz azerty asdf zxcv letmein welcome monkey dragon iloveyou
    abc abcd abcdef correct horse battery staple and or of to be is it a an at on by must should
    safehold supersecret topsecret only instead me
""".split()
_WORD = re.compile("|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)))
_LEET = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a",
                       "$": "s", "!": "i"})  # fmt: skip
_ALPHABETS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiopasdfghjklzxcvbnm")


def weakness(secret: bytes) -> str | None:
    """Say why a secret could be guessed, or None; the answer never shows the secret."""
    if not secret:
        return "it is empty"
    if _made_of_words(secret):
        return "it is made of well-known words"
    if len(secret) < MIN_KEY_BYTES:
        return f"it has {len(secret)} bytes, at least {MIN_KEY_BYTES} are needed"
    if _period(secret) <= len(secret) // 2:
        return "it repeats a pattern"
    if len(set(secret)) < _MIN_DISTINCT:
        return f"it has fewer than {_MIN_DISTINCT} different characters"
    if _is_sequence(secret):
        return "it follows the alphabet, the digits or the keyboard"
    if _entropy(secret) < _MIN_BITS:
        return f"its characters hold less than {_MIN_BITS} bits of entropy"
    return None


def _made_of_words(secret: bytes) -> bool:
    text = secret.decode("latin-1").casefold()
    plain = re.sub(r"[^a-z0-9]", "", text)
    leet = re.sub(r"[^a-z0-9]", "", text.translate(_LEET))
    return any(
        len(candidate) > 0
        and _WORD.search(candidate) is not None
        and len(re.sub(r"[0-9]", "", _WORD.sub("", candidate))) < _MIN_UNKNOWN
        and len(_WORD.sub("", candidate)) <= len(candidate) // 2
        for candidate in (plain, leet)
    )


def _period(secret: bytes) -> int:
    """Return the smallest period, by the failure function of Knuth, Morris and Pratt."""
    failure = [0] * len(secret)
    length = 0
    for index in range(1, len(secret)):
        while length and secret[index] != secret[length]:
            length = failure[length - 1]
        if secret[index] == secret[length]:
            length += 1
        failure[index] = length
    return len(secret) - failure[-1]


def _is_sequence(secret: bytes) -> bool:
    text = secret.decode("latin-1").casefold()
    pairs = list(pairwise(text))
    steps = sum(
        1
        for first, second in pairs
        if abs(ord(first) - ord(second)) <= 1
        or any(first + second in row or second + first in row for row in _ALPHABETS)
    )
    return steps > len(pairs) // 2


def _entropy(secret: bytes) -> float:
    size = len(secret)
    return -sum(count * math.log2(count / size) for count in Counter(secret).values())
