"""Plain files that are read although they are not sealed: those of the list in `pins`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import IO

from safehold.artifacts import streams
from safehold.artifacts.codecs import Buffer
from safehold.artifacts.codecs.pickle import split_pickles
from safehold.artifacts.container import Header, Sealed
from safehold.artifacts.objects import pickle_in_array
from safehold.artifacts.pins import OBJECTS, Pin, parse_pins, verified_text
from safehold.artifacts.target import Target
from safehold.errors import ConfigError, NotSealed
from safehold.keys import Keyring
from safehold.policy import MEMORY

_LARGEST = 64 * 2**20


class Listed(Sealed):
    """The content of a listed file, in place of a verified container; its header has no suite."""

    __slots__ = ()


class UnsealedList:
    """The list as it is now: a file that is replaced is read again."""

    def __init__(self, path: Path, keyring: Keyring) -> None:
        """Nothing is opened here."""
        self._path = path
        self._keyring = keyring
        self._seen: tuple[int, ...] | None = None
        self._by_name: Mapping[str, Pin] = {}
        self._in_memory: Mapping[str, Pin] = {}

    def lists(self, name: str) -> bool:
        """Say whether a file of this name may be read, if it is the one that is listed.

        Raises as `pins`.
        """
        return self._pin(name) is not None

    def of_file(self, fd: int, size: int, target: Target, limit: int) -> Listed | None:
        """Return the content of an opened file; None if it is not listed. Raises as `admitted`."""
        pin = self._pin(target.name)
        if pin is None or size > limit:
            return None
        return admitted(pin, streams.read_whole(fd, size), target)

    def of_handle(
        self, file: IO[bytes], start: bytearray, target: Target, limit: int
    ) -> Listed | None:
        """Return the next value of a handle, of which `start` was read; None if it is not listed.

        The whole file is read, once, and the handle left behind the value. Raises as `admitted`.
        """
        if not target.name:
            return self.of_bytes(streams.read_up_to(file, limit, start), target)
        pin = self._pin(target.name)
        if pin is None:
            return None
        try:
            file.seek(0)
        except (AttributeError, OSError, ValueError):  # a pipe, or a handle of somebody's own
            return None
        found = admitted(pin, streams.read_up_to(file, limit), target)
        if pin.several:
            file.seek(target.at + len(found.segments[0]))
        return found

    def of_bytes(self, data: Buffer, target: Target) -> Listed | None:
        """Return bytes that are read from a file and loaded by themselves; as `of_file`."""
        self._refresh()
        if target.zone.name != MEMORY.name or not self._in_memory:
            return None
        pin = self._in_memory.get(sha256(data).hexdigest())
        return None if pin is None else admitted(pin, data, target)

    def pins(self) -> tuple[Pin, ...]:
        """Return every entry; none without a list.

        Raises:
            Tampered, UnknownKey: the list is not authentic. ConfigError: it cannot be read.
        """
        self._refresh()
        return tuple(self._by_name.values())

    def _pin(self, name: str) -> Pin | None:
        self._refresh()
        pin = self._by_name.get(name)
        return None if pin is None or pin.in_memory else pin

    def _refresh(self) -> None:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except FileNotFoundError:
            self._take((), None)
            return
        except OSError as error:
            message = f"the list of unsealed files {self._path} cannot be read: {error.strerror}"
            raise ConfigError(message) from error
        try:
            status = os.fstat(fd)
            seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if seen == self._seen:
                return
            if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
                message = f"{self._path} is no list of unsealed files"
                raise ConfigError(message)
            with open(fd, "rb", closefd=False) as file:
                data = file.read(_LARGEST)
        finally:
            os.close(fd)
        text = verified_text(data, self._path, self._keyring)
        self._take(parse_pins(text, self._path), seen)

    def _take(self, pins: Iterable[Pin], seen: tuple[int, ...] | None) -> None:
        self._by_name = {pin.path: pin for pin in pins}
        found = [pin for pin in self._by_name.values() if pin.in_memory]
        self._in_memory = {pin.sha256: pin for pin in found}
        self._seen = seen


def admitted(pin: Pin, data: Buffer, target: Target) -> Listed:
    """Return the content of a listed file from the very bytes that were read.

    For a file of several pickles it is the one that begins at the target's position.

    Raises:
        NotSealed: its day has passed, or it is another file than was listed.
    """
    if datetime.now(UTC).date() > pin.until:
        message = (
            f"{target} is not sealed, and was listed to be read until {pin.until.isoformat()}; "
            f"seal it: safehold migrate PATH --data DIR --write"
        )
        raise NotSealed(message)
    if not pin.is_of(sha256(data).hexdigest()):
        message = (
            f"{target} is not sealed, and is another file than the one that was listed. If it is "
            f"yours, list it again: safehold migrate PATH --data DIR --unsealed-until DAY --write"
        )
        raise NotSealed(message)
    view = memoryview(data)
    if pin.form == OBJECTS:
        view = pickle_in_array(view)
    elif pin.several:
        view = _part_at(view, target.at)
    elif target.at:
        raise NotSealed(_NO_START)
    header = Header(
        v=1,
        suite="",
        key="",
        zone=target.zone.name,
        name=target.name,
        generation=pin.generation,
        created=0,
        codec="pickle" if pin.form == OBJECTS else pin.form,
        segments=[len(view)],
        meta={"until": pin.until.isoformat(), "sha256": pin.sha256},
        at=target.at,
        raw=True,
    )
    return Listed(header, bytes.fromhex(pin.sha256)[:16], [view])


_NO_START = "no value of a listed file begins at this position"


def _part_at(view: memoryview, at: int) -> memoryview:
    start = 0
    for part in split_pickles(bytes(view)):
        if start == at:
            return view[start : start + len(part)]
        start += len(part)
    raise NotSealed(_NO_START)


def listed_zone(target: Target) -> Target:
    """Return a target whose data may hold arrays, as what is converted for it may."""
    zone = target.zone
    if zone.trust == "internal":
        return target
    return target._replace(zone=replace(zone, allow=(*zone.allow, "numpy", "joblib")))
