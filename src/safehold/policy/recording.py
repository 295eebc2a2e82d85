"""``[trail]``: how the trail is kept: size of its files, time until disk, age, and witnesses."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from safehold.policy.alerts import LOOPBACK, Reading, url_problem
from safehold.policy.sizes import parse_size, size_text

KEYS: Final = ("segment", "sync", "keep_days", "witness", "witness_every")
_LEAST: Final = 64 * 2**10
_MOST: Final = 2**40
_WHOLE: Final = {"keep_days": (0, 36_500), "witness_every": (1, 86_400)}


@dataclass(frozen=True, slots=True)
class Recording:
    """How the trail is kept.

    ``segment``: bytes after which a file is followed by another. ``sync``: seconds after which a
    line is on disk; refusals are at once. ``keep_days``: what `safehold trail prune` leaves, 0 if
    it has to be said each time. ``witness``: where checkpoints go, every ``witness_every`` seconds
    in which something was recorded.
    """

    segment: int = 64 * 2**20
    sync: float = 0.2
    keep_days: int = 0
    witness: tuple[str, ...] = ()
    witness_every: int = 60


def parse_recording(data: dict[str, Any], reading: Reading) -> Recording:
    """Build it from the table. Raises ConfigError."""
    error = reading.error
    given: dict[str, Any] = {}
    for key, (least, most) in _WHOLE.items():
        value = data.get(key, least)
        if type(value) is not int or not least <= value <= most:
            raise error(f"trail.{key}", f"must be a whole number, {least:,} to {most:,}")
        if key in data:
            given[key] = value
    if "segment" in data:
        size = parse_size(data["segment"]) if isinstance(data["segment"], str) else -1
        if not _LEAST <= size <= _MOST:
            raise error("trail.segment", 'must be a size such as "64 MiB", 64 KiB to 1 TiB')
        given["segment"] = size
    if "sync" in data:
        seconds = data["sync"]
        if type(seconds) not in (int, float) or not 0.01 <= seconds <= 60:
            raise error("trail.sync", "must be seconds, 0.01 to 60")
        given["sync"] = float(seconds)
    witnesses = data.get("witness", [])
    if not isinstance(witnesses, list):
        raise error("trail.witness", "must be a list of witnesses")
    for one in witnesses:
        problem = _witness_problem(one)
        if problem:
            raise error("trail.witness", problem)
    for key in KEYS:
        reading.noted(f"trail.{key}")
    return Recording(witness=tuple(witnesses), **given)


def _witness_problem(text: object) -> str:
    if not isinstance(text, str) or not text.isprintable():
        return "must be a list of printable strings"
    kind, _, rest = text.partition(":")
    if kind == "file" and rest:
        return ""
    if kind == "cmd":
        try:
            return "" if shlex.split(rest) else "has a cmd: without a program"
        except ValueError as error:
            return f"has a cmd: that cannot be split ({error})"
    if kind in ("https", "http"):
        problem = url_problem("webhook", text)
        return f"has an address that {problem}" if problem else ""
    return f"must be of file:PATH, cmd:PROGRAM ARG..., https://..., or http:// of {LOOPBACK[0]}"


def recording_lines(recording: Recording, quote: Callable[[str], str]) -> Iterator[str]:
    """Yield what is not as by default, for the table that has the path."""
    default = Recording()
    if recording.segment != default.segment:
        yield f"segment = {quote(size_text(recording.segment))}"
    for key in ("sync", "keep_days", "witness_every"):
        if getattr(recording, key) != getattr(default, key):
            yield f"{key} = {getattr(recording, key)}"
    if recording.witness:
        yield f"witness = [{', '.join(map(quote, recording.witness))}]"
