"""What a program makes values of untrusted bytes with: hooks of msgpack, converters of sqlite3.

Which value it is, they decide; what acts on the system while they do so is contained, as it is
within an unpickle.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from safehold.guard import entries
from safehold.guard.adapters import in_place_of
from safehold.guard.gate import Gate
from safehold.guard.grants import UNTRUSTED, live_grant


def apply(module: ModuleType, gate: Gate) -> None:  # noqa: ARG001
    """Change one of the modules."""
    if module.__name__ == "_sqlite3":
        _sqlite(module)
    else:
        _msgpack(module)


def _contained(hook: Any) -> Any:
    if not callable(hook):
        return hook

    def call(*args: Any) -> Any:
        if live_grant() is not None:
            return hook(*args)
        return entries.under(UNTRUSTED, hook, *args)

    return call


def _sqlite(module: Any) -> None:
    raw = module.register_converter

    def register_converter(typename: str, converter: Any, /) -> None:
        raw(typename, _contained(converter))

    module.register_converter = in_place_of(raw, register_converter)


_HOOKS = ("ext_hook", "list_hook", "object_hook", "object_pairs_hook")


def _with_contained(options: dict[str, Any]) -> dict[str, Any]:
    return {name: _contained(value) if name in _HOOKS else value for name, value in options.items()}


def _msgpack(module: Any) -> None:
    kind: Any = module.Unpacker
    raw = module.unpackb

    class Unpacker(kind):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **_with_contained(options))

    module.Unpacker = in_place_of(kind, Unpacker)
    if module.__name__.endswith("._cmsgpack"):  # in Python it makes an Unpacker

        def unpackb(packed: Any, **options: Any) -> Any:
            return raw(packed, **_with_contained(options))

        module.unpackb = in_place_of(raw, unpackb)
