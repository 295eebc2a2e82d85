"""PyYAML and ruamel.yaml: tags that name Python objects.

Both have the same constructor methods, through which every such tag goes; the C loaders as well.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from safehold.guard.gate import Gate
from safehold.guard.grants import UNTRUSTED

_CLASSES = ("FullConstructor", "UnsafeConstructor", "Constructor")


def apply(module: ModuleType, gate: Gate) -> None:
    """Judge each name of a tag before it is looked up.

    Raises:
        LookupError: none of the classes that are known to do it is there.
    """
    found = [getattr(module, name) for name in _CLASSES if hasattr(module, name)]
    if not found and hasattr(module, "BaseConstructor"):
        return  # a version that has given up such tags
    if not found:
        message = f"none of {', '.join(_CLASSES)} is there"
        raise LookupError(message)
    for kind in found:
        make = vars(kind).get("make_python_instance")
        if make is not None:
            kind.make_python_instance = _judging(make, gate, module.__name__)
        for method in ("find_python_name", "find_python_module"):
            raw = vars(kind).get(method)
            if raw is not None:
                setattr(kind, method, _judging(raw, gate, module.__name__))


def _judging(raw: Any, gate: Gate, loader: str) -> Any:
    def judged(self: Any, name: Any, *args: Any, **options: Any) -> Any:
        text = name if isinstance(name, str) else str(name, "utf-8", "replace")
        owner, dot, member = text.rpartition(".")
        pair = (owner, member) if dot else ("builtins", text)
        if pair not in gate.plain:  # and no module is
            message = f"the YAML tag names {text}"
            frame = sys._getframe(1)  # noqa: SLF001
            gate.refuse(message, UNTRUSTED, frame, text, loader=loader, rule="SH176")
        return raw(self, name, *args, **options)

    return judged
