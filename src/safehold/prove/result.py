"""What was tried and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["got-in", "held", "not-tried"]


@dataclass(frozen=True, slots=True)
class Said:
    """How one attempt ended, and what shows it."""

    outcome: Outcome
    evidence: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attack that is about to be tried: it is announced to the trail, then `act` runs."""

    what: str
    act: Callable[[], Said]


class NotTried(Exception):
    """A probe cannot be tried; carries the reason."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt with its outcome. ``noticed``: what the service itself recorded meanwhile."""

    what: str
    outcome: Outcome
    evidence: str
    noticed: tuple[Mapping[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as it stands in the document."""
        return {
            "what": self.what,
            "outcome": self.outcome,
            "evidence": self.evidence,
            "noticed": [dict(row) for row in self.noticed],
        }
