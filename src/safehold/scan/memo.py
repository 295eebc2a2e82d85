"""The memo of a pickle, of which a part may still stand in runs that nobody has read."""

from __future__ import annotations

from typing import Any, Final

from safehold.scan.runs import puts_among
from safehold.scan.values import Reader, Run

# When other indexes are asked for so often, the runs are read rather than searched again.
_MOST_RESTARTS: Final = 16
# A run is looked for among so many entries of the log, the last ones.
_NEAR: Final = 16


class Memo:
    """Values by index; ``log`` is what was put while an earlier run was unread.

    An entry of the log is a run, or an index (None for MEMOIZE) and its value. The log is
    replayed in order, so that each value gets the index that a loader gives it. One memo may
    serve stream after stream: nothing here takes longer because of what earlier ones put.
    """

    __slots__ = ("_asked", "_found", "_restarts", "_seen", "gaps", "known", "log", "waiting")

    def __init__(self) -> None:
        self.known: dict[int, Any] = {}
        # Whether an index may be unset below one that is set: MEMOIZE could set either.
        self.gaps = False
        self.log: list[Run | tuple[int | None, Any]] = []
        # Bytes of the runs in the log.
        self.waiting = 0
        # Which of some indexes the log sets, as far as it was looked at.
        self._asked: set[int] = set()
        self._found: set[int] = set()
        self._seen = 0
        self._restarts = 0

    def put(self, index: int, value: Any) -> None:
        """Set what a PUT says."""
        if self.log:
            self.log.append((index, value))
        else:
            if index > len(self.known):
                self.gaps = True
            self.known[index] = value

    def memoize(self, value: Any) -> None:
        """Set the index that comes next."""
        if self.log:
            self.log.append((None, value))
        else:
            self.known[len(self.known)] = value

    def defer(self, run: Run) -> None:
        """Remember that a run may put something."""
        if self._seen == len(self.log) and self._asked <= run.unset:
            self._seen += 1
        self.log.append(run)
        self.waiting += run.stop - run.start

    def split(self, run: Run, parts: list[Run]) -> bool:
        """Let others stand for a run, if it is among the last entries."""
        place = self._place(run)
        if place < 0:
            return False
        self.log[place : place + 1] = parts
        self._seen = min(self._seen, place)
        return True

    def open(self, run: Run, reader: Reader) -> None:
        """Read a run; those before it stay as they are if it is among the last entries."""
        place = self._place(run)
        if place >= 0:
            # What it puts takes its place.
            later = self.log[place + 1 :]
            del self.log[place:]
            self.waiting -= sum(entry.stop - entry.start for entry in [run, *_runs(later)])
            self._seen = min(self._seen, place)
            reader.replay(run)
            self._follow(later)
            return
        self.resolve(reader)
        if run.values is None:
            reader.replay(run)

    def _place(self, run: Run) -> int:
        """Return where a run is in the log, or -1 if it is not near its end."""
        for place in range(len(self.log) - 1, max(-1, len(self.log) - 1 - _NEAR), -1):
            if self.log[place] is run:
                return place
        return -1

    def _follow(self, entries: list[Run | tuple[int | None, Any]]) -> None:
        """Put what was put after an entry that was read."""
        for entry in entries:
            if isinstance(entry, Run):
                self.defer(entry)
                continue
            index, value = entry
            if index is None:
                self.memoize(value)
            else:
                self.put(index, value)

    def get(self, index: int, reader: Reader) -> Any:
        """Return what is at an index. Raises KeyError if nothing is."""
        if self.log and self.unsettled({index}, reader):
            self.resolve(reader)
        return self.known[index]

    def unsettled(self, indexes: set[int], reader: Reader) -> set[int]:
        """Return which indexes are unknown, or may be set again by what is in the log."""
        if not self.log:
            return self._unknown(indexes)
        if self.gaps:
            return indexes
        # Without gaps, MEMOIZE sets what is not known yet.
        if not indexes <= self._asked:
            self._asked |= indexes
            self._seen = 0
            self._restarts += 1
        if self._restarts > _MOST_RESTARTS:
            self.resolve(reader)
            return self._unknown(indexes)
        for entry in self.log[self._seen :]:
            if isinstance(entry, Run):
                reader.budget.match(entry.stop - entry.start)
                self._found |= puts_among(
                    entry.forms, reader.data, entry.start, entry.stop, self._asked
                )
            elif entry[0] in self._asked:
                self._found.add(entry[0])
        self._seen = len(self.log)
        return self._unknown(indexes) | indexes & self._found

    def _unknown(self, indexes: set[int]) -> set[int]:
        # Less the view of its keys, the dict would be walked from end to end.
        return {index for index in indexes if index not in self.known}

    def resolve(self, reader: Reader) -> None:
        """Read the runs of the log, but for those that neither put nor get anything."""
        if not self.log:
            return
        log, self.log = self.log, []
        self.waiting = self._seen = self._restarts = 0
        self._asked, self._found = set(), set()
        for entry in log:
            if not isinstance(entry, Run):
                index, value = entry
                self.put(len(self.known) if index is None else index, value)
            elif entry.values is None and not entry.forms.unmemoized.fullmatch(
                reader.data, entry.start, entry.stop
            ):
                reader.replay(entry)
            else:
                reader.budget.match(entry.stop - entry.start)


def _runs(entries: list[Run | tuple[int | None, Any]]) -> list[Run]:
    return [entry for entry in entries if isinstance(entry, Run)]
