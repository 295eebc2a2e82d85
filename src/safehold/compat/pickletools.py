"""The `pickletools` module; `optimize` leaves what is sealed as it is, the rest is unchanged.

Programs shorten the pickles that they store or look up. A sealed one is no pickle to pickletools,
and has no superfluous opcodes that an index would notice: equal values are sealed equally.
"""

from __future__ import annotations

import pickletools
from typing import Any

from safehold.artifacts.container import is_sealed

__all__ = tuple(pickletools.__all__)


def __getattr__(name: str) -> Any:
    return getattr(pickletools, name)


def optimize(p: bytes) -> bytes:
    """Return sealed bytes as they are, and a pickle without the opcodes that it does not need."""
    return p if is_sealed(p) else pickletools.optimize(p)
