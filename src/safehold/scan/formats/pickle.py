"""Pickle: one stream or several in a row, of any protocol, with whatever stands around them.

Protocols 0 and 1 have no magic, so a file that nobody calls an artifact counts as a pickle only
if it reads as one: to its STOP, or up to a call. What follows the STOP is read as well, since
a second load of the same file reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from safehold.scan import rules
from safehold.scan.formats import joblib, legacy_torch
from safehold.scan.judge import Judge, Note
from safehold.scan.machine import Data, Machine, Outcome
from safehold.scan.opcodes import run
from safehold.scan.visit import Source, Visit, is_artifact_name

_MAGIC: Final = re.compile(rb"\x80[\x02-\x05]")
# Where a hidden stream may begin: a protocol opcode, or a GLOBAL with plausible names.
_HIDDEN: Final = re.compile(rb"\x80[\x01-\x05]|\(?[ci][A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n")
_MOST_HIDDEN: Final = 256
_MOST_STREAMS: Final = 10_000
_HOSTILE: Final = frozenset({rules.DANGEROUS_GLOBAL.id, rules.ATTACK_CONSTRUCTION.id})


def read(source: Source, visit: Visit) -> str | None:
    """Read a pickle, or return None if the bytes do not read as one."""
    if not len(source.data):
        return None
    return _read(source, visit, forced=False)


def otherwise(source: Source, visit: Visit) -> str:
    """Read what no format accepts and somebody calls an artifact."""
    if not len(source.data):
        visit.note(source, rules.UNREADABLE_STREAM, "the file is empty")
        return "unknown"
    first = source.data[0]
    if _MAGIC.match(source.data) or (is_artifact_name(source.name) and first in b"(]})cN"):
        return _read(source, visit, forced=True) or "pickle"
    hidden = _hidden(source.data, 0, visit)
    if hidden is not None:
        visit.note(source, rules.ATTACK_CONSTRUCTION, "a pickle behind other bytes", None)
        visit.take(source, hidden)
        return "pickle"
    if is_artifact_name(source.name):
        visit.note(source, rules.UNREADABLE_STREAM, "not in a format that is known here")
    else:
        visit.note(source, rules.UNREADABLE_FILE, "not in a format that is known here")
    return "unknown"


def _read(source: Source, visit: Visit, *, forced: bool) -> str | None:
    judge = Judge(visit.names)
    machine, outcome = run(source.data, judge)
    if not outcome.complete and not forced and not _plausible(judge, source.data):
        return None
    if outcome.complete and legacy_torch.begins(outcome):
        legacy_torch.read(source, visit)
        return "torch"
    if joblib.names_wrapper(judge):
        return _read_joblib(source, visit, judge)
    following = _following(source.data, machine, outcome, visit) if outcome.complete else []
    if not forced and not _convincing(source, judge, outcome, following):
        return None
    _close(source, judge, machine, outcome)
    visit.take(source, judge)
    for other in following:
        visit.take(source, other)
    if not outcome.complete:
        _report_hidden(source, visit, outcome.stop)
    return "pickle"


def _plausible(judge: Judge, data: Data) -> bool:
    """Whether a broken stream still did something that only a pickle does."""
    if any(note.rule is rules.DANGEROUS_GLOBAL for note in judge.notes):
        return True
    if _MAGIC.match(data):
        return bool(judge.uses)
    return any(role != "named" for _, _, role in judge.uses)


def _convincing(source: Source, judge: Judge, outcome: Outcome, following: list[Judge]) -> bool:
    """Whether unlabelled bytes that read as a pickle are one, and not numbers that happen to."""
    if source.wanted or judge.uses or not outcome.complete or outcome.stop == len(source.data):
        return True
    return any(other.uses for other in following)


def _close(source: Source, judge: Judge, machine: Machine, outcome: Outcome) -> None:
    if not outcome.complete and outcome.status == "broken":
        judge.broken(outcome.reason, outcome.stop)
    if machine.persistent and not source.persistent:
        message = "uses persistent ids, which only a loader of its own can resolve"
        judge.broken(message, None)


def _following(data: Data, machine: Machine, outcome: Outcome, visit: Visit) -> list[Judge]:
    """Read what stands after the first STOP: more streams, then whatever is left."""
    judges: list[Judge] = []
    memo = machine.memo
    stop = outcome.stop
    for _ in range(_MOST_STREAMS):
        if stop >= len(data):
            return judges
        judge = Judge(visit.names)
        machine, outcome = run(data, judge, start=stop)
        _read_again(data, stop, memo, machine, judge, visit)
        if not outcome.complete:
            _trailing(data, stop, outcome, judge, visit)
            return [*judges, judge]
        judges.append(judge)
        # One Unpickler keeps its memo from stream to stream.
        memo.update(machine.memo)
        stop = outcome.stop
    judge = Judge(visit.names)
    judge.note(rules.LIMIT_EXCEEDED, f"more than {_MOST_STREAMS} streams in a row", stop)
    return [*judges, judge]


def _read_again(
    data: Data, start: int, memo: dict[int, Any], fresh: Machine, judge: Judge, visit: Visit
) -> None:
    """Read a later stream with the memo that the earlier ones left, too."""
    if not memo:
        return
    other = Judge(visit.names)
    run(data, other, start=start, memo=dict(memo))
    if fresh.missing:
        # Only readable that way: everything it does counts.
        _merge(judge, other.notes)
        return
    _merge(judge, (note for note in other.notes if note.rule is rules.DANGEROUS_GLOBAL))


def _merge(judge: Judge, notes: Iterator[Note] | list[Note]) -> None:
    for note in notes:
        judge.note(note.rule, note.message, note.offset, note.detail)


def _trailing(data: Data, stop: int, outcome: Outcome, judge: Judge, visit: Visit) -> None:
    message = "bytes after the end of the pickle"
    detail = {"bytes": len(data) - stop, "read as a pickle": outcome.reason}
    hostile = any(note.rule.id in _HOSTILE for note in judge.notes)
    named = bool(judge.uses)
    if not named:
        # Numbers may read as opcodes for a while; nothing they seem to do is evidence.
        judge.forget()
    judge.note(rules.TRAILING_DATA, message, stop, detail)
    if hostile and named:
        return
    hidden = _hidden(data, stop, visit)
    if hidden is not None:
        judge.note(rules.ATTACK_CONSTRUCTION, "a pickle hidden behind the first one", stop)
        _merge(judge, hidden.notes)


def _report_hidden(source: Source, visit: Visit, start: int) -> None:
    hidden = _hidden(source.data, start, visit)
    if hidden is not None:
        message = "a pickle hidden in bytes that are none"
        visit.note(source, rules.ATTACK_CONSTRUCTION, message, start)
        visit.take(source, hidden)


def _hidden(data: Data, start: int, visit: Visit) -> Judge | None:
    """Return what the first hidden stream that names a danger does, or None."""
    for count, match in enumerate(_HIDDEN.finditer(data, start)):
        if count >= _MOST_HIDDEN:
            return None
        judge = Judge(visit.names)
        run(data, judge, start=match.start())
        if any(note.rule is rules.DANGEROUS_GLOBAL for note in judge.notes):
            return judge
    return None


def _read_joblib(source: Source, visit: Visit, plain: Judge) -> str:
    """Read the file as joblib does, and count what `pickle.load` would do with it as well."""
    judge = Judge(visit.names)
    arrays = joblib.Arrays(judge, visit.names)
    machine, outcome = run(source.data, judge, arrays=arrays)
    following: list[Judge] = []
    if outcome.complete:
        following = _following(source.data, machine, outcome, visit)
    else:
        _report_hidden(source, visit, outcome.stop)
    _close(source, judge, machine, outcome)
    # Array bytes are no opcodes, so that reading ends soon and badly: only hostile acts count.
    _merge(judge, (note for note in plain.notes if note.rule.id in _HOSTILE))
    visit.take(source, judge)
    for other in following:
        visit.take(source, other)
    return "joblib"
