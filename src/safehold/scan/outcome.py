"""How the reading of a pickle stream ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safehold.scan.budget import Exceeded
from safehold.scan.values import Run


class Broken(Exception):
    """The stream cannot be followed further; says why."""


class Ended(Broken):
    """The stream ends before its STOP."""


class Exhausted(Exceeded):
    """Following the stream further would exceed a limit; says which."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stream ended: ``stop`` is the offset after it, ``status`` stop, broken or limit."""

    status: str
    stop: int
    last: Any = None
    reason: str = ""

    @property
    def top(self) -> Any:
        """What the stream leaves on the stack."""
        return self.last.unfolded()[-1] if type(self.last) is Run else self.last

    @property
    def complete(self) -> bool:
        """Whether a STOP was reached."""
        return self.status == "stop"
