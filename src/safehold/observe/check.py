"""Check a trail: recompute every chain, compare with the state, name the first bad line.

The state is read before and after the lines, so that a writer that goes on meanwhile raises
no alarm: what was written before must be there, and what is there must be as old as the
state afterwards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from safehold.errors import UnknownKey
from safehold.events import Event
from safehold.keys import Keyring
from safehold.observe.chain import (
    STATE,
    STATE_BYTES,
    STATE_SLOTS,
    first_key,
    key_after,
    segment_name,
)
from safehold.observe.following import Place, follow, is_proved
from safehold.observe.problems import Found, Problem, Verified, open_regular
from safehold.observe.writer import boot_id

Slots = list[tuple[int, bytes]]

_MAX_AHEAD = 2_000_000  # steps of the key to look ahead for a count that the lines do not reach
_WRITER = re.compile(r"\d{8}T\d{6}-\d+-[0-9a-f]{12}(?:-[0-9a-f]{16})?")


def check_trail(directory: Path, keyring: Keyring) -> Iterator[Verified]:
    """Check every writer below `directory`, oldest first; raises OSError if that is unreadable.

    Hidden directories are writers that were killed before their first line.
    """
    for name, problem in homes(directory):
        yield problem or Check(directory / name, keyring).result()


def homes(directory: Path) -> Iterator[tuple[str, Verified | None]]:
    """Yield the name of each writer, and what is wrong with the name itself. Raises OSError."""
    for name in sorted(os.listdir(directory)):
        path = directory / name
        if name.startswith(".") or not path.is_dir():
            continue
        if _WRITER.fullmatch(name):
            yield name, None
            continue
        try:
            items = os.listdir(path)
        except OSError as error:
            yield name, _unreadable(path, error)
            continue
        if any(item == "state" or item.endswith(".jsonl") for item in items):
            problem = Problem(path, 0, "writer", "not the name of a writer: renamed")
            yield name, Verified(name, 0, problem)
        # else lost+found and the like


def _unreadable(path: Path, error: OSError) -> Verified:
    return Verified(path.name, 0, Problem(path, 0, "unreadable", f"{error.strerror}"))


class Check:
    """Reading of one writer. Its keys are attributes, which no traceback shows."""

    def __init__(self, directory: Path, keyring: Keyring) -> None:
        self.directory = directory
        self.keyring = keyring
        self.place = Place()
        self.torn: Problem | None = None
        self._first = b""  # K_0
        self.claims: dict[int, list[bytes]] = {}
        self._earlier: Slots = []
        self._boot = ""

    def result(self) -> Verified:
        name = self.directory.name
        try:
            self.begin()
            for path in self.segments():
                self._read(path)
            self.compare()
        except Found as found:
            return Verified(name, self.place.lines, found.problem, self.torn)
        except OSError as error:
            return _unreadable(self.directory, error)
        return self.held()

    def held(self) -> Verified:
        """Return the result of a writer without a problem."""
        place = self.place
        return Verified(self.directory.name, place.lines, None, self.torn, place.mac.hex())

    def begin(self) -> None:
        """Read the state before the lines."""
        self._earlier, claims = _read_slots(self.directory / "state")
        for count, proof in claims:
            self.claims.setdefault(count, []).append(proof)

    def segments(self) -> Iterator[Path]:
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
        def first_key_of(number: int, event: bytes) -> bytes:
            return self.open(path, number, event)

        self.torn = follow(
            path,
            os.fsencode(self.directory.name),
            self.place,
            self.claims,
            first_key_of=first_key_of,
            was_cut_off=self._was_cut_off,
        )

    def open(self, path: Path, number: int, event: bytes) -> bytes:
        """Return K_0, given the first event. Raises Found."""
        try:
            opened = _opened(event)
            key = self.keyring.local_by_id(opened.key)
        except UnknownKey as error:
            raise Found(path, number, "key", str(error)) from error
        self._boot = str(opened.detail.get("boot", ""))
        self._first = first_key(key, self.directory.name)
        return self._first

    def _was_cut_off(self) -> bool:
        """Whether the lines from here on may have gone when the machine stopped.

        That they were not on disk is believed of what the state does not prove to have been, and
        that the machine stopped if it has started since.
        """
        if self.place.on_disk < 0 or not self._boot or not boot_id():
            return False
        return self._boot != boot_id() and not self._is_due()

    def _is_due(self) -> bool:
        """Whether more lines than there are were on disk."""
        return any(
            is_proved(self.claims, count, reached)
            for count in self.claims
            if count > self.place.lines and (reached := self._reached(count)) is not None
        )

    def compare(self) -> None:
        """Compare what the state promises with the lines that are there.

        A slot is believed when its key is K_count: only who had that key could write it, and
        from it no earlier key, hence no earlier line, can be made.
        """
        path, earlier = self.directory / "state", self._earlier
        later = _read_slots(path)[0]
        if not self.place.lines:
            raise Found(path, 0, "truncated", "no line is left")
        promised = [count for count, key in earlier if self._is_ahead(count, key)]
        if promised:
            message = f"{max(promised)} lines were written, {self.place.lines} are there"
            if not self._was_cut_off():
                raise Found(path, 0, "truncated", message)
            message += f", {self.place.on_disk} at least were on disk when the machine stopped"
            raise Found(path, 0, "unsynced", message)
        if earlier and self.place.on_disk < 0 and not self._is_due():
            message = "what the state says of the lines on disk was changed"
            raise Found(path, 0, "state", message)
        # The state follows the line, so a kill between the two leaves it one behind.
        if any(
            (count == self.place.lines and key == self.place.key)
            or (count == self.place.lines - 1 and key == self.place.before)
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
        message = (
            f"the state does not belong to these {self.place.lines} lines: changed or put back"
        )
        raise Found(path, 0, "state", message)

    def _is_ahead(self, count: int, key: bytes) -> bool:
        """Say whether `key` is K_count for a count beyond the lines that are there."""
        return self._reached(count) == key

    def _reached(self, count: int) -> bytes | None:
        """Return K_count for a count beyond the lines that are there."""
        steps = count - self.place.lines
        if not 0 < steps <= _MAX_AHEAD:
            return None
        return key_after(self.place.key, steps)

    def _is_older(self, slots: Slots) -> bool:
        """Whether the state is that of lines which are there, and not before those on disk."""
        return any(self.place.on_disk <= count < self.place.lines for count, _ in slots) and all(
            self._key_at(count) == key for count, key in slots if count < self.place.lines
        )

    def _key_at(self, count: int) -> bytes:
        """Return K_count of the lines that are there, from the first on."""
        return key_after(self._first, count)


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
