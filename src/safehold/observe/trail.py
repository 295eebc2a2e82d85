"""The trail: a tamper-evident log of events, one set of files per writer.

A line is printable ASCII JSON ``{"v","seq","t","w","e":{...},"mac"}`` with
``mac = BLAKE2b-256(key=K_i, previous mac || line up to the mac)`` and
``K_{i+1} = BLAKE2b-256(K_i)``: who reads the writer's files later cannot rewrite what was
recorded before. K_0 is derived from the root key and the writer's id, so that verification
needs the root key alone. ``state`` holds (lines written, current key) in an mmapped file
that outlives the process, so that a cut trail is seen. `check` reads all this back.

What it does not show: a writer whose whole directory was deleted or put back to an older
copy, and anything that an attacker with the root key writes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import mmap
import os
import re
import secrets
import struct
import threading
import time
import weakref
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import msgspec

from safehold.errors import TrailError
from safehold.events import Event
from safehold.keys import Key, Keyring

VERSION = 1
START = b"\x00" * 32
"""The "previous mac" of a writer's first line."""
STATE = struct.Struct("<Q32s")
STATE_SLOTS = 2
_SEGMENT_BYTES = 64 * 2**20
_NEW_SEGMENT = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NEW_STATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NOT_ASCII = re.compile(r"[^\x00-\x7e]")
_encode_json = msgspec.json.Encoder().encode


def _opened(path: Path, flags: int) -> int:
    """Open a file of the trail under a number that no closed standard stream had.

    Else what a program writes to its standard error would end up in the trail.
    """
    fd = os.open(path, flags, 0o640)
    if fd > 2:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def _mapped(fd: int, size: int) -> mmap.mmap:
    """Map a file; the duplicate of its descriptor that the map keeps is no standard stream's."""
    taken = [os.dup(fd)]
    try:
        while taken[-1] <= 2:
            taken.append(os.dup(fd))
        return mmap.mmap(fd, size)
    finally:
        for number in taken:
            os.close(number)


def next_key(key: bytes) -> bytes:
    """Return K_{i+1}; nobody gets back from it to K_i."""
    return blake2b(key, digest_size=32, person=b"sfh-trail-next").digest()


def line_mac(key: bytes, previous: bytes, body: bytes) -> bytes:
    """Return the mac of a line, chained to the one before."""
    return blake2b(previous + body, key=key, digest_size=32).digest()


def first_key(key: Key | LentKey, writer: str) -> bytes:
    """Return K_0 of a writer; one with a lent key has its number at the end of its name."""
    if isinstance(key, LentKey):
        return key.first(writer)
    number = writer.split("-")[3:]
    if number:
        return LentKey(f"{key.id}:{number[0]}:{_lent(key, number[0]).hex()}").first(writer)
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

    def __repr__(self) -> str:
        return f"LentKey(id={self.id!r}, number={self.number!r})"


def _lent(key: Key, number: str) -> bytes:
    return key.derive(b"safehold/trail/v1/lent/" + number.encode())


def lend(key: Key) -> str:
    """Return text that makes a `LentKey`; it is secret, but for what that key can do alone."""
    number = secrets.token_hex(8)
    return f"{key.id}:{number}:{_lent(key, number).hex()}"


def segment_name(number: int) -> str:
    """Return the file name of a segment, counted from 1."""
    return f"{number:06}.jsonl"


class Trail:
    """Appends events of this process; threads share it, a forked child gets its own writer."""

    def __init__(self, directory: Path, keyring: Keyring | LentKey) -> None:
        """Nothing is opened before the first event."""
        self.directory = directory
        self._keyring = keyring
        self._writer: _Writer | None = None
        # A signal handler may record while its own thread appends: an error and no deadlock.
        self._lock = threading.RLock()
        self._busy = False
        _TRAILS.add(self)

    def export(self, event: Event) -> None:
        """Append one event; refusals are on disk when this returns.

        Raises:
            TrailError: the line could not be written in full.
        """
        with self._lock:
            if self._busy:  # a signal handler or finalizer interrupted this very method
                message = "an event was recorded while another was being written"
                raise TrailError(message)
            self._busy = True
            try:
                writer = self._writer
                if writer is None or not writer.is_usable():
                    writer = self._begin(writer)
                writer.append(event)
                if event.outcome == "refused":
                    writer.sync()
            except OSError as error:
                message = (
                    f"trail {str(self.directory)!r} cannot be written ({error.strerror}); give "
                    f"the service a writable [trail] path with free space"
                )
                raise TrailError(message) from error
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                message = f"the event has no JSON form ({type(error).__name__})"
                raise TrailError(message) from error
            finally:
                self._busy = False

    def _begin(self, former: _Writer | None) -> _Writer:
        if former is not None:
            former.leave()
        self._writer = None
        self._writer = writer = _Writer(self.directory, self._keyring.local)
        return writer

    def close(self) -> None:
        """Sync and close this process's files; the next event starts a new writer."""
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                try:
                    if writer.is_usable():
                        writer.finish()
                finally:
                    writer.leave()

    def forget(self) -> None:
        """Start anew in a forked child, where another thread may have held the lock."""
        self._lock = threading.RLock()
        self._busy = False
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.leave()


_TRAILS: weakref.WeakSet[Trail] = weakref.WeakSet()


def _forget_all() -> None:
    for trail in list(_TRAILS):
        trail.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


