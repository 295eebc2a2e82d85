"""A root with zones, a fixed key and a recorder that keeps its events in a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safehold.artifacts import Store
from safehold.context import Context
from safehold.events import Event, Recorder
from safehold.keys import Key, Keyring
from safehold.policy import DATA_CODECS, MEMORY, Policy, Zone

SECRET = bytes.fromhex("7c1e5b93a0d84f26b1e70c95d2386af4590ba7e81f6dc342985e07b46da1f23c")
OTHER_SECRET = bytes.fromhex("d94206bc5fe18a73046c9d1be25780fa37b1c8e4692d5f0a8e43b76c10f5d928")

ZONES = (
    Zone(
        "models",
        ("models/**",),
        "internal",
        ("joblib", "pickle", "json", "msgpack"),
        ("sklearn", "numpy", "scipy", "pandas"),
    ),
    Zone("second", ("second/**",), "internal", ("joblib", "pickle", "json", "msgpack"), ("numpy",)),
    Zone("cache", ("cache/**",), "internal", ("joblib", "pickle", "msgpack"), ("*",)),
    Zone("data", ("data/**",), "external", ("json", "msgpack")),
    Zone("tables", ("tables/**",), "external", DATA_CODECS),
)


@dataclass
class Events:
    """A trail in memory; `broken` makes it refuse."""

    rows: list[Event] = field(default_factory=list)
    broken: bool = False

    def export(self, event: Event) -> None:
        if self.broken:
            message = "no space left"
            raise OSError(message)
        self.rows.append(event)

    @property
    def refused(self) -> list[Event]:
        return [event for event in self.rows if event.outcome == "refused"]


@dataclass
class World:
    """What most tests of artifacts need."""

    root: Path
    hold: Context
    store: Store
    events: Events

    def again(self, **changes: Any) -> World:
        """Return the same root as another process would see it, perhaps with another policy."""
        return make_world(self.root, **changes)


def make_world(root: Path, /, *, keyring: Keyring | None = None, **changes: Any) -> World:
    for name in ("models", "second", "cache", "data", "tables", "outside"):
        (root / name).mkdir(exist_ok=True)
    memory = replace(MEMORY, allow=("numpy", "sklearn"))
    policy = replace(Policy(root=root, zones=ZONES, memory=memory), **changes)
    events = Events()
    keys = keyring or Keyring(Key("k1", SECRET))
    hold = Context(policy, keys, Recorder(events))
    return World(root, hold, Store(hold), events)


def world_of(root: Path) -> Iterator[World]:
    world = make_world(root)
    yield world
    world.hold.close()
