"""The second reader: CPython's own loaders with stubs for every name, in a confined process.

It parses as a loader does by definition, and what it reads is really allocated; hence a process
of its own with limits. Where it and the machine disagree about a stream, one of them is misled.

    check(source, visit)               a pickle, or bytes that may be one
    check_arrays(source, visit, ...)   a pickle with joblib's arrays in it
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from safehold.scan import rules
from safehold.scan.inert.answers import Answer, Name, Reading, parse
from safehold.scan.inert.compare import Ours, differences
from safehold.scan.inert.limits import Allowance
from safehold.scan.inert.process import PROCESSES, Unavailable
from safehold.scan.judge import Judge
from safehold.scan.memo import Memo
from safehold.scan.opcodes import run
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

__all__ = ["check", "check_arrays", "is_due"]

_MOST_STREAMS: Final = 10_000
# Protocols whose texts are bytes if the loader wants them to be.
_OLD: Final = 2
_PROTO: Final = 0x80


def is_due(visit: Visit, judges: Iterable[Judge]) -> bool:
    """Whether a second reader is asked: if the first saw anything but data that is allowed."""
    return visit.paranoid or any(judge.notes for judge in judges)


def check(
    source: Source,
    visit: Visit,
    *,
    streams: int = _MOST_STREAMS,
    starts: Sequence[int] | None = None,
    strict: bool = True,
) -> None:
    """Read so many streams again and note where the readers disagree.

    Streams that do not follow each other stand at ``starts``. Unless ``strict``, the bytes are no
    pickle for the scanner, and only what a loader does with them counts.
    """
    old = _is_old(source.data)
    job = {"streams": streams, "starts": starts, "bytes": old, "arrays": None}
    answer = _ask(source, visit, job)
    if answer is not None:
        _compare(source, visit, answer, _Readings(source.data, visit), strict=strict)


def check_arrays(
    source: Source,
    visit: Visit,
    ours: Ours,
    steps: Sequence[tuple[int, int] | None],
    wrappers: Sequence[Name],
) -> None:
    """Read a pickle with arrays in it again, as the pure Python loader does.

    ``steps`` are the places of the arrays: where the file stood before and after, -1 for a
    pickle of its own, None for one in another file.
    """
    job = {"streams": 1, "arrays": list(steps), "wrappers": list(wrappers)}
    answer = _ask(source, visit, job)
    if answer is not None:
        _compare(source, visit, answer, lambda _: ours, strict=True)


def _is_old(data: Data) -> bool:
    return len(data) < 2 or data[0] != _PROTO or data[1] <= _OLD


def _ask(source: Source, visit: Visit, job: dict[str, Any]) -> Answer | None:
    budget = visit.budget
    if budget.over:  # which is a finding already
        return None
    # What the first reader kept was let go of; nobody reads the first stream for its values now.
    visit.first = None
    budget.forget()
    allowance = Allowance.of(len(source.data)).within(budget.left, budget.room)
    asked = time.monotonic()
    try:
        lines = PROCESSES.ask(source.data, job, allowance)
        return parse(lines)
    except (Unavailable, OSError) as error:
        message = "the second reader could not read it"
        detail = {"error": str(error)[:200]}
        visit.note(source, rules.UNREADABLE_STREAM, message, None, detail)
        return None
    finally:
        # It took no more than passed meanwhile.
        budget.charge(min(time.monotonic() - asked, allowance.cpu))


class _Readings:
    """The machine's reading of each stream that a loader began."""

    def __init__(self, data: Data, visit: Visit) -> None:
        self._data = data
        self._visit = visit
        self._known: dict[int, Ours] = {}
        self._memo = Memo()

    def __call__(self, theirs: Reading) -> Ours:
        """Return the same stream as the machine reads it."""
        if theirs.reader == "kept":
            return self._run(theirs.start, self._memo)
        if theirs.start not in self._known:
            # Of two encodings in turn, only the streams of one are kept.
            self._known = {theirs.start: self._run(theirs.start, None)}
        return self._known[theirs.start]

    def _run(self, start: int, memo: Memo | None) -> Ours:
        judge = Judge(self._visit.names, self._visit.budget)
        machine, outcome = run(self._data, judge, start=start, memo=memo)
        machine.leave_memo()
        return Ours.of(judge, machine, outcome)


def _compare(
    source: Source,
    visit: Visit,
    answer: Answer,
    ours_of: Callable[[Reading], Ours],
    *,
    strict: bool,
) -> None:
    if answer.missing or any(theirs.how == "limit" for theirs in answer.readings):
        visit.depends()
    for theirs in answer.readings:
        ours = ours_of(theirs)
        if theirs.how == "limit" and strict:
            message = "CPython's loader takes more than a file of this size may"
            detail = {"why": theirs.why, "reader": theirs.reader}
            visit.note(source, rules.LIMIT_EXCEEDED, message, theirs.start, detail)
        for one in differences(ours, theirs):
            if not (strict or one.unseen or theirs.how == "stop"):
                continue
            more: dict[str, Any] = {
                **one.detail,
                "reader": theirs.reader,
                "ends": theirs.how,
                "why": theirs.why,
            }
            if answer.missing:
                more["not confined"] = list(answer.missing)
            if one.unseen:
                more["unseen"] = len(one.unseen)
            rule = rules.UNREADABLE_STREAM if one.refused else rules.READERS_DISAGREE
            visit.note(source, rule, one.message, theirs.start, more)
            _judge_unseen(source, visit, one.unseen, theirs.start)


def _judge_unseen(source: Source, visit: Visit, names: Sequence[Name], start: int) -> None:
    """Count names of the loader as if the machine had seen them; they are mapped already."""
    if names:
        judge = Judge(visit.names, visit.budget)
        for module, name in names:
            judge.named(module, name, 4, start)
        visit.take(source, judge)
