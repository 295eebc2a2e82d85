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


@dataclass(slots=True)
class Outcome:
    """How a stream ended: ``stop`` is the offset after it, ``status`` stop, broken or limit.

    ``last`` is what it leaves on the stack, until the machine lets go of its values.
    """

    status: str
    stop: int
    last: Any = None
    reason: str = ""

    @property
    def top(self) -> Any:
        """What the stream leaves on the stack; None, with a note, if a limit ends the reading."""
        last = self.last
        if type(last) is not Run:
            return last
        try:
            return last.unfolded()[-1]
        except Exceeded as error:
            last.reader.ended(str(error))
            return None

    @property
    def complete(self) -> bool:
        """Whether a STOP was reached."""
        return self.status == "stop"
