"""Engines with the guard before them, and the events that it recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safehold import db
from safehold.context import Context
from safehold.events import Recorder
from safehold.keys import Key, Keyring
from safehold.policy import Policy
from tests.holding import SECRET, Events


def make_hold(root: Path, **changes: Any) -> tuple[Context, Events]:
    events = Events()
    policy = Policy(root=root, **changes)
    return Context(policy, Keyring(Key("k", SECRET)), Recorder(events)), events


def guarded(root: Path, url: Any, **options: Any) -> tuple[Any, Events]:
    """Return an engine that the guard enforces at, and its events."""
    hold, events = make_hold(root)
    return db.guard(url, hold, **{"mode": "enforce", "slow_ms": 60_000, **options}), events


def summary(events: Events) -> list[str]:
    """Return what each event is, in a word or two."""
    return [
        f"{event.action} {event.outcome}" + (f" {event.rule}" if event.rule else "")
        for event in events.rows
    ]
