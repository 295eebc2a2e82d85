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
_SIZE = _MARK.size + _DIGEST
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC


class Mark(NamedTuple):
    """Generation and artifact id of the newest artifact seen."""

    generation: int
    artifact: bytes


class _Known(NamedTuple):
    """A mark as it was last read and found authentic."""

    path: str
    data: bytes
    mark: Mark


class Marks:
    """The marks below one directory."""

    def __init__(self, directory: Path, keyring: Keyring) -> None:
        """The directory is made when the first mark is written."""
        self._directory = directory
        self._keyring = keyring
        self._subkeys: dict[bytes, bytes] = {}
        self._known: dict[tuple[str, str], _Known] = {}

    def read(self, zone: str, name: str, *, revoked: bool = False) -> Mark | None:
        """Return the mark of an artifact, None when it was never seen.

        With `revoked` it may be made with a revoked key, so that it can be written anew.

        Raises:
            Tampered: the mark's authentication fails. UnknownKey: made with an unlisted key, or
                with a revoked one.
        """
        known = self._known.get((zone, name))
        path = self._path(zone, name, ".mark") if known is None else known.path
        try:
            fd = os.open(path, os.O_RDONLY | _OPEN)
        except FileNotFoundError:
            return None
        try:
            data = os.read(fd, _SIZE + 1)
            if known is not None and known.data == data:
                return known.mark
            mark = self._parsed(zone, name, data, revoked=revoked)
            if mark is None:
                # A writer is perhaps in the middle of it: wait, and look once more.
                fcntl.flock(fd, fcntl.LOCK_SH)
                data = os.pread(fd, _SIZE + 1, 0)
                mark = self._parsed(zone, name, data, revoked=revoked)
        finally:
            os.close(fd)
        if mark is None:
            message = (
                f"the high-water mark {path} is damaged or was changed; see docs: "
                f"how-to/restore-a-model"
            )
            raise Tampered(message)
        if not revoked:
            self._known[zone, name] = _Known(path, data, mark)
        return mark

    def _parsed(self, zone: str, name: str, data: bytes, *, revoked: bool) -> Mark | None:
        """Return what an authentic mark says. Raises UnknownKey."""
        body = data[: _MARK.size]
        if len(data) != _SIZE or not body.startswith(_MAGIC):
            return None
        _, tag, generation, artifact = _MARK.unpack(body)
        key = self._keyring.local_by_tag(tag, revoked=revoked)
        if not hmac.compare_digest(self._mac(key, zone, name, body), data[_MARK.size :]):
            return None
        return Mark(generation, artifact)

    def write(self, zone: str, name: str, mark: Mark) -> None:
        """Store a mark; it is on disk when this returns. Call it under `lock`. Raises OSError."""
        key = self._keyring.local
        body = _MARK.pack(_MAGIC, key.tag, mark.generation, mark.artifact)
        path = self._path(zone, name, ".mark")
        data = body + self._mac(key, zone, name, body)
        if not _overwritten(path, data):
            with self._opened() as directory:
                replace_file(directory, os.path.basename(path), [data], mode=0o640, locked=True)
        self._known[zone, name] = _Known(path, data, mark)

    @contextlib.contextmanager
    def lock(self, zone: str, name: str) -> Iterator[None]:
        """Hold the artifact's lock between processes. Raises OSError if it cannot be made."""
        path = self._path(zone, name, ".lock")
        flags = os.O_RDWR | os.O_CREAT | _OPEN
        try:
            fd = os.open(path, flags, 0o640)
        except FileNotFoundError:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o750)
            fd = os.open(path, flags, 0o640)
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


def _overwritten(path: str, data: bytes) -> bool:
    """Put a mark in the place of one that is there; say whether that could be done.

    It lies within one sector, which a disk writes as a whole or not at all, and within one page,
    which a kill does not tear. Neither length nor place changes, so that the journal of the file
    system has nothing to write: this costs a fifth of a temporary file and its renaming.
    """
    try:
        fd = os.open(path, os.O_RDWR | _OPEN)
    except (FileNotFoundError, PermissionError):  # the directory may permit what the file does not
        return False
    try:
        if os.fstat(fd).st_size != len(data):
            return False
        fcntl.flock(fd, fcntl.LOCK_EX)  # so that a reader can wait
        if os.pwrite(fd, data, 0) != len(data):
            return False
        os.fdatasync(fd) if hasattr(os, "fdatasync") else os.fsync(fd)
    finally:
        os.close(fd)
    return True


def _context(zone: str, name: str) -> bytes:
    return f"{zone}\0{name}".encode()
