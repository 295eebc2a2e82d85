"""safehold: one policy for the code, files and data of a Python ML or data service."""

from __future__ import annotations

from safehold._version import __version__

TYPE_CHECKING = False  # `typing` would take longer to import than all of this
if TYPE_CHECKING:
    from safehold import artifacts, compat, deploy, guard, scan, web
    from safehold.artifacts import Store
    from safehold.compat import use
    from safehold.context import Context
    from safehold.errors import SafeholdError
    from safehold.findings import Confidence, Finding, Severity
    from safehold.policy import Policy

__all__ = [
    "Confidence",
    "Context",
    "Finding",
    "Policy",
    "SafeholdError",
    "Severity",
    "Store",
    "__version__",
    "artifacts",
    "compat",
    "deploy",
    "guard",
    "scan",
    "use",
    "web",
]

# Name -> module that defines it; loaded at first use so that `import safehold` stays small.
_LAZY = {
    "Confidence": "safehold.findings",
    "Context": "safehold.context",
    "Finding": "safehold.findings",
    "Policy": "safehold.policy",
    "SafeholdError": "safehold.errors",
    "Severity": "safehold.findings",
    "Store": "safehold.artifacts",
    "artifacts": "",
    "compat": "",
    "deploy": "",
    "guard": "",
    "scan": "",
    "use": "safehold.compat",
    "web": "",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        message = f"module 'safehold' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    module = _LAZY[name]
    value = getattr(import_module(module), name) if module else import_module(f"safehold.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
