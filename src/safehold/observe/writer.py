"""One writer of a trail: its segments, its place in the chain, and its state.

A line is printable ASCII JSON ``{"v","seq","t","w","e":{...},"mac"}``, see `chain` for the mac.
``state`` holds (lines written, current key) in an mmapped file that outlives the process, so
that a cut trail is seen, and (lines on disk, proof), so that a power cut says what it took.
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
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import msgspec

from safehold.events import Event
from safehold.keys import Key
from safehold.observe.chain import (
    START,
    STATE,
    STATE_SLOTS,
    VERSION,
    LentKey,
    first_key,
    line_mac,
    next_key,
    on_disk,
    segment_name,
)
from safehold.observe.manifest import Manifest

_SEGMENT_BYTES = 64 * 2**20
_NEW_SEGMENT = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NEW_STATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NOT_ASCII = re.compile(r"[^\x00-\x7e]")
_LOOK_SECONDS = 0.02
"""How long a look at the segment is good for."""
_encode_json = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Mark:
    """The lines that a writer had written at a moment, and a descriptor of their last segment."""

    descriptor: int
    state: Path
    count: int
    key: bytes = field(repr=False)

    def bring_lines(self) -> None:
        """Bring the lines to disk; the segments before were synced when they ended."""
        try:
            _sync(self.descriptor)
        finally:
            os.close(self.descriptor)

    def bring_state(self) -> None:
        """Bring the state to disk; `mmap.flush` would keep other threads from running."""
        fd = _opened(self.state, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _sync(fd)
        finally:
            os.close(fd)


class Writer:
    """One writer's open segment, chain position and state.

    The directory gets its name when it holds a state and a first line: one that was killed
    before then is a hidden directory, which says nothing.
    """

    def __init__(
        self, directory: Path, key: Key | LentKey, segment_bytes: int | None = None
    ) -> None:
        self._fd = -1
        self._file: tuple[int, ...] = ()
        self._state: mmap.mmap | None = None
        self._whole = True
        self._pid = os.getpid()
        self.name = _new_name()
        if isinstance(key, LentKey):
            self.name += f"-{key.number}"
        self._manifest = Manifest(directory, key)
        self._home = directory / f".{self.name}.new"
        self._most = segment_bytes
        self._segment = 0
        self._size = 0
        self._sequence = 0
        self._synced = 0
        self._previous = START
        self._key = first_key(key, self.name)
        self._second = -1
        self._head = b""
        self._middle = b'Z","w":"%b","e":' % self.name.encode()
        self._looked = 0.0
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._home.mkdir(mode=0o750)
        try:
            self._state = self._new_state()
            self._open_segment()
            detail = {"pid": self._pid, **_boot()}
            opening = Event(action="trail.open", outcome="done", key=key.id, detail=detail)
            self.append(encoded(opening))
            home = directory / self.name
            self._home.rename(home)
            self._home = home
            self._manifest.add("began", self.name)
        except BaseException:  # also an interrupt: half a writer would read as a cut one
            self.leave()
            if self._home.name.startswith("."):
                _remove(self._home)
            raise

    def is_usable(self) -> bool:
        """Say whether the next line can follow the last one, in this process and this file."""
        return self.is_ours() and self._is_there()

    def is_ours(self) -> bool:
        """Say so, but for files that were deleted in the last moments: that takes a microsecond.

        Who deletes a file takes the lines of the moments before as well.
        """
        if not self._whole or self._pid != os.getpid():
            return False
        # A daemon closes descriptors that it does not know, whose numbers are then used again;
        # what has ours now is not at the place where the last line ended.
        try:
            if os.lseek(self._fd, 0, os.SEEK_CUR) != self._size:
                return False
        except OSError:
            return False
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return True
        self._looked = now
        return self._is_there()

    def _is_there(self) -> bool:
        """Whether the segment is still in its place: lines in a deleted file are lost."""
        try:
            status = os.fstat(self._fd)
        except OSError:
            return False
        return status.st_nlink > 0 and _file(status) == self._file

    def append(self, event: bytes) -> None:
        """Append an event that was `encoded`. Raises OSError: the line is not there."""
        if self._size >= (self._most or _SEGMENT_BYTES):
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
            os.lseek(self._fd, self._size, os.SEEK_SET)
            self._whole = True
            raise
        self._size += written
        self._previous = mac
        self._key = next_key(self._key)
        self._sequence += 1
        if self._state is not None:
            # One slot, then the other: a kill leaves one of them whole. None may keep the key
            # before, which could rewrite the last line.
            STATE.pack_into(self._state, 0, self._sequence, self._key)
            STATE.pack_into(self._state, STATE.size, self._sequence, self._key)
        self._whole = True

    def _body(self, event: bytes) -> bytes:
        second, nanosecond = divmod(time.time_ns(), 10**9)
        if second != self._second:  # the calendar is slow
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._head = b'{"v":%d,"seq":%%d,"t":"%b.%%06d%%b%%b' % (VERSION, stamp.encode())
            self._second = second
        return self._head % (self._sequence, nanosecond // 1000, self._middle, event)

    def _new_state(self) -> mmap.mmap:
        # Real bytes, not a hole: a full disk must fail here and not as SIGBUS later.
        data = STATE.pack(0, self._key) * STATE_SLOTS
        data += STATE.pack(0, on_disk(self._key, 0)) * STATE_SLOTS
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

    @property
    def is_synced(self) -> bool:
        """Whether all lines are on disk, as far as was noted."""
        return self._synced == self._sequence

    def sync(self) -> None:
        """Bring the lines to disk."""
        if self._fd >= 0:
            _sync(self._fd)
            self._note_synced(self._sequence, self._key)

    def mark(self) -> Mark:
        """Return what is written, so that it can be brought to disk while others append."""
        descriptor = fcntl.fcntl(self._fd, fcntl.F_DUPFD_CLOEXEC, 3)
        return Mark(descriptor, self._home / "state", self._sequence, self._key)

    def reached(self, mark: Mark) -> None:
        """Note that what was marked is on disk."""
        if mark.count > self._synced:
            self._note_synced(mark.count, mark.key)

    def _note_synced(self, count: int, key: bytes) -> None:
        self._synced = count
        if self._state is not None:
            proof = on_disk(key, count)
            for slot in range(STATE_SLOTS, 2 * STATE_SLOTS):
                STATE.pack_into(self._state, slot * STATE.size, count, proof)

    def flush_state(self) -> None:
        """Bring the state to disk."""
        if self._state is not None:
            self._state.flush()

    def finish(self) -> None:
        """Bring lines and state to disk, and say in the manifest that no more will come."""
        self.sync()
        self.flush_state()
        self._manifest.add("ended", self.name, self._sequence, self._previous)

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
        with contextlib.suppress(OSError):
            if not self.is_synced and self.is_usable():
                self.sync()
        self.leave()


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


def _sync(fd: int) -> None:
    os.fdatasync(fd) if hasattr(os, "fdatasync") else os.fsync(fd)


@cache
def boot_id() -> str:
    """Return what differs after each start of the machine, or nothing where that is not known."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""


def _boot() -> dict[str, str]:
    return {"boot": boot_id()} if boot_id() else {}


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


def encoded(event: Event) -> bytes:
    """Return an event as printable ASCII JSON. Raises what msgspec raises."""
    data = _encode_json(event)
    if not data.isascii() or 0x7F in data:
        # Such characters stand inside strings only, so each can be escaped where it is.
        data = _NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], data.decode()).encode()
        data = data.replace(b"\x7f", b"\\u007f")
    return data