class _Writer:
    """One writer's open segment, chain position and state.

    The directory gets its name when it holds a state and a first line: one that was killed
    before then is a hidden directory, which says nothing.
    """

    def __init__(self, directory: Path, key: Key | LentKey) -> None:
        self._fd = -1
        self._file: tuple[int, ...] = ()
        self._state: mmap.mmap | None = None
        self._whole = True
        self._pid = os.getpid()
        self.name = _new_name()
        if isinstance(key, LentKey):
            self.name += f"-{key.number}"
        self._home = directory / f".{self.name}.new"
        self._segment = 0
        self._size = 0
        self._sequence = 0
        self._previous = START
        self._key = first_key(key, self.name)
        self._second = -1
        self._stamp = ""
        self._middle = f'Z","w":"{self.name}","e":'
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._home.mkdir(mode=0o750)
        try:
            self._state = self._new_state()
            self._open_segment()
            detail = {"pid": self._pid}
            self.append(Event(action="trail.open", outcome="done", key=key.id, detail=detail))
            home = directory / self.name
            self._home.rename(home)
            self._home = home
        except BaseException:  # also an interrupt: half a writer would read as a cut one
            self.leave()
            _remove(self._home)
            raise

    def is_usable(self) -> bool:
        """Say whether the next line can follow the last one, in this process and this file."""
        if not self._whole or self._pid != os.getpid():
            return False
        # Lines in a file that was deleted meanwhile would be lost without a sign. And a daemon
        # closes descriptors that it does not know, whose numbers are then used again.
        try:
            status = os.fstat(self._fd)
        except OSError:
            return False
        return status.st_nlink > 0 and _file(status) == self._file

    def append(self, event: Event) -> None:
        if self._size >= _SEGMENT_BYTES:
            self._open_segment()
        body = self._body(event)
        mac = line_mac(self._key, self._previous, body)
        line = b'%b,"mac":"%b"}\n' % (body, mac.hex().encode())
        self._whole = False
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                reason = f"only {written} of {len(line)} bytes were written"
                raise OSError(errno.ENOSPC, reason)
        except OSError:
            # Take a torn line back, so that the next one does not continue it. When even this
            # fails the writer is left, and the next event starts another.
            os.ftruncate(self._fd, self._size)
            self._whole = True
            raise
        self._size += written
        self._previous = mac
        self._key = next_key(self._key)
        self._sequence += 1
        self._note_state()
        self._whole = True

    def _note_state(self) -> None:
        """Write count and key to one slot, then to the other: a kill leaves one of them whole.

        No slot may keep the key before, which could rewrite the last line.
        """
        if self._state is not None:
            for turn in (0, 1):
                offset = ((self._sequence + turn) % STATE_SLOTS) * STATE.size
                STATE.pack_into(self._state, offset, self._sequence, self._key)

    def _body(self, event: Event) -> bytes:
        second, nanosecond = divmod(time.time_ns(), 10**9)
        if second != self._second:  # the calendar is slow
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        head = (
            f'{{"v":{VERSION},"seq":{self._sequence},'
            f'"t":"{self._stamp}.{nanosecond // 1000:06}{self._middle}'
        )
        return head.encode() + _ascii_json(event)

    def _new_state(self) -> mmap.mmap:
        # Real bytes, not a hole: a full disk must fail here and not as SIGBUS later.
        data = STATE.pack(0, self._key) * STATE_SLOTS
        fd = _opened(self._home / "state", _NEW_STATE)
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return _mapped(fd, len(data))
        finally:
            os.close(fd)

    def _open_segment(self) -> None:
        number = self._segment + 1
        try:
            fd = _opened(self._home / segment_name(number), _NEW_SEGMENT)
        except FileExistsError:
            self._whole = False  # somebody else's; only a new writer gets past it
            raise
        try:
            self.sync()
            status = os.fstat(fd)
        except OSError:
            os.close(fd)
            raise
        self._close_segment()
        self._fd, self._segment, self._size = fd, number, 0
        self._file = _file(status)

    def sync(self) -> None:
        if self._fd >= 0:
            os.fdatasync(self._fd) if hasattr(os, "fdatasync") else os.fsync(self._fd)

    def finish(self) -> None:
        """Bring lines and state to disk."""
        self.sync()
        if self._state is not None:
            self._state.flush()

    def _close_segment(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            status = os.fstat(fd)
            if _file(status) == self._file:
                os.close(fd)

    def leave(self) -> None:
        """Close the files as they are; they can no longer be used here."""
        self._whole = False
        with contextlib.suppress(OSError):
            self._close_segment()
        if self._state is not None:
            self._state.close()
            self._state = None

    def __del__(self) -> None:
        self.leave()


def _file(status: os.stat_result) -> tuple[int, ...]:
    return status[1:3]  # inode and device


def _new_name() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(6)}"


def _remove(home: Path) -> None:
    """Remove what a writer that could not start has left; best effort, it is hidden anyway."""
    with contextlib.suppress(OSError):
        for file in home.iterdir():
            file.unlink()
        home.rmdir()


def _ascii_json(event: Event) -> bytes:
    data = _encode_json(event)
    if not data.isascii() or b"\x7f" in data:
        # Such characters stand inside strings only, so each can be escaped where it is.
        data = _NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], data.decode()).encode()
        data = data.replace(b"\x7f", b"\\u007f")
    return data
