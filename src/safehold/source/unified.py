"""Unified diffs of planned edits, which never add or remove a line."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.source.outcome import FileAudit
from safehold.source.text import Lines, decode

_CONTEXT = 3


def diff(audit: FileAudit) -> Iterator[str]:
    """Yield the lines of a unified diff, without newlines; nothing when nothing changes."""
    if audit.before is None or audit.after is None:
        return
    before, after = Lines(decode(audit.before).utf8), Lines(decode(audit.after).utf8)
    count = before.count
    changed = [line for line in range(1, count + 1) if before.text(line) != after.text(line)]
    differs = frozenset(changed)
    yield f"--- a/{audit.path}"
    yield f"+++ b/{audit.path}"
    for first, last in _hunks(changed, count):
        size = last - first + 1
        yield f"@@ -{first},{size} +{first},{size} @@"
        removed: list[int] = []
        for line in range(first, last + 2):
            if line in differs and line <= last:
                removed.append(line)
                continue
            yield from (f"-{before.text(item)}" for item in removed)
            yield from (f"+{after.text(item)}" for item in removed)
            removed = []
            if line <= last:
                yield f" {before.text(line)}"


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
