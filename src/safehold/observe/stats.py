"""Counts of a trail's lines."""

from __future__ import annotations

from collections import Counter
from typing import Any

from safehold.observe.lines import Line

COUNTED = ("action", "outcome", "rule", "zone", "caller", "reason")
_OTHERS = "others"
_MOST = 10_000  # values of one field that are counted by themselves: a caller is chosen by others


class Stats:
    """Counts lines by field and by hour."""

    def __init__(self) -> None:
        self.events = 0
        self.first = self.last = ""
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
        self._hours: Counter[str] = Counter()

    def add(self, line: Line) -> None:
        """Count a line."""
        self.events += 1
        self.first = min(self.first or line.time, line.time)
        self.last = max(self.last, line.time)
        for name, counts in self._counts.items():
            value = getattr(line.event, name)
            if value:
                counts[value if value in counts or len(counts) < _MOST else _OTHERS] += 1
        hour = line.time[:13]
        self._hours[hour if hour in self._hours or len(self._hours) < _MOST else _OTHERS] += 1

    def document(self) -> dict[str, Any]:
        """Return all counts, the largest first, and the hours in order of time."""
        return {
            "schema": 1,
            "events": self.events,
            "first": self.first or None,
            "last": self.last or None,
            **{name: dict(_ranked(counts)) for name, counts in self._counts.items()},
            "hours": dict(sorted(self._hours.items())),
        }


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
