"""Pickle: one stream or several in a row, of any protocol, with whatever stands around them.

Protocols 0 and 1 have no magic, so a file that nobody calls an artifact counts as a pickle only
if it reads as one: to its STOP, or up to a call. What follows the STOP is read as well, since
a second load of the same file reads it.
"""

from __future__ import annotations

from typing import Final

from safehold.scan import inert, rules
from safehold.scan.judge import Judge
from safehold.scan.names import Names
from safehold.scan.opcodes import run
from safehold.scan.streams import (
    First,
    begins_like_pickle,
    close,
    read_first,
    read_following,
    report_hidden,
    run_first,
)
from safehold.scan.visit import Source, Visit, is_artifact_name
from safehold.scan.weights import NAMES

# First bytes of protocol 0 and 1 dumps: without them a broken one is not even tried.
_USUAL_STARTS: Final = b"(]})cNIGKJMLFSUVXTi\x80"


def read(source: Source, visit: Visit) -> str | None:
    """Read a pickle, or return None if the bytes do not read as one."""
    if source.persistent:
        return _read_persistent(source, visit)
    if visit.first_taken:
        return None
    first = read_first(source, visit)
    if first is None:
        _ask_anyway(source, visit)
        return None
    following = (
        read_following(source, visit.names, first.machine, first.outcome)
        if first.outcome.complete
        else []
    )
    if not _convincing(source, first, following):
        first.let_go()
        _ask_anyway(source, visit)
        return None
    _report(source, visit, first, following, visit.names)
    return "pickle"


def otherwise(source: Source, visit: Visit) -> str:
    """Read what no format accepts and somebody calls an artifact."""
    if not len(source.data):
        visit.note(source, rules.UNREADABLE_STREAM, "the file is empty")
        return "unknown"
    labelled = is_artifact_name(source.name)
    if begins_like_pickle(source.data) or (labelled and source.data[0] in _USUAL_STARTS):
        _report(source, visit, run_first(source, visit), [], visit.names)
        return "pickle"
    if report_hidden(source, visit, 0, visit.names):
        return "pickle"
    rule = rules.UNREADABLE_STREAM if labelled else rules.UNREADABLE_FILE
    visit.note(source, rule, "not in a format that is known here")
    return "unknown"


def _read_persistent(source: Source, visit: Visit) -> str:
    """Read the pickle of a torch archive, whose tensors stand in other members."""
    names = visit.names.with_extra(NAMES)
    judge = Judge(names, visit.budget)
    machine, outcome = run(source.data, judge)
    following = read_following(source, names, machine, outcome) if outcome.complete else []
    _report(source, visit, First(judge, machine, outcome), following, names)
    return "pickle"


def _report(
    source: Source, visit: Visit, first: First, following: list[Judge], names: Names
) -> None:
    close(source, first.judge, first.machine, first.outcome)
    for judge in (first.judge, *following):
        visit.take(source, judge)
    if not first.outcome.complete:
        # What did nothing may have taken a later stream's opcodes for the bytes of a text.
        start = first.outcome.stop if first.judge.uses else 1
        report_hidden(source, visit, start, names)
    if inert.is_due(visit, (first.judge, *following)):
        first.let_go()
        inert.check(source, visit)


def _ask_anyway(source: Source, visit: Visit) -> None:
    """Ask the second reader whether bytes that are no pickle for the first are one for it."""
    if visit.paranoid and len(source.data):
        inert.check(source, visit, strict=False)


def _convincing(source: Source, first: First, following: list[Judge]) -> bool:
    """Whether unlabelled bytes that read as a pickle are one, and not numbers that happen to."""
    if first.outcome.stop == len(source.data) or first.judge.uses or source.wanted:
        return True
    # So many opcodes in a row are no accident, and where they lead was not seen.
    return first.outcome.status == "limit" or any(judge.uses for judge in following)
