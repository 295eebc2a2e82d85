"""Which lines planned edits change, and unified diffs of them.

Edits never add or remove a line; a comment adds one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from safehold.source.outcome import FileAudit
from safehold.source.text import Lines, decode

_CONTEXT = 3


@dataclass(frozen=True, slots=True)
class Changes:
    """The lines of a file before and after its edits."""

    before: Lines
    after: Lines
    added: int
    """The number of the line that only `after` has; 0 when there is none."""

    @classmethod
    def of(cls, audit: FileAudit) -> Changes | None:
        """Return the lines; None when nothing changes."""
        if audit.before is None or audit.after is None:
            return None
        before, after = decode(audit.before).utf8, decode(audit.after).utf8
        return cls(Lines(before), Lines(after), audit.added)

    def new(self, line: int) -> str:
        """Return what becomes of a line."""
        return self.after.text(line + (0 < self.added <= line))

    def changed(self) -> list[int]:
        """Return the numbers of the lines that change."""
        lines = range(1, self.before.count + 1)
        return [line for line in lines if self.before.text(line) != self.new(line)]


def diff(audit: FileAudit) -> Iterator[str]:
    """Yield the lines of a unified diff, without newlines; nothing when nothing changes."""
    lines = Changes.of(audit)
    if lines is None:
        return
    count, added = lines.before.count, lines.added
    changed = lines.changed()
    differs = frozenset(changed)
    if added:
        changed = sorted({*changed, min(added, count)})
    yield f"--- a/{audit.path}"
    yield f"+++ b/{audit.path}"
    for first, last in _hunks(changed, count):
        size = last - first + 1
        inside = first <= added <= last or added == last + 1 > count
        start = first + (0 < added < first)
        yield f"@@ -{first},{size} +{start},{size + inside} @@"
        removed: list[int] = []
        for line in range(first, last + 2):
            if line in differs and line <= last and line != added:
                removed.append(line)
                continue
            yield from (f"-{lines.before.text(item)}" for item in removed)
            yield from (f"+{lines.new(item)}" for item in removed)
            removed = []
            if inside and line == added:
                yield f"+{lines.after.text(added)}"
            if line in differs and line <= last:
                removed.append(line)
            elif line <= last:
                yield f" {lines.before.text(line)}"


def _hunks(changed: list[int], count: int) -> Iterator[tuple[int, int]]:
    """Join changed lines whose contexts touch."""
    start = end = 0
    for line in changed:
        first, last = max(1, line - _CONTEXT), min(count, line + _CONTEXT)
        if start and first <= end + 1:
            end = last
        else:
            if start:
                yield start, end
            start, end = first, last
    if start:
        yield start, end
