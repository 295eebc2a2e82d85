"""Read a trail's newest lines and follow it, without verifying anything: `check` does that."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safehold.observe.lines import Query, parse_line

Row = dict[str, Any]
EVERYTHING = Query()

_STEP = 2**20


class Tail:
    """The lines of all writers in order of time; remembers how far each file was read."""

    def __init__(self, directory: Path, query: Query = EVERYTHING) -> None:
        self._directory = directory
        self._query = query
        self._read: dict[Path, int] = {}

    def last(self, count: int) -> list[Row]:
        """Return the newest `count` lines, and go on after them."""
        rows: list[Row] = []
        for files in self._writers():
            own: list[Row] = []
            for file in reversed(files):
                wanted = len(own) < count
                lines = list(self._new_lines(file)) if wanted else self._skip(file)
                own = [row for line in lines if (row := self._row(line)) is not None] + own
            rows += own[-count:] if count > 0 else []
        return _sorted(rows)[-count:] if count > 0 else []

    def new(self) -> list[Row]:
        """Return what was written since the last call."""
        return _sorted(
            row
            for files in self._writers()
            for file in files
            for line in self._new_lines(file)
            if (row := self._row(line)) is not None
        )

    def _writers(self) -> Iterator[list[Path]]:
        """Yield each writer's segments; a writer or the whole trail may be removed meanwhile."""
        try:
            homes = sorted(self._directory.iterdir())
        except FileNotFoundError:
            homes = []
        for home in homes:
            if home.is_dir() and not home.name.startswith("."):
                yield _segments(home)
        for file in [file for file in self._read if not file.exists()]:
            del self._read[file]

    def _skip(self, file: Path) -> list[bytes]:
        with contextlib.suppress(FileNotFoundError):
            self._read[file] = file.stat().st_size
        return []

    def _new_lines(self, file: Path) -> Iterator[bytes]:
        """Yield the complete lines after those that were read before."""
        try:
            handle = open(file, "rb", opener=_open)  # noqa: SIM115  closed below
        except FileNotFoundError:
            return  # removed since the directory was read
        with handle:
            position = handle.seek(self._read.get(file, 0))
            while line := handle.readline(_STEP):
                if not line.endswith(b"\n") and len(line) < _STEP:
                    break  # still being written
                position += len(line)
                yield line
            self._read[file] = position

    def _row(self, line: bytes) -> Row | None:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return None  # `check` is what reports damage
        if not isinstance(row, dict):
            return None
        if self._query == EVERYTHING:
            return row
        found = parse_line(line)
        is_asked_for = found is not None and self._query.takes(found.time, found.event)
        return row if is_asked_for else None


def _segments(home: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(home))
    except FileNotFoundError:
        return []  # removed meanwhile
    files = [home / name for name in names if name.endswith(".jsonl")]
    return [file for file in files if file.is_file()]


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _sorted(rows: Any) -> list[Row]:
    def key(row: Row) -> tuple[str, str, int]:
        sequence = row.get("seq")
        return str(row.get("t")), str(row.get("w")), sequence if isinstance(sequence, int) else 0

    return sorted(rows, key=key)
