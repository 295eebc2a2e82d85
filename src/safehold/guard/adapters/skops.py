"""skops: types that the program trusts because the file says that it needs them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from safehold.guard.adapters import in_place_of
from safehold.guard.gate import Gate
from safehold.guard.grants import MINTED


def apply(module: ModuleType, gate: Gate) -> None:
    """Judge each name before it is looked up: any class, no known danger."""
    found: Any = module
    raw = found._import_obj  # noqa: SLF001

    def import_obj(module: Any, cls_or_func: Any, package: Any = None) -> Any:
        frame = sys._getframe(1)  # noqa: SLF001
        gate.check_name(module, cls_or_func, MINTED, frame, loader="skops")
        return raw(module, cls_or_func, package)

    found._import_obj = in_place_of(raw, import_obj)  # noqa: SLF001
