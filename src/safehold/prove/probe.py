"""What a probe is, and its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from safehold.prove.result import Attempt, Outcome, Tried
from safehold.prove.world import World


@dataclass(frozen=True, slots=True)
class Probe:
    """One kind of attack; ``rule`` is the finding that it proves.

    ``attempts`` raises NotTried where the service gives nothing to try it on.
    """

    id: str
    rule: str
    title: str
    attempts: Callable[[World], Iterator[Attempt]]


@dataclass(frozen=True, slots=True)
class Result:
    """What one probe came to; ``reason``: why it was not tried."""

    probe: Probe
    tried: tuple[Tried, ...]
    reason: str = ""

    @property
    def outcome(self) -> Outcome:
        """The worst of what was tried; not-tried if nothing was."""
        outcomes = {row.outcome for row in self.tried}
        if "got-in" in outcomes:
            return "got-in"
        return "held" if "held" in outcomes else "not-tried"

    def as_json(self) -> dict[str, Any]:
        """Return it as it stands in the document."""
        return {
            "id": self.probe.id,
            "rule": self.probe.rule,
            "title": self.probe.title,
            "outcome": self.outcome,
            "reason": self.reason,
            "tried": [row.as_json() for row in self.tried],
        }
