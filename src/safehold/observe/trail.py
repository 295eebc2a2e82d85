"""The trail: a tamper-evident log of events, one set of files per writer.

A line is printable ASCII JSON ``{"v","seq","t","w","e":{...},"mac"}`` with
``mac = BLAKE2b-256(key=K_i, previous mac || line up to the mac)`` and
``K_{i+1} = BLAKE2b-256(K_i)``: who takes over the process later cannot rewrite what was
recorded before. K_0 is derived from the root key and the writer's id, so that verification
needs the root key alone. ``state`` holds (lines written, current key) in an mmapped file
that outlives the process, so that a cut trail is seen.

What it does not show: a writer whose whole directory was deleted, and lines that an
attacker in the running process appends from then on.
"""

from __future__ import annotations

import hmac
import json
import mmap
import os
import re
import secrets
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import msgspec

from safehold.errors import TrailError, UnknownKey
from safehold.events import Event
from safehold.keys import Key, Keyring

VERSION = 1
_SEGMENT_BYTES = 64 * 2**20
_START = b"\x00" * 32  # "previous mac" of a writer's first line
_MAC_MARK = b',"mac":"'
_STATE = struct.Struct("<Q32s")
_STATE_SLOTS = 2
_encode_json = msgspec.json.Encoder().encode


def _next_key(key: bytes) -> bytes:
    return blake2b(key, digest_size=32, person=b"sfh-trail-next").digest()


def _mac(key: bytes, previous: bytes, body: bytes) -> bytes:
    return blake2b(previous + body, key=key, digest_size=32).digest()


def _first_key(key: Key, writer: str) -> bytes:
    return key.derive(b"safehold/trail/v1/" + writer.encode())


class Trail:
    """Appends events of this process; threads share it, a forked child gets its own writer."""

    def __init__(self, directory: Path, keyring: Keyring) -> None:
        """Nothing is opened before the first event."""
        self.directory = directory
        self._keyring = keyring
        self._lock = threading.Lock()
        self._writer: _Writer | None = None

    def export(self, event: Event) -> None:
        """Append one event; refusals are on disk when this returns.

        Raises:
            TrailError: the line could not be written in full.
        """
        with self._lock:
            try:
                writer = self._writer
                if writer is None or writer.pid != os.getpid():
                    writer = self._writer = _Writer(self.directory, self._keyring.signing)
                writer.append(event)
                if event.outcome == "refused":
                    writer.sync()
            except OSError as error:
                message = (
                    f"trail {self.directory} cannot be written ({error.strerror}); give the "
                    f"service a writable [trail] path"
                )
                raise TrailError(message) from error

    def close(self) -> None:
        """Sync and close this process's files."""
        with self._lock:
            if self._writer is not None and self._writer.pid == os.getpid():
                self._writer.close()
            self._writer = None


class _Writer:
    """One writer's open segment, chain position and state."""

    def __init__(self, directory: Path, key: Key) -> None:
        self.pid = os.getpid()
        now = datetime.now(UTC)
        self.name = f"{now:%Y%m%dT%H%M%S}-{self.pid}-{secrets.token_hex(6)}"
        self._directory = directory / self.name
        self._directory.mkdir(parents=True, mode=0o750)
        self._sequence = 0
        self._previous = _START
        self._key = _first_key(key, self.name)
        self._segment = 0
        self._fd = -1
        self._size = 0
        state = os.open(self._directory / "state", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            # Real bytes, not a hole: a full disk must fail here and not as SIGBUS later.
            os.write(state, _STATE.pack(0, self._key) * _STATE_SLOTS)
            self._state = mmap.mmap(state, _STATE.size * _STATE_SLOTS)
        finally:
            os.close(state)
        self.append(
            Event(action="trail.open", outcome="done", key=key.id, detail={"pid": self.pid})
        )

    def append(self, event: Event) -> None:
        if self._fd < 0 or self._size >= _SEGMENT_BYTES:
            self._open_segment()
        body = self._body(event)
        mac = _mac(self._key, self._previous, body)
        line = body + _MAC_MARK + mac.hex().encode() + b'"}\n'
        written = os.write(self._fd, line)
        if written != len(line):
            # Take the torn line back, so that the next one does not continue it.
            os.ftruncate(self._fd, self._size)
            message = f"trail {self._directory}: only {written} of {len(line)} bytes were written"
            raise TrailError(message)
        self._size += written
        self._previous = mac
        self._key = _next_key(self._key)
        self._sequence += 1
        # Two slots in turn: a kill inside the copy leaves the other one whole.
        offset = (self._sequence % _STATE_SLOTS) * _STATE.size
        _STATE.pack_into(self._state, offset, self._sequence, self._key)

    def _body(self, event: Event) -> bytes:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        head = f'{{"v":{VERSION},"seq":{self._sequence},"t":"{now}","w":"{self.name}","e":'
        return head.encode() + _ascii_json(event)

    def _open_segment(self) -> None:
        self._segment += 1
        if self._fd >= 0:
            self.sync()
            os.close(self._fd)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(self._directory / f"{self._segment:06}.jsonl", flags, 0o640)
        self._size = 0

    def sync(self) -> None:
        if self._fd >= 0:
            os.fdatasync(self._fd) if hasattr(os, "fdatasync") else os.fsync(self._fd)

    def close(self) -> None:
        self.sync()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._state.flush()
        self._state.close()


def _ascii_json(event: Event) -> bytes:
    try:
        data = _encode_json(event)
    except UnicodeEncodeError:  # lone surrogates: a file name that is not UTF-8
        data = b""
    if not data or not data.isascii():
        text = json.dumps(_builtins(event), ensure_ascii=True, separators=(",", ":"))
        data = text.encode("ascii")
    return data.replace(b"\x7f", b"\\u007f")


def _builtins(event: Event) -> dict[str, Any]:
    defaults = Event(action="", outcome="done")
    return {
        name: value
        for name in event.__struct_fields__
        if (value := getattr(event, name)) != getattr(defaults, name)
        or name in ("action", "outcome")
    }


# --- verification --------------------------------------------------------------------------

Kind = Literal["changed", "order", "truncated", "torn", "format", "key", "state", "empty"]


@dataclass(frozen=True, slots=True)
class Problem:
    """The first thing that is wrong with a writer's files."""

    path: Path
    line: int
    kind: Kind
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.message}"


