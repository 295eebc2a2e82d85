"""`logging.config.listen`: a configuration from a socket is evaluated, so nobody listens."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from safehold.guard.gate import Gate
from safehold.guard.grants import UNTRUSTED


def apply(module: ModuleType, gate: Gate) -> None:
    """Refuse to listen: what such a socket receives is evaluated, by design."""
    found: Any = module
    raw = found.listen

    def listen(*args: Any, **options: Any) -> Any:
        message = "logging.config.listen evaluates what it receives; read a file of your own"
        gate.refuse(message, UNTRUSTED, sys._getframe(1), "listen", loader="logging.config",  # noqa: SLF001
                    rule="SH176")  # fmt: skip
        return raw(*args, **options)

    found.listen = listen
