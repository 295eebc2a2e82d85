"""The trail of the service under attack: attempts are announced there, and what it says is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safehold.context import Context
from safehold.errors import SafeholdError
from safehold.events import Event
from safehold.observe.lines import read_lines
from safehold.policy import Policy

_OPENINGS: Final = frozenset({"prove", "trail.open", "policy.load"})


class Watch:
    """Writes and reads the trail of a policy; of a service without one nothing.

    Its last lines are what the service says; the seals of the trail are for `trail verify`.
    """

    def __init__(self, policy: Policy | None, environment: Mapping[str, str]) -> None:
        self.problem = "" if policy else "the service has no policy, so it has no trail"
        self._hold: Context | None = None
        self._directory: Path | None = None
        if policy is None:
            return
        self._directory = policy.root / policy.trail
        try:
            self._hold = Context.load(policy, environ=environment)
        except SafeholdError as error:
            self.problem = f"the trail cannot be written: {error}"

    @property
    def is_on(self) -> bool:
        """Whether there is a trail."""
        return self._hold is not None

    def announce(self, probe: str, rule: str, what: str) -> None:
        """Record an attempt before it is made. Raises TrailError: then it is not made."""
        if self._hold is not None:
            detail = {"probe": probe, "what": what}
            event = Event(action="prove", outcome="done", rule=rule, caller="prove", detail=detail)
            self._hold.recorder.record(event)

    def mark(self) -> frozenset[str]:
        """Return which lines are there."""
        return frozenset(line.id for line in self._lines())

    def since(self, mark: frozenset[str]) -> tuple[Mapping[str, Any], ...]:
        """Return what the service recorded after a mark, equal rows once."""
        rows = Counter(
            (event.action, event.outcome, event.rule, event.reason)
            for line in self._lines()
            if line.id not in mark and (event := line.event).action not in _OPENINGS
        )
        names = ("action", "outcome", "rule", "reason")
        return tuple(
            {**dict(zip(names, row, strict=True)), "count": count}
            for row, count in sorted(rows.items())
        )

    def close(self) -> None:
        """Close the trail."""
        if self._hold is not None:
            self._hold.close()

    def _lines(self) -> list[Any]:
        if self._directory is None or not self._directory.is_dir():
            return []
        return list(read_lines(self._directory))
