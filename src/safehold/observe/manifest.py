"""The manifest of a trail: which writers there are, so that none can vanish as a whole.

One line for each writer that begins, that ends, and that retention removes; each has a mac that
is chained to the one before, under a key derived from the root key or from a lent one. A state
says how many lines there are, under the root key alone: a line that is cut off shows.

What it does not show: lines of writers with a lent key that are cut off before a process with
the root key has seen them, and a manifest that is put back, state and all, to an older copy. For
the latter there are the witnesses.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hmac
import os
import struct
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from safehold.keys import Key
from safehold.observe.chain import START, LentKey, lent_key

NAME: Final = ".manifest"
STATE_NAME: Final = ".manifest.state"
# Lines, bytes, and the mac of the last line; then the mac of these.
STATE: Final = struct.Struct("<QQ32s32s")
_PERSON: Final = b"sfh-trail-list"
_LONGEST: Final = 1024

What = Literal["began", "ended", "removed"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line. ``k``: the key; ``lines`` and ``last``: what a writer has when it ends."""

    v: int
    n: int
    t: str
    k: str
    what: What
    w: str
    lines: int
    last: str
    mac: str


class Head(NamedTuple):
    """Where a manifest ends: lines, bytes, and the mac of the last line."""

    lines: int
    size: int
    mac: bytes


NOTHING: Final = Head(0, 0, START)


def entry_mac(key: bytes, previous: bytes, body: bytes) -> bytes:
    """Return the mac of a line, chained to the one before."""
    return blake2b(previous + body, key=key, digest_size=32, person=_PERSON).digest()


def state_mac(key: bytes, head: Head) -> bytes:
    """Return the mac of a state."""
    data = STATE.pack(*head, b"")[: -len(START)]
    return blake2b(data, key=key, digest_size=32, person=b"sfh-trail-head").digest()


def key_of(key: Key | LentKey) -> tuple[str, bytes]:
    """Return what a line names as its key, and the key of its mac."""
    if isinstance(key, LentKey):
        return f"{key.id}:{key.number}", key.first(NAME)
    return key.id, key.derive(b"safehold/trail/v1/manifest")


def key_named(key: Key, number: str) -> bytes:
    """Return the key of a line whose writer had a lent key of this number."""
    return lent_key(key, number).first(NAME)


class Manifest:
    """Appends to the manifest of a directory, one process at a time."""

    def __init__(self, directory: Path, key: Key | LentKey) -> None:
        self._directory = directory
        self._id, self._key = key_of(key)
        self._is_root = not isinstance(key, LentKey)

    def add(self, what: What, writer: str, lines: int = 0, last: bytes = b"") -> None:
        """Append a line. Raises OSError; a line that is not whole is taken back."""
        with self._locked() as fd:
            head = self._head(fd)
            self._cover(head, head)  # so that no line is there before the state is
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            body = (
                f'{{"v":1,"n":{head.lines},"t":"{stamp}","k":"{self._id}","what":"{what}",'
                f'"w":"{writer}","lines":{lines},"last":"{last.hex()}"'
            ).encode()
            mac = entry_mac(self._key, head.mac, body)
            line = b'%b,"mac":"%b"}\n' % (body, mac.hex().encode())
            try:
                written = os.pwrite(fd, line, head.size)
                if written != len(line):
                    reason = f"only {written} of {len(line)} bytes were written"
                    raise OSError(errno.ENOSPC, reason)
            except OSError:
                os.ftruncate(fd, head.size)
                raise
            self._cover(head, Head(head.lines + 1, head.size + len(line), mac))

    def cover(self) -> None:
        """Have the state say what is there, so that lines of lent keys cannot be cut off."""
        if self._is_root:
            with self._locked() as fd:
                head = self._head(fd)
                self._cover(head, head)

    def _cover(self, before: Head, head: Head) -> None:
        """Write the state, unless the lines do not reach what it promised: that must show."""
        if not self._is_root:
            return
        path = self._directory / STATE_NAME
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            if self._has_root_line():
                return  # it was deleted, which must show as well
            fd = os.open(path, flags | os.O_CREAT, 0o640)
        try:
            promised = os.pread(fd, STATE.size, 0)
            if len(promised) == STATE.size and not self._reaches(STATE.unpack(promised), before):
                return
            os.pwrite(fd, STATE.pack(*head, state_mac(self._key, head)), 0)
        finally:
            os.close(fd)

    def _has_root_line(self) -> bool:
        with open(self._directory / NAME, "rb") as file:
            return any(b":" not in _key_in(line) for line in file)

    def _reaches(self, promised: tuple[int, int, bytes, bytes], head: Head) -> bool:
        count, size, mac, _ = promised
        if count > head.lines or size > head.size:
            return False
        with open(self._directory / NAME, "rb") as file:
            return count == 0 or hmac.compare_digest(_mac_before(file.fileno(), size), mac)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        path = self._directory / NAME
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)

    def _head(self, fd: int) -> Head:
        """Return where the lines end; a torn line, of which nobody was told, is no part of them."""
        size = os.fstat(fd).st_size
        end = os.pread(fd, min(size, _LONGEST), max(0, size - _LONGEST))
        size -= len(end) - (end.rfind(b"\n") + 1)
        if size <= 0:
            return NOTHING
        line = os.pread(fd, min(size, _LONGEST), max(0, size - _LONGEST)).splitlines()[-1]
        try:
            last = msgspec.json.decode(line, type=Entry)
            return Head(last.n + 1, size, bytes.fromhex(last.mac))
        except (msgspec.DecodeError, ValueError):
            # What follows cannot hold, which is what a check then says.
            return Head(0, size, START)


def _key_in(line: bytes) -> bytes:
    return line.partition(b'"k":"')[2].partition(b'"')[0]


def _mac_before(fd: int, size: int) -> bytes:
    """Return the mac of the line that ends at an offset, or nothing."""
    line = os.pread(fd, min(size, _LONGEST), max(0, size - _LONGEST)).splitlines()
    try:
        return bytes.fromhex(msgspec.json.decode(line[-1], type=Entry).mac)
    except (msgspec.DecodeError, ValueError, IndexError):
        return b""
