"""Removes writers of a trail that are old enough, and has the manifest say which."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from safehold.keys import Keyring
from safehold.observe.check import check_trail
from safehold.observe.check_manifest import Listed
from safehold.observe.manifest import Manifest
from safehold.observe.writer import boot_id

_LONGEST = 2**20


class _Line(msgspec.Struct):
    """What is needed of a line that was verified."""

    t: str
    mac: str
    e: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of one writer: ``kept`` says why it is still there, or nothing."""

    writer: str
    lines: int
    kept: str = ""


def prune(
    directory: Path,
    keyring: Keyring,
    before: datetime,
    tell: Callable[[Pruned], object] = lambda _: None,
) -> Iterator[Pruned]:
    """Remove the writers whose last line is older than a moment, and yield them.

    `tell` is told of each before it is removed.

    A writer that does not verify, or whose process may still write, is kept and says why; younger
    ones are not named. The manifest is told first: a kill in between leaves files that the next
    call removes.

    Raises:
        OSError: the manifest cannot be written, or files cannot be removed.
    """
    listed = Listed(directory, keyring)
    if listed.problems:
        yield Pruned(".manifest", 0, f"nothing is removed: {listed.problems[0]}")
        return
    manifest = Manifest(directory, keyring.local)
    for result in check_trail(directory, keyring):
        home = directory / result.writer
        if result.problem is not None:
            yield Pruned(result.writer, result.lines, f"it does not verify: {result.problem}")
            continue
        first, last = _ends(home)
        if datetime.fromisoformat(last.t) >= before.astimezone(UTC):
            continue
        entry = listed.entry(result.writer)
        state = entry.what if entry is not None else ""
        if state not in {"ended", "removed"} and _may_write(first):
            yield Pruned(result.writer, result.lines, "its process is still there")
            continue
        pruned = Pruned(result.writer, result.lines)
        tell(pruned)
        if state != "removed":
            manifest.add("removed", result.writer, result.lines, bytes.fromhex(last.mac))
        shutil.rmtree(home)
        yield pruned


def _ends(home: Path) -> tuple[_Line, _Line]:
    """Return the first and the last complete line of a writer that was verified."""
    segments = sorted(home.glob("*.jsonl"))
    with open(segments[0], "rb") as file:
        first = msgspec.json.decode(file.readline(), type=_Line)
    for segment in reversed(segments):
        with open(segment, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LONGEST))
            lines = [line for line in file if line.endswith(b"\n")]
        if lines:
            return first, msgspec.json.decode(lines[-1], type=_Line)
    return first, first


def _may_write(first: _Line) -> bool:
    """Whether the process of a writer may still be there.

    One of another machine, or of an earlier start of this one, is taken to be gone; a writer that
    finds its files deleted begins anew.
    """
    detail = first.e.get("detail")
    detail = detail if isinstance(detail, dict) else {}
    boot, pid = detail.get("boot"), detail.get("pid")
    if boot and boot_id() and boot != boot_id():
        return False
    try:
        os.kill(pid if isinstance(pid, int) else 0, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
