"""Powers of a row: what a callable can do for whoever chooses its arguments."""

from __future__ import annotations

import enum


class Power(enum.Flag):
    """What a callable can do for whoever chooses its arguments."""

    RUN_CODE = enum.auto()
    PROCESS = enum.auto()
    FILE = enum.auto()
    NETWORK = enum.auto()
    INTERPRETER = enum.auto()
    IMPORT = enum.auto()
    DESERIALIZE = enum.auto()
    ATTRIBUTE = enum.auto()

    @property
    def label(self) -> str:
        """Lower-case names joined by commas, as findings show them."""
        return ", ".join(str(power.name).lower().replace("_", " ") for power in self)