@dataclass(frozen=True, slots=True)
class Verified:
    """Result for one writer: lines that hold, and the first problem if there is one."""

    writer: str
    lines: int
    problem: Problem | None


def check_trail(directory: Path, keyring: Keyring) -> Iterator[Verified]:
    """Check every writer below `directory`, oldest first; raises OSError if unreadable."""
    for entry in sorted(directory.iterdir()):
        if entry.is_dir():
            yield _check_writer(entry, keyring)


def read_lines(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield the recorded lines of all writers in order of time, without verifying them."""
    rows: list[dict[str, Any]] = []
    for file in directory.glob("*/*.jsonl"):
        for line in file.read_bytes().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # `check_trail` is what reports damage
            if isinstance(row, dict):
                rows.append(row)
    rows.sort(key=lambda row: (str(row.get("t")), str(row.get("w")), row.get("seq", 0)))
    yield from rows


_LINE = re.compile(
    rb'(\{"v":1,"seq":(\d+),"t":"[^"]*","w":"([^"]*)","e":(\{[\x20-\x7e]*\})),"mac":"([0-9a-f]{64})"\}'
)


def _check_writer(directory: Path, keyring: Keyring) -> Verified:
    files = sorted(directory.glob("*.jsonl"))
    state_path = directory / "state"
    if not files:
        problem = Problem(directory, 0, "empty", "the writer has no segment")
        return Verified(directory.name, 0, problem)
    key: bytes | None = None
    previous, sequence = _START, 0
    keys: dict[int, bytes] = {}
    count = _state_slots(state_path)
    wanted = {number for number, _ in count}
    for index, file in enumerate(files, start=1):
        if file.name != f"{index:06}.jsonl":
            message = f"segment {index:06}.jsonl is missing"
            return Verified(directory.name, sequence, Problem(file, 0, "truncated", message))
        data = file.read_bytes()
        lines = data.split(b"\n")
        torn = lines.pop()
        for number, line in enumerate(lines, start=1):
            match = _LINE.fullmatch(line)
            if match is None:
                message = "not a line of the trail format"
                return Verified(
                    directory.name, sequence, Problem(file, number, "format", message)
                )
            if key is None:
                try:
                    key = _first_key(_opening_key(match[4], keyring), directory.name)
                except UnknownKey as error:
                    return Verified(
                        directory.name, sequence, Problem(file, number, "key", str(error))
                    )
                keys[0] = key
            if match[3] != directory.name.encode() or int(match[2]) != sequence:
                message = f"line {int(match[2])} stands where line {sequence} is expected"
                return Verified(directory.name, sequence, Problem(file, number, "order", message))
            mac = _mac(key, previous, match[1])
            if not hmac.compare_digest(mac.hex().encode(), match[5]):
                message = "the line, the one before it or the key was changed"
                return Verified(
                    directory.name, sequence, Problem(file, number, "changed", message)
                )
            previous, key, sequence = mac, _next_key(key), sequence + 1
            if sequence in wanted:
                keys[sequence] = key
        if torn:
            message = "the last line is not complete (the writer was killed inside it)"
            return Verified(
                directory.name, sequence, Problem(file, len(lines) + 1, "torn", message)
            )
    return Verified(directory.name, sequence, _check_state(state_path, count, keys, sequence))


def _opening_key(event: bytes, keyring: Keyring) -> Key:
    """Find the root key that the first line names; the chain proves it afterwards."""
    try:
        opened = msgspec.json.decode(event, type=Event)
    except msgspec.DecodeError as error:
        message = "the first line names no key"
        raise UnknownKey(message) from error
    return keyring.by_id(opened.key)


def _state_slots(path: Path) -> list[tuple[int, bytes]]:
    try:
        data = path.read_bytes()
    except OSError:
        return []
    if len(data) != _STATE.size * _STATE_SLOTS:
        return []
    return list(_STATE.iter_unpack(data))


def _check_state(
    path: Path, slots: list[tuple[int, bytes]], keys: dict[int, bytes], lines: int
) -> Problem | None:
    """Compare what the state promises with the lines that are there.

    A slot is believed when its key is K_count: only who had that key could write it, and
    from it no earlier key, hence no earlier line, can be made.
    """
    if any(count > lines for count, _ in slots):
        most = max(count for count, _ in slots)
        return Problem(path, 0, "truncated", f"{most} lines were written, {lines} are there")
    good = [count for count, key in slots if keys.get(count) == key]
    if not good:
        return Problem(path, 0, "state", "the state file is missing or was changed")
    if lines - max(good) > 1:
        return Problem(path, 0, "state", f"state says {max(good)} lines, {lines} are there")
    return None
