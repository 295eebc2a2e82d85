"""Pickle streams in a source: the first, those that follow it, and those hidden behind junk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from safehold.findings import Rule
from safehold.scan import rules
from safehold.scan.budget import Budget
from safehold.scan.judge import Judge, Note
from safehold.scan.machine import Machine
from safehold.scan.memo import Memo
from safehold.scan.names import Names
from safehold.scan.opcodes import run
from safehold.scan.outcome import Outcome
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

# Where a hidden stream may begin: at a protocol opcode, or before the two lines of a GLOBAL. The
# second is looked for at the newline between them, or each letter c would be a place.
_HIDDEN: Final = re.compile(rb"\x80[\x01-\x05]|\n(?=[A-Za-z_][\w.]{0,60}\n)|\x93")
_MODULE: Final = re.compile(rb"[\w.]*\Z")
_LONGEST_MODULE: Final = 60
_NAME: Final = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*", re.ASCII)
# Bounds on that search: so many places, so far away, so many opcodes
# from each, so many bytes in all.
_MOST_HIDDEN: Final = 256
_MOST_NEWLINES: Final = 50_000
_MOST_STACKED: Final = 5_000
_FARTHEST_HIDDEN: Final = 16 * 2**20
_HIDDEN_OPCODES: Final = 10_000
_HIDDEN_BYTES: Final = 2**20
_WORTH_RUNS: Final = 2**11
_MOST_STREAMS: Final = 10_000
_PERSID: Final = 0x50
_PROTO: Final = 0x80
_STACK_GLOBAL: Final = 0x93
_HOSTILE: Final[frozenset[Rule]] = frozenset({rules.DANGEROUS_GLOBAL, rules.ATTACK_CONSTRUCTION})


@dataclass(frozen=True, slots=True)
class First:
    """The first stream of a source, read as ``pickle.load`` reads it."""

    judge: Judge
    machine: Machine
    outcome: Outcome

    def let_go(self) -> None:
        """Drop the values; judge and outcome stay."""
        self.machine.let_go(self.outcome)


def read_first(source: Source, visit: Visit) -> First | None:
    """Read the first stream, once for all formats that begin with one; None if there is none.

    A broken stream counts if the source is wanted, or if it did something that only a pickle
    does before it broke.
    """
    # A persistent id first: `pickle.load` refuses it, and PK is how zip archives begin.
    if not len(source.data) or source.data[0] == _PERSID:
        return None
    first = run_first(source, visit)
    # Bytes that are opcodes up to a limit are no other file by chance.
    read = first.outcome.status != "broken" or _plausible(first.judge, source.data)
    return first if read else None


def run_first(source: Source, visit: Visit) -> First:
    """Read the first stream, whatever it is."""
    known = visit.first
    if known is None or known[0] is not source:
        judge = Judge(visit.names, visit.budget)
        # In a few bytes, looking for runs takes longer than the opcodes themselves.
        machine, outcome = run(source.data, judge, skip=len(source.data) >= _WORTH_RUNS)
        known = visit.first = (source, First(judge, machine, outcome))
        if outcome.status == "limit":
            visit.depends()  # a format that does not claim the stream drops its notes
    found: First = known[1]
    return found


def begins_like_pickle(data: Data) -> bool:
    """Whether the bytes begin with the magic of protocols 2 to 5."""
    return len(data) > 1 and data[0] == 0x80 and 2 <= data[1] <= 5


def _plausible(judge: Judge, data: Data) -> bool:
    # Neither program text nor numbers: those hold other characters.
    if not any(_NAME.fullmatch(f"{module}.{name}") for module, name, _ in judge.uses):
        return False
    if names_danger(judge):
        return True
    if begins_like_pickle(data):
        return bool(judge.uses)
    # Text may begin with the letter c and two names.
    return any(role != "named" for _, _, role in judge.uses)


def names_danger(judge: Judge) -> bool:
    """Whether a judge saw a dangerous global."""
    return any(note.rule is rules.DANGEROUS_GLOBAL for note in judge.notes)


def names_something(note: Note) -> bool:
    """Whether it is about a name that reads as one, which numbers do not hold by chance."""
    dotted = note.detail.get("global") or str(note.detail.get("instance", "")).partition("(")[0]
    return "." in dotted and _NAME.fullmatch(dotted) is not None


def is_hostile(judge: Judge) -> bool:
    """Whether a judge saw more than something unknown or unreadable."""
    return any(note.rule in _HOSTILE for note in judge.notes)


def close(source: Source, judge: Judge, machine: Machine, outcome: Outcome) -> None:
    """Note how a stream ended, and what its loader would need."""
    if outcome.status == "broken":
        judge.broken(outcome.reason, outcome.stop)
    if machine.persistent and not source.persistent:
        judge.broken("uses persistent ids, which only a loader of its own can resolve", None)
    if machine.buffers and not source.buffers:
        judge.broken("needs buffers that are kept outside the stream", None)


def read_following(source: Source, names: Names, machine: Machine, outcome: Outcome) -> list[Judge]:
    """Read what stands after the first STOP: more streams, then whatever is left."""
    judges: list[Judge] = []
    data, stop, budget = source.data, outcome.stop, machine.budget
    if stop >= len(data):
        return judges
    memo = machine.leave_memo()
    for _ in range(_MOST_STREAMS):
        if stop >= len(data):
            return judges
        judge = Judge(names, budget)
        machine, outcome = run(data, judge, start=stop)
        judges.append(judge)
        if outcome.status == "limit":
            return judges
        if not outcome.complete:
            _trailing(source, stop, outcome, judge)
            return judges
        if memo.known:
            judge = judges[-1] = _read_again(data, stop, memo, machine, judge)
        else:
            memo = machine.leave_memo()
        close(source, judge, machine, outcome)
        stop = outcome.stop
    judges[-1].note(rules.LIMIT_EXCEEDED, f"more than {_MOST_STREAMS} streams in a row", stop)
    return judges


def read_plainly(data: Data, names: Names, first: First) -> list[Judge]:
    """Read the streams that repeated loads of one file find, as far as the bytes are streams.

    For files whose own loader steps over bytes that ``pickle.load`` takes for opcodes.
    """
    judges: list[Judge] = []
    memo, outcome = first.machine.leave_memo(), first.outcome
    budget = first.machine.budget
    for _ in range(_MOST_STREAMS):
        start = outcome.stop
        if not outcome.complete or start >= len(data):
            return judges
        judge = Judge(names, budget)
        machine, outcome = run(data, judge, start=start)
        if memo.known:
            judge = _read_again(data, start, memo, machine, judge)
        else:
            memo = machine.leave_memo()
        judges.append(judge)
    judges[-1].note(rules.LIMIT_EXCEEDED, "more streams than are read", outcome.stop)
    return judges


def _read_again(data: Data, start: int, memo: Memo, fresh: Machine, judge: Judge) -> Judge:
    """Read a later stream with the memo that the earlier ones left, too.

    One Unpickler keeps its memo from stream to stream, so ``memo`` is changed here. A stream that
    needs the memo of the one before it is judged by that reading; of any other
    it is an odd one, in which few findings count.
    """
    other = judge.fresh()
    again, outcome = run(data, other, start=start, memo=memo)
    again.leave_memo()
    main, extra = judge, other
    if fresh.missing and outcome.complete and not again.missing:
        main, extra = other, judge
    merge(main, (note for note in extra.notes if note.counts_anyway))
    return main


def merge(judge: Judge, notes: Iterable[Note]) -> None:
    """Let one judge note what another did."""
    judge.join(notes)


def _trailing(source: Source, stop: int, outcome: Outcome, judge: Judge) -> None:
    detail = {"bytes": len(source.data) - stop, "read as a pickle": outcome.reason}
    if not judge.uses:
        # Numbers may read as opcodes for a while; nothing they seem to do is evidence.
        judge.forget()
    judge.note(rules.TRAILING_DATA, "bytes after the end of the pickle", stop, detail)
    if judge.uses and is_hostile(judge):
        return
    hidden = find_hidden(source.data, stop, judge.names, judge.budget)
    if hidden is not None:
        judge.note(rules.ATTACK_CONSTRUCTION, "a pickle hidden behind the first one", stop)
        merge(judge, hidden.notes)


def report_hidden(source: Source, visit: Visit, start: int, names: Names) -> bool:
    """Note a hidden stream that names a danger, and what it does; False if there is none."""
    hidden = find_hidden(source.data, start, names, visit.budget)
    if hidden is None:
        return False
    visit.note(source, rules.ATTACK_CONSTRUCTION, "a pickle behind bytes that are none", start)
    visit.take(source, hidden)
    return True


def find_hidden(data: Data, start: int, names: Names, budget: Budget) -> Judge | None:
    """Return what the first hidden stream that names a danger does, or None."""
    left = _HIDDEN_BYTES
    for place in islice(_places(data, start, names), _MOST_HIDDEN):
        judge = Judge(names, budget)
        _, outcome = run(data, judge, start=place, most=_HIDDEN_OPCODES)
        if names_danger(judge):
            return judge
        left -= outcome.stop - place
        if left < 0 or budget.over:
            return None
    return None


def _places(data: Data, start: int, names: Names) -> Iterator[int]:
    found = _HIDDEN.finditer(data, start, start + _FARTHEST_HIDDEN)
    stacked = 0
    for match in islice(found, _MOST_NEWLINES):
        at = match.start()
        if data[at] == _PROTO:
            yield at
            continue
        if data[at] == _STACK_GLOBAL:
            stacked += 1
            place = _danger_before(data, at, names) if stacked <= _MOST_STACKED else None
            if place is not None:
                yield place
            continue
        first = max(start, at - _LONGEST_MODULE)
        module = _MODULE.search(bytes(data[first:at]))
        if module is not None:
            tail = module.group()
            yield from (
                first + module.start() + index
                for index, letter in enumerate(tail)
                if letter in b"ci"
            )


def _danger_before(data: Data, stop: int, names: Names) -> int | None:
    """Return where the two texts of a STACK_GLOBAL begin, if they name a danger."""
    first = max(0, stop - 2 * (_LONGEST_MODULE + 10))
    window = bytes(data[first:stop])
    name = _text_before(window, len(window))
    module = None if name is None else _text_before(window, name[0])
    if name is None or module is None:
        return None
    status = names.status(module[1].decode("latin-1"), name[1].decode("latin-1"), 4)
    return first + module[0] if not status.known and status.danger is not None else None


def _text_before(window: bytes, stop: int) -> tuple[int, bytes] | None:
    """Return a short text that ends here, memoized or not, and where its opcode stands."""
    ends = [stop]
    if window[stop - 1 : stop] == b"\x94":
        ends.append(stop - 1)
    if window[stop - 2 : stop - 1] == b"q":
        ends.append(stop - 2)
    if window[stop - 5 : stop - 4] == b"r":
        ends.append(stop - 5)
    for end in ends:
        for length in range(1, min(_LONGEST_MODULE, end - 2) + 1):
            at = end - length - 1
            if window[at] == length and window[at - 1] in b"\x8cU":
                return at - 1, window[at + 1 : end]
            if window[max(0, at - 4) : at + 1] == bytes((0x58, length, 0, 0, 0)):
                return at - 4, window[at + 1 : end]
    return None
