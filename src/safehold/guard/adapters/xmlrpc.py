"""`xmlrpc.server`: dotted names that a request walks along, from an object into what it holds."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from safehold import dangers
from safehold.guard.adapters import in_place_of
from safehold.guard.gate import Gate
from safehold.guard.grants import UNTRUSTED


def apply(module: ModuleType, gate: Gate) -> None:
    """Refuse to walk into modules, and to what acts on the system."""
    found: Any = module
    raw = found.resolve_dotted_attribute

    def resolve_dotted_attribute(obj: Any, attr: str, allow_dotted_names: bool = True) -> Any:  # noqa: FBT001, FBT002  (as it has them)
        if not allow_dotted_names or "." not in attr:
            return raw(obj, attr, allow_dotted_names)
        owner = obj
        for part in attr.split("."):
            owner = raw(owner, part, allow_dotted_names=False)
            why = _why_not(owner)
            if why:
                message = f"the request names {attr}, and {part} {why}"
                gate.refuse(message, UNTRUSTED, sys._getframe(1), attr, loader="xmlrpc.server",  # noqa: SLF001
                            rule="SH176")  # fmt: skip
        return owner

    found.resolve_dotted_attribute = in_place_of(raw, resolve_dotted_attribute)


def _why_not(what: Any) -> str:
    if isinstance(what, ModuleType):
        return "is a module"
    home = getattr(what, "__module__", None), getattr(what, "__qualname__", None)
    if not all(type(part) is str for part in home):
        return ""
    danger = dangers.lookup(*home)  # type: ignore[arg-type]
    return "" if danger is None else danger.why
