"""PyTorch: its own unpickler of weights, and packages, which hold Python source to be run."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from safehold import dangers
from safehold.guard.adapters import in_place_of
from safehold.guard.gate import Gate
from safehold.guard.grants import UNTRUSTED


def apply(module: ModuleType, gate: Gate) -> None:
    """Change one of its modules."""
    if module.__name__ == "torch._weights_only_unpickler":
        _weights_only(module, gate)
    else:
        _package(module, gate)


def _weights_only(module: Any, gate: Gate) -> None:
    """Refuse functions that act on the system, even where the program has called them safe."""
    raw = module._get_user_allowed_globals  # noqa: SLF001

    def allowed() -> dict[str, Any]:
        named: dict[str, Any] = raw()
        for path, what in named.items():
            home = getattr(what, "__module__", None), getattr(what, "__qualname__", None)
            danger = dangers.lookup(*home) if all(type(part) is str for part in home) else None  # type: ignore[arg-type]
            if danger is not None:
                message = f"{path} was added to the safe globals of torch, and {danger.why}"
                gate.refuse(message, UNTRUSTED, sys._getframe(2), path, loader="torch",  # noqa: SLF001
                            rule="SH176")  # fmt: skip
        return named

    module._get_user_allowed_globals = in_place_of(raw, allowed)  # noqa: SLF001


def _package(module: Any, gate: Gate) -> None:
    """Refuse to run the Python source that a package brings along."""
    kind = module.PackageImporter
    raw = kind._compile_source  # noqa: SLF001

    def compile_source(self: Any, fullpath: str, mangled_filename: str) -> Any:
        message = f"the package holds Python source, {fullpath}, which importing it would run"
        gate.refuse(message, UNTRUSTED, sys._getframe(1), fullpath, loader="torch.package",  # noqa: SLF001
                    rule="SH176")  # fmt: skip
        return raw(self, fullpath, mangled_filename)

    kind._compile_source = in_place_of(raw, compile_source)  # noqa: SLF001
