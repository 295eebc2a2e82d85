"""zodbpickle: a copy of CPython's unpicklers that raises no events, and ZODB on top of it."""

from __future__ import annotations

import gc
from types import ModuleType
from typing import Any

from safehold.guard import entries, minted, unpicklers
from safehold.guard.adapters import in_place_of
from safehold.guard.gate import Gate
from safehold.guard.grants import MINTED, UNTRUSTED


def apply(module: ModuleType, gate: Gate) -> None:
    """Judge each name before it is looked up, in both unpicklers."""
    if module.__name__ == "ZODB.serialize":
        _serialize(module)
    elif module.__name__.endswith("._pickle"):
        _c_module(module, gate)
    else:
        kind = module._Unpickler  # noqa: SLF001
        kind.find_class = _judged_find(kind.find_class, gate)
        unpicklers.adapt(module)


def _c_module(module: Any, gate: Gate) -> None:
    kind = module.Unpickler
    own: dict[str, Any] = gc.get_referents(kind.__dict__)[0]
    raw_load = own["load"]
    own["find_class"] = _judged_find(own["find_class"], gate)

    def load(self: Any) -> Any:
        grant = getattr(self, "_safehold_grant", None) or UNTRUSTED
        if type(self) is kind:
            return entries.under(grant, raw_load, self)  # it has nothing of the program's own
        return unpicklers.load_judged(self, raw_load, grant)

    own["load"] = load
    unpicklers.forget_lookups(kind)
    # The functions read with the type, and pass its method by.
    for name in ("load", "loads"):
        setattr(module, name, _untrusted(getattr(module, name)))


def _untrusted(raw: Any) -> Any:
    def load(*args: Any, **options: Any) -> Any:
        return entries.under(UNTRUSTED, raw, *args, **options)

    return in_place_of(raw, load)


def _judged_find(original: Any, gate: Gate) -> Any:
    def find_class(self: Any, module: Any, name: Any) -> Any:
        frame = entries.caller(1)
        grant = unpicklers.current(frame)
        if grant.unrestricted:  # no message of a channel is a pickle of ZODB's
            grant = UNTRUSTED
        gate.check_name(module, name, grant, frame, loader="zodbpickle")
        return original(self, module, name)

    return find_class


def _serialize(module: Any) -> None:
    """Know records again that this process wrote."""
    raw_dump = module.ObjectWriter._dump  # noqa: SLF001
    raw_unpickler = module.ObjectReader._get_unpickler  # noqa: SLF001

    def dump(self: Any, classmeta: Any, state: Any) -> bytes:
        data: bytes = raw_dump(self, classmeta, state)
        minted.remember(data)
        return data

    def get_unpickler(self: Any, pickle: bytes) -> Any:
        made = raw_unpickler(self, pickle)
        made._safehold_grant = MINTED if minted.is_minted(bytes(pickle)) else UNTRUSTED  # noqa: SLF001
        return made

    module.ObjectWriter._dump = dump  # noqa: SLF001
    module.ObjectReader._get_unpickler = get_unpickler  # noqa: SLF001
