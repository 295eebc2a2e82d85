"""torch before its zip format: five pickles in a row, then the raw bytes of the storages.

The first pickle is a magic number; the fourth is the object, whose tensors name their storages
by persistent id; the fifth lists the storages in the order in which their bytes follow. Whoever
goes on loading from the same handle reads what follows: torch what stands behind the storages,
``pickle`` these as well.
"""

from __future__ import annotations

import re
from typing import Any, Final

from safehold.scan import inert, rules
from safehold.scan.judge import Judge
from safehold.scan.opcodes import run
from safehold.scan.outcome import Outcome
from safehold.scan.streams import First, merge, names_something, read_first, read_plainly
from safehold.scan.values import Run
from safehold.scan.visit import Source, Visit
from safehold.scan.weights import NAMES, item_size

_MAGIC: Final = 0x1950A86A20F9469CFC6C
# The number as it stands in a run, the only way to write it there.
_BYTES: Final = re.compile(re.escape(_MAGIC.to_bytes(10, "little")))
_STREAMS: Final = 5
_OBJECT: Final = 3


def read(source: Source, visit: Visit) -> str | None:
    """Read the five pickles and what follows; None if the first is not torch's magic number."""
    first = read_first(source, visit)
    if first is None or not _is_magic(source, first.outcome):
        return None
    visit.first_taken = True
    judge = Judge(visit.names.with_extra(NAMES), visit.budget)
    end = _read_streams(source, visit, judge)
    first.let_go()
    visit.take(source, judge)
    if inert.is_due(visit, (judge,)):
        inert.check(source, visit, streams=_STREAMS)
    if end is not None and end < len(source.data):
        _read_rest(source, visit, end)
    return "torch"


def _read_rest(source: Source, visit: Visit, end: int) -> None:
    """Read what stands behind the storages: one more file of torch, as repeated saves write it."""
    rest = source.data[end:]
    if visit.scan(source.inner(rest, "", f"{source.member or ''}@{end}")) != "torch":
        message = "bytes after the end of the storages"
        visit.note(source, rules.TRAILING_DATA, message, end, {"bytes": len(rest)})


def _is_magic(source: Source, outcome: Outcome) -> bool:
    if type(outcome.last) is Run and _BYTES.search(source.data, 0, outcome.stop) is None:
        return False
    return type(outcome.top) is int and outcome.top == _MAGIC


def _read_streams(source: Source, visit: Visit, judge: Judge) -> int | None:
    """Return where the storages end, or None after a note that says why not."""
    stop = 0
    storages: dict[str, int] | None = {}
    for index in range(_STREAMS):
        machine, outcome = run(source.data, judge, start=stop)
        if not outcome.complete:
            judge.broken(outcome.reason, outcome.stop)
            return None
        stop = outcome.stop
        if index == _OBJECT:
            storages = _storages(machine.persistent)
        elif machine.persistent:
            judge.broken("a persistent id outside the object", stop)
    for one in read_plainly(source.data, visit.names, First(judge, machine, outcome)):
        merge(judge, filter(names_something, one.notes))
    expected = None if storages is None else sum(8 + size for size in storages.values())
    left = len(source.data) - stop
    if expected is None:
        judge.broken("a persistent id that names no storage", stop)
    elif left < expected:
        judge.broken("the file ends inside the bytes of a storage", stop)
    else:
        return stop + expected
    return None


def _storages(persistent: list[Any]) -> dict[str, int] | None:
    """Return key and size in bytes of each storage, or None if an id is of another kind."""
    found: dict[str, int] = {}
    for value in persistent:
        if not isinstance(value, tuple) or len(value) < 2:
            return None
        if value[0] == "module":
            continue
        if value[0] != "storage" or len(value) < 5:
            return None
        size = item_size(value[1])
        key, count = value[2], value[4]
        if size is None or type(key) is not str or type(count) is not int or count < 0:
            return None
        found[key] = size * count
    return found
