"""High-water marks: the newest generation of each artifact that this machine has seen.

One small file per (zone, name) in a directory that belongs to the service, authenticated by
a subkey. Somebody who may delete the marks can replay an older artifact; who can only write
to the zones cannot.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from safehold.errors import Tampered
from safehold.keys import Key, Keyring
from safehold.replacing import remove_temporary, replace_file

_MARK = struct.Struct("<4s8sQ16s")
_MAGIC = b"SFM1"
_DIGEST = 32


class Mark(NamedTuple):
    """Generation and artifact id of the newest artifact seen."""

    generation: int
    artifact: bytes


class Marks:
    """The marks below one directory."""

    def __init__(self, directory: Path, keyring: Keyring) -> None:
        """The directory is made when the first mark is written."""
        self._directory = directory
        self._keyring = keyring
        self._subkeys: dict[bytes, bytes] = {}
        # The mark of each artifact as it was last read and found authentic.
        self._known: dict[tuple[str, str], tuple[bytes, Mark]] = {}

    def read(self, zone: str, name: str, *, revoked: bool = False) -> Mark | None:
        """Return the mark of an artifact, None when it was never seen.

        With `revoked` it may be made with a revoked key, so that it can be written anew.

        Raises:
            Tampered: the mark's authentication fails. UnknownKey: made with an unlisted key, or
                with a revoked one.
        """
        path = self._path(zone, name, ".mark")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            data = os.read(fd, _MARK.size + _DIGEST + 1)
        finally:
            os.close(fd)
        known = self._known.get((zone, name))
        if known is not None and known[0] == data:
            return known[1]
        body = data[: _MARK.size]
        if len(data) != _MARK.size + _DIGEST or not body.startswith(_MAGIC):
            message = f"the high-water mark {path} is damaged; see docs: how-to/restore-a-model"
            raise Tampered(message)
        _, tag, generation, artifact = _MARK.unpack(body)
        key = self._keyring.local_by_tag(tag, revoked=revoked)
        if not hmac.compare_digest(self._mac(key, zone, name, body), data[_MARK.size :]):
            message = f"the high-water mark {path} was changed; see docs: how-to/restore-a-model"
            raise Tampered(message)
        mark = Mark(generation, artifact)
        if not revoked:
            self._known[zone, name] = (data, mark)
        return mark

    def write(self, zone: str, name: str, mark: Mark) -> None:
        """Store a mark, crash-safe. Call it under `lock`. Raises OSError."""
        key = self._keyring.local
        body = _MARK.pack(_MAGIC, key.tag, mark.generation, mark.artifact)
        data = [body + self._mac(key, zone, name, body)]
        with self._opened() as directory:
            replace_file(directory, self._entry(zone, name, ".mark"), data, mode=0o640, locked=True)

    @contextlib.contextmanager
    def lock(self, zone: str, name: str) -> Iterator[None]:
        """Hold the artifact's lock between processes. Raises OSError if it cannot be made."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        path = self._path(zone, name, ".lock")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            with self._opened() as directory:
                remove_temporary(directory, self._entry(zone, name, ".mark"))
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def _path(self, zone: str, name: str, suffix: str) -> str:
        return f"{self._directory}/{self._entry(zone, name, suffix)}"

    def _entry(self, zone: str, name: str, suffix: str) -> str:
        return sha256(_context(zone, name)).hexdigest()[:32] + suffix

    def _mac(self, key: Key, zone: str, name: str, body: bytes) -> bytes:
        subkey = self._subkeys.get(key.tag)
        if subkey is None:
            subkey = self._subkeys[key.tag] = key.derive(b"safehold/marks/v1")
        context = _context(zone, name)
        return hmac.digest(subkey, struct.pack("<I", len(context)) + context + body, "sha256")


def _context(zone: str, name: str) -> bytes:
    return f"{zone}\0{name}".encode()
