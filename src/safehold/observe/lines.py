"""Lines of a trail as values, and which of them are asked for."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from safehold.errors import ConfigError
from safehold.events import Event


class Line(NamedTuple):
    """One line: as it stands in the file, and what it says."""

    raw: bytes
    time: str
    writer: str
    sequence: int
    event: Event
    mac: str

    @property
    def id(self) -> str:
        """What the line is called wherever it is exported to."""
        return f"{self.writer}:{self.sequence}"

    @property
    def milliseconds(self) -> int:
        """The time since 1970."""
        seconds = datetime.fromisoformat(self.time) - datetime(1970, 1, 1, tzinfo=UTC)
        return seconds // timedelta(milliseconds=1)

    @property
    def pid(self) -> int | None:
        """The process that wrote it, as its writer's name says."""
        part = self.writer.split("-")[1:2]
        return int(part[0]) if part and part[0].isdigit() and len(part[0]) < 10 else None


class _Written(msgspec.Struct):
    t: str
    w: str
    seq: int
    e: Event
    mac: str = ""


_decode = msgspec.json.Decoder(_Written).decode


def parse_line(raw: bytes) -> Line | None:
    """Return a line as a value; None for what is none."""
    try:
        found = _decode(raw)
        if datetime.fromisoformat(found.t).tzinfo is None:
            return None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return Line(raw.rstrip(b"\n"), found.t, found.w, found.seq, found.e, found.mac)


_LONGEST = 2**20


def read_lines(directory: Path) -> Iterator[Line]:
    """Yield the lines of every writer as they stand there, verified or not. Raises OSError."""
    for home in sorted(directory.iterdir()):
        if home.name.startswith(".") or home.is_symlink() or not home.is_dir():
            continue
        for path in sorted(home.glob("*.jsonl")):
            if path.is_symlink() or not path.is_file():
                continue
            with open(path, "rb") as file:
                while raw := file.readline(_LONGEST):
                    line = parse_line(raw)
                    if line is not None:
                        yield line


_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(text: str, now: datetime) -> str:
    """Return a time as lines of the trail have it: of a date, of RFC 3339, or of `2h` ago.

    Raises:
        ConfigError: it is none of these.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = (
            f"{text!r} is no time; give 2026-01-31, 2026-01-31T12:00:00Z or 2h (s m h d w) ago"
        )
        raise ConfigError(message) from error
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


@dataclass(frozen=True, slots=True)
class Query:
    """Which lines are asked for; what is empty asks for nothing.

    ``since`` and ``until`` are times as lines have them, the first included. In the others `*`
    stands for any characters; ``request`` is an id, or NAME=ID.
    """

    since: str = ""
    until: str = ""
    action: str = ""
    outcome: str = ""
    rule: str = ""
    zone: str = ""
    artifact: str = ""
    caller: str = ""
    request: str = ""

    def takes(self, time: str, event: Event) -> bool:
        """Say whether a line is asked for."""
        if time < self.since or (self.until and time >= self.until):
            return False
        for name in FIELDS:
            wanted = getattr(self, name)
            if wanted and not fnmatch.fnmatchcase(getattr(event, name), _escaped(wanted)):
                return False
        return not self.request or self._is_of_request(event)

    def _is_of_request(self, event: Event) -> bool:
        name, equals, value = self.request.partition("=")
        for known, found in event.request.items():
            if fnmatch.fnmatchcase(found, _escaped(self.request)):
                return True
            if equals and known == name and fnmatch.fnmatchcase(found, _escaped(value)):
                return True
        return False


FIELDS = ("action", "outcome", "rule", "zone", "artifact", "caller")
"""Fields of events that a query asks for by their own names."""


def _escaped(pattern: str) -> str:
    return pattern.replace("[", "[[]").replace("?", "[?]")
