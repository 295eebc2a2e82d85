"""`shelve`: in an internal zone each value is sealed together with its key."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

from safehold.guard import files
from safehold.guard.gate import Gate
from safehold.guard.grants import OWN, Held
from safehold.magic import MAGIC


def apply(module: ModuleType, gate: Gate) -> None:
    """Change how a shelf that stands in a file reads and writes."""
    shelf, named = module.Shelf, module.DbfilenameShelf
    raw_init, raw_get, raw_set = named.__init__, shelf.__getitem__, shelf.__setitem__

    def opened(self: Any, filename: Any, *args: Any, **options: Any) -> None:
        raw_init(self, filename, *args, **options)
        with Held(OWN), gate.hold.root.open_parent(os.fspath(filename)) as (_, _, place):
            zone = gate.hold.policy.zone_for(place.relative)
        self._safehold = (zone.name, place.real) if zone.trust == "internal" else None

    def get_item(self: Any, key: str) -> Any:
        zone = getattr(self, "_safehold", None)
        if zone is None or key in self.cache:
            return raw_get(self, key)
        data = bytes(self.dict[key.encode(self.keyencoding)])
        if not data.startswith(MAGIC):
            files.refuse_unsealed(gate, zone, sys._getframe(1))  # noqa: SLF001
            return raw_get(self, key)
        store = gate.store
        with Held(OWN):
            found, value = store.loads(data, zone=zone[0])
        if found != key:
            from safehold.errors import WrongContext

            message = f"sealed for the key {found!r} of a shelf, read as {key!r}"
            raise WrongContext(message)
        if self.writeback:
            self.cache[key] = value
        return value

    def set_item(self: Any, key: str, value: Any) -> None:
        zone = getattr(self, "_safehold", None)
        if zone is None or gate.mode != "enforce":
            raw_set(self, key, value)
            return
        if self.writeback:
            self.cache[key] = value
        store = gate.store
        with Held(OWN):
            sealed = store.dumps((key, value), zone=zone[0], prefer="pickle")
        self.dict[key.encode(self.keyencoding)] = sealed

    named.__init__, shelf.__getitem__, shelf.__setitem__ = opened, get_item, set_item
