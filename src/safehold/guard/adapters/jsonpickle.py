"""jsonpickle: classes that JSON names, unless this process encoded the very text itself."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from safehold.guard import entries, minted
from safehold.guard.adapters import in_place_of
from safehold.guard.gate import Gate
from safehold.guard.grants import MINTED, UNTRUSTED, Grant, live_grant


def apply(module: ModuleType, gate: Gate) -> None:
    """Change the part that reads or the part that writes."""
    found: Any = module
    if module.__name__.endswith("pickler"):
        if module.__name__.endswith("unpickler"):
            _unpickler(found, gate)
        else:
            found.encode = _encode_of(found.encode)


def _unpickler(module: Any, gate: Gate) -> None:
    raw_class, raw_repr, raw_decode = module.loadclass, module.loadrepr, module.decode

    def loadclass(name: Any, classes: Any = None, *args: Any, **options: Any) -> Any:
        text = str(name)
        if isinstance(classes, dict) and text in classes:
            # The program itself gave the class, and its own may do what they like.
            gate.check_object(classes[text], None, None, MINTED, sys._getframe(1))  # noqa: SLF001
            return raw_class(name, classes, *args, **options)
        owner, _, member = text.rpartition(".")
        frame = sys._getframe(1)  # noqa: SLF001
        grant = _grant()
        gate.check_name(owner or "builtins", member, grant, frame, loader="jsonpickle")
        return raw_class(name, classes, *args, **options)

    def loadrepr(text: Any, *args: Any, **options: Any) -> Any:
        frame = sys._getframe(1)  # noqa: SLF001
        message = "the JSON holds an expression to evaluate"
        gate.refuse(message, _grant(), frame, "py/repr", loader="jsonpickle",
                    rule="SH176")  # fmt: skip
        return raw_repr(text, *args, **options)

    def decode(string: Any, *args: Any, **options: Any) -> Any:
        grant = UNTRUSTED
        if isinstance(string, str) and minted.is_minted(string.encode("utf-8", "surrogatepass")):
            grant = MINTED
        return entries.under(grant, raw_decode, string, *args, **options)

    module.loadclass = in_place_of(raw_class, loadclass)
    module.loadrepr = in_place_of(raw_repr, loadrepr)
    module.decode = in_place_of(raw_decode, decode)


def _grant() -> Grant:
    """Return what the text may name; a channel's messages are never JSON."""
    grant = live_grant()
    return UNTRUSTED if grant is None or grant.unrestricted else grant


def _encode_of(raw: Any) -> Any:
    def encode(*args: Any, **options: Any) -> Any:
        text = raw(*args, **options)
        if isinstance(text, str):
            minted.remember(text.encode("utf-8", "surrogatepass"))
        return text

    return in_place_of(raw, encode)
