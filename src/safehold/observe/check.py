"""Check a trail: recompute every chain, compare with the state, name the first bad line.

The state is read before and after the lines, so that a writer that goes on meanwhile raises
no alarm: what was written before must be there, and what is there must be as old as the
state afterwards.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from safehold.errors import UnknownKey
from safehold.events import Event
from safehold.keys import Keyring
from safehold.observe.chain import (
    START,
    STATE,
    STATE_BYTES,
    STATE_SLOTS,
    first_key,
    line_mac,
    next_key,
    on_disk,
    segment_name,
)
from safehold.observe.problems import Found, Problem, Verified, open_regular
from safehold.observe.writer import boot_id

Slots = list[tuple[int, bytes]]

_MAX_LINE = 2**20
_MAX_AHEAD = 2_000_000  # steps of the key to look ahead for a count that the lines do not reach
_LINE = re.compile(
    rb'(\{"v":1,"seq":(\d+),"t":"[^"]*","w":"([^"]*)","e":(\{[\x20-\x7e]*\})),"mac":"([0-9a-f]{64})"\}\n'
)
_WRITER = re.compile(r"\d{8}T\d{6}-\d+-[0-9a-f]{12}(?:-[0-9a-f]{16})?")


def check_trail(directory: Path, keyring: Keyring) -> Iterator[Verified]:
    """Check every writer below `directory`, oldest first; raises OSError if that is unreadable.

    Hidden directories are writers that were killed before their first line.
    """
    for name in sorted(os.listdir(directory)):
        path = directory / name
        if name.startswith(".") or not path.is_dir():
            continue
        try:
            if not _WRITER.fullmatch(name):
                if any(item == "state" or item.endswith(".jsonl") for item in os.listdir(path)):
                    problem = Problem(path, 0, "writer", "not the name of a writer: renamed")
                    yield Verified(name, 0, problem)
                continue  # lost+found and the like
            yield _Check(path, keyring).result()
        except OSError as error:
            yield Verified(name, 0, Problem(path, 0, "unreadable", f"{error.strerror}"))


class _Check:
    """Reading of one writer. Its keys are attributes, which no traceback shows."""

    def __init__(self, directory: Path, keyring: Keyring) -> None:
        self.directory = directory
        self.keyring = keyring
        self.lines = 0
        self.torn: Problem | None = None
        self._mac = START
        self._first = b""  # K_0
        self._key = b""  # K_lines
        self._before = b""  # K_{lines - 1}
        # What the state says is on disk, its proof, and whether that was seen to be right.
        self._claims: dict[int, list[bytes]] = {}
        self._on_disk = -1
        self._boot = ""

    def result(self) -> Verified:
        name = self.directory.name
        try:
            state = self.directory / "state"
            earlier, claims = _read_slots(state)
            for count, proof in claims:
                self._claims.setdefault(count, []).append(proof)
            for path in self._segments():
                self._read(path)
            self._compare(state, earlier, _read_slots(state)[0])
        except Found as found:
            return Verified(name, self.lines, found.problem, self.torn)
        return Verified(name, self.lines, None, self.torn)

    def _segments(self) -> Iterator[Path]:
        names = sorted(name for name in os.listdir(self.directory) if name.endswith(".jsonl"))
        if not names:
            message = "the writer has no segment"
            raise Found(self.directory, 0, "truncated", message)
        for number, name in enumerate(names, start=1):
            if self.torn is not None:
                message = "an incomplete line stands before the last segment"
                raise Found(self.torn.path, self.torn.line, "format", message)
            if name != segment_name(number):
                message = f"segment {segment_name(number)} is missing"
                raise Found(self.directory / name, 0, "truncated", message)
            yield self.directory / name

    def _read(self, path: Path) -> None:
        with open_regular(path) as file:
            number = 0
            while line := file.readline(_MAX_LINE):
                number += 1
                match = _LINE.fullmatch(line)
                if match is not None:
                    self._take(path, number, match)
                elif not line.endswith(b"\n") and self._is_beginning(line):
                    message = "the last line is not complete: the writer was killed inside it"
                    self.torn = Problem(path, number, "torn", message)
                    return
                elif b"\0" in line and self._was_cut_off():
                    message = "the machine stopped before this line was on disk"
                    self.torn = Problem(path, number, "torn", message)
                    return
                else:
                    raise Found(path, number, "format", "not a line of the trail format")

    def _is_beginning(self, line: bytes) -> bool:
        start = f'{{"v":1,"seq":{self.lines},"t":"'.encode()
        is_printable = len(line) < _MAX_LINE and all(0x20 <= byte <= 0x7E for byte in line)
        return is_printable and (line.startswith(start) or start.startswith(line))

    def _take(self, path: Path, number: int, match: re.Match[bytes]) -> None:
        body, sequence, writer, event, mac = match.groups()
        if writer != os.fsencode(self.directory.name):
            message = "the line is another writer's: the directory was renamed or copied"
            raise Found(path, number, "writer", message)
        if sequence != b"%d" % self.lines:
            message = f"line {sequence[:20].decode()} stands where line {self.lines} is expected"
            raise Found(path, number, "order", message)
        if not self.lines:
            try:
                opened = _opened(event)
                key = self.keyring.local_by_id(opened.key)
                self._key = self._first = first_key(key, self.directory.name)
                self._boot = str(opened.detail.get("boot", ""))
            except UnknownKey as error:
                raise Found(path, number, "key", str(error)) from error
            self._note_claim()
        expected = line_mac(self._key, self._mac, body)
        if not hmac.compare_digest(expected.hex().encode(), mac):
            message = "the line, the one before it or the key was changed"
            raise Found(path, number, "changed", message)
        self._mac = expected
        self._before, self._key = self._key, next_key(self._key)
        self.lines += 1
        self._note_claim()

    def _note_claim(self) -> None:
        if self.lines in self._claims and self._is_proved(self.lines, self._key):
            self._on_disk = self.lines

    def _is_proved(self, count: int, key: bytes) -> bool:
        proof = on_disk(key, count)
        return any(hmac.compare_digest(claim, proof) for claim in self._claims[count])

    def _was_cut_off(self) -> bool:
        """Whether the lines from here on may have gone when the machine stopped.

        That they were not on disk is believed of what the state does not prove to have been, and
        that the machine stopped if it has started since.
        """
        if self._on_disk < 0 or not self._boot or not boot_id():
            return False
        return self._boot != boot_id() and not self._is_due()

    def _is_due(self) -> bool:
        """Whether more lines than there are were on disk."""
        return any(
            self._is_proved(count, reached)
            for count in self._claims
            if count > self.lines and (reached := self._reached(count)) is not None
        )

    def _compare(self, path: Path, earlier: Slots, later: Slots) -> None:
        """Compare what the state promises with the lines that are there.

        A slot is believed when its key is K_count: only who had that key could write it, and
        from it no earlier key, hence no earlier line, can be made.
        """
        if not self.lines:
            raise Found(path, 0, "truncated", "no line is left")
        promised = [count for count, key in earlier if self._is_ahead(count, key)]
        if promised:
            message = f"{max(promised)} lines were written, {self.lines} are there"
            if not self._was_cut_off():
                raise Found(path, 0, "truncated", message)
            message += f", {self._on_disk} at least were on disk when the machine stopped"
            raise Found(path, 0, "unsynced", message)
        if earlier and self._on_disk < 0 and not self._is_due():
            message = "what the state says of the lines on disk was changed"
            raise Found(path, 0, "state", message)
        # The state follows the line, so a kill between the two leaves it one behind.
        if any(
            (count == self.lines and key == self._key)
            or (count == self.lines - 1 and key == self._before)
            or self._is_ahead(count, key)  # written on meanwhile
            for count, key in later
        ):
            return
        if not later:
            raise Found(path, 0, "state", "the state file is missing or has another size")
        if self._was_cut_off() and self._is_older(earlier):
            message = "the state is older than the lines: the machine stopped before it was on disk"
            self.torn = self.torn or Problem(path, 0, "state", message)
            return
        message = f"the state does not belong to these {self.lines} lines: changed or put back"
        raise Found(path, 0, "state", message)

    def _is_ahead(self, count: int, key: bytes) -> bool:
        """Say whether `key` is K_count for a count beyond the lines that are there."""
        return self._reached(count) == key

    def _reached(self, count: int) -> bytes | None:
        """Return K_count for a count beyond the lines that are there."""
        steps = count - self.lines
        if not 0 < steps <= _MAX_AHEAD:
            return None
        reached = self._key
        for _ in range(steps):
            reached = next_key(reached)
        return reached

    def _is_older(self, slots: Slots) -> bool:
        """Whether the state is that of lines which are there, and not before those on disk."""
        return any(self._on_disk <= count < self.lines for count, _ in slots) and all(
            self._key_at(count) == key for count, key in slots if count < self.lines
        )

    def _key_at(self, count: int) -> bytes:
        """Return K_count of the lines that are there, from the first on."""
        key = self._first
        for _ in range(count):
            key = next_key(key)
        return key


def _opened(event: bytes) -> Event:
    """Return the first event, which names the root key; the chain proves it afterwards."""
    try:
        return msgspec.json.decode(event, type=Event)
    except (msgspec.DecodeError, RecursionError) as error:
        message = "the first line names no key"
        raise UnknownKey(message) from error


def _read_slots(path: Path) -> tuple[Slots, Slots]:
    """Return the slots of what is written, and of what is on disk."""
    try:
        with open_regular(path) as file:
            data = file.read(STATE_BYTES + 1)
    except FileNotFoundError:
        return [], []
    if len(data) != STATE_BYTES:
        return [], []
    slots = list(STATE.iter_unpack(data))
    return slots[:STATE_SLOTS], slots[STATE_SLOTS:]
