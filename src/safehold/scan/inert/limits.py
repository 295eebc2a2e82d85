"""What the process that reads one file may use."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

_MIB: Final = 2**20
# Files up to this size get the least.
_SMALL: Final = 64 * _MIB


@dataclass(frozen=True, slots=True)
class Allowance:
    """Bytes of memory beyond those of an idle process, seconds of CPU and of waiting."""

    memory: int
    cpu: int
    wall: float

    @classmethod
    def of(cls, size: int) -> Allowance:
        """Return what a file of this size may take.

        A pickle unpacks to several times its size; small numbers take four times as much.
        """
        more = max(0, size - _SMALL)
        cpu = 4 + more // (32 * _MIB)
        return cls(memory=256 * _MIB + 6 * more, cpu=cpu, wall=4.0 * cpu)

    def within(self, seconds: float, memory: int) -> Allowance:
        """Return the same with no more CPU and memory than is left for the file, or a second."""
        cpu = max(1, math.floor(min(self.cpu, seconds)))
        return replace(self, cpu=cpu, wall=4.0 * cpu, memory=min(self.memory, memory))
