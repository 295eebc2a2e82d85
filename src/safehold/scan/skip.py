"""Steps over runs, see runs.py: where to try, how far, and whether the GETs in one are harmless.

A run must do nothing but push its values and put some in the memo. A GET can do more: find
nothing, bring in a global, or a tuple that takes long to hash. So each index that a run gets must
be known by then, and be none of these; otherwise the run ends before.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any, Final, Protocol

from safehold.scan.memo import Memo
from safehold.scan.runs import (
    LARGE,
    LONGEST_CHAIN,
    NUMBERS,
    SOUND,
    TUPLES,
    Patterns,
    index_of,
    patterns,
    puts_among,
)
from safehold.scan.values import Box, Data, Global, Reader, Run, weighs_more

# Shorter runs are not worth a match.
_SHORTEST: Final = 24
# How far a match may look at first, and at most; it doubles while runs reach that far, so that
# the bytes which are read in vain stay fewer than those which are not.
_FIRST_WINDOW: Final = 2**12
_LEAST_WINDOW: Final = 2**7
_LAST_WINDOW: Final = 2**20
# After a match in vain so many bytes more are not tried than after the one before; the first few
# are free where a container begins. A run that had to be read counts as several.
_STEP: Final = 16
_FREE: Final = 8
_REGRET: Final = 4
_LONGEST_WAIT: Final = 2**12
# Unread runs of so many bytes are read rather than end a run at a GET.
_READ_AT_ONCE: Final = 2**13
# So near to the end of what a match may look at, it may have ended in the middle of a tuple, and
# this is less than what follows the last one that is complete.
_PENDING: Final = 2**8
# So much of the end of a longer run is read when its last value is needed.
_TAIL: Final = 2**9
_WHOLE: Final = 2**11
# A tuple that takes longer to hash is left to the machine.
_HEAVIEST: Final = 64
_GETS: Final = (b"h", b"j")
_SET: Final = b"s"[0]
# After so many tries in a large source, the patterns for deeper nesting are compiled.
_FIRST_TRIES: Final = 8
# Next to this many other values above a mark, nobody counts which of them are keys.
_MOST_COUNTED: Final = 64


class Stepping(Reader, Protocol):
    """What a run is stepped over in: the machine, as it stands."""

    size: int
    limit: int
    pos: int
    proto: int
    stack: list[Any]
    marks: list[int]
    fence: int
    kept: Memo

    @property
    def most_values(self) -> int:
        """How many values the stack may hold."""


class Skipper:
    """Decides where the machine steps over a run."""

    __slots__ = (
        "_heights",
        "_tries",
        "_tupled",
        "_unread",
        "_until",
        "_vain",
        "_window",
        "next_scalar",
        "next_try",
    )

    def __init__(self, *, skip: bool) -> None:
        # Runs are tried from these offsets on: at a container or a mark, and at a scalar.
        self.next_try = self.next_scalar = 0 if skip and SOUND else sys.maxsize
        self._tries = 0
        # Whether a dict was seen of which a value is a tuple.
        self._tupled = False
        self._window = _FIRST_WINDOW
        # Where runs are on the stack, and how long; a value takes a byte or more.
        self._heights: list[tuple[int, int]] = []
        self._unread = 0
        # A GET at which a run was too short, where the next one ends as well.
        self._until = 0
        # Matches in vain and runs that had to be read, less those that had not.
        self._vain = 0

    def skip(self, m: Stepping, start: int, *, scalar: bool = False) -> bool:
        """Push the run that begins at an offset and step over it; False if there is none."""
        if m.limit - start < _SHORTEST:
            return False
        pairs = _in_dict(m)
        if pairs and not _at_key(m):
            return False
        full = self._is_full(m)
        run = _numbers(m, start) if full else self._run(m, start, pairs=pairs)
        if run is None:
            self._wait(start, scalar=scalar)
            return False
        self._vain //= 2
        if not full:
            self._heights.append((len(m.stack), run.stop - run.start))
            self._unread += run.stop - run.start
        m.stack.append(run)
        m.kept.defer(run)
        m.pos = run.stop
        return True

    def _is_full(self, m: Stepping) -> bool:
        """Whether runs on the stack may hold more values than may be there."""
        while self._heights and self._heights[-1][0] >= len(m.stack):
            self._unread -= self._heights.pop()[1]
        return self._unread > m.most_values

    def _run(self, m: Stepping, start: int, *, pairs: bool) -> Run | None:
        self._tries += 1
        deep = m.size >= LARGE and self._tries > _FIRST_TRIES
        forms = patterns(framed=m.proto > 3, deep=deep, tupled=deep and self._tupled)
        pattern = forms.pairs if pairs else forms.values
        end = min(m.limit, start + self._window)
        if start < self._until < end:
            end, self._until = self._until, 0
        stop, sure = _ends(pattern, m.data, start, end)
        m.budget.match(stop - start)
        if stop == end < m.limit:
            # What follows may belong to the last value.
            stop, sure = _ends(pattern, m.data, start, end - 1)
        if stop - start > self._window // 2:
            self._window = min(2 * self._window, _LAST_WINDOW)
        if not self._tupled and start < stop < end:
            # A tuple that was cut in two, or that a dict of one item takes.
            found = forms.taker(3).match(m.data, stop, end) if pairs else None
            self._tupled = found is not None or m.data[stop] == _SET
        if stop > start and end - stop < _PENDING:
            stop = _completed(m, forms, (start, sure, stop), end) if not pairs else stop
        if stop - start < _SHORTEST:
            return None
        run = Run(m, forms, start, stop, pairs=pairs)
        run.stop = self._checked(m, pattern, run)
        return run if run.stop - start >= _SHORTEST else None

    def _wait(self, position: int, *, scalar: bool) -> None:
        self._window = max(self._window // 2, _LEAST_WINDOW)
        if self.next_try == sys.maxsize:
            return
        self._vain += 1
        wait = min(_STEP * self._vain, _LONGEST_WAIT)
        self.next_scalar = position + wait
        if not scalar and self._vain > _FREE:
            self.next_try = position + wait

    def last_values(self, m: Stepping, run: Run) -> list[Any]:
        """Return the values of a run that ends in the middle of something; of a long one some.

        A run before the others stands for the rest.
        """
        parts = self._parts(m, run) if run.stop - run.start > _WHOLE else []
        if not parts or not m.kept.split(run, parts):
            return run.unfolded()
        m.kept.open(parts[1], m)
        return [parts[0], *parts[1].unfolded()]

    def _parts(self, m: Stepping, run: Run) -> list[Run]:
        pattern = run.forms.pairs if run.pairs else run.forms.values
        at = _end(pattern, m.data, run.start, run.stop - _TAIL)
        while run.start < at < run.stop:
            if _end(pattern, m.data, at, run.stop) == run.stop:
                head = Run(m, run.forms, run.start, at, pairs=run.pairs)
                return [head, Run(m, run.forms, at, run.stop, pairs=run.pairs)]
            # It takes values from before, so that the cut is made after it.
            found = run.forms.taker(1).match(m.data, at, run.stop)
            at = found.end() if found is not None else run.stop
        return []

    def regret(self, run: Run) -> None:
        """Hear that a run had to be read after all."""
        if self.next_try != sys.maxsize:
            self._vain += _REGRET
            wait = min(_STEP * self._vain, _LONGEST_WAIT)
            self.next_try = self.next_scalar = max(self.next_try, run.stop + wait)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Try no runs meanwhile."""
        kept = self.next_try, self.next_scalar
        self.next_try = self.next_scalar = sys.maxsize
        try:
            yield
        finally:
            self.next_try, self.next_scalar = kept

    def _checked(self, m: Stepping, pattern: re.Pattern[bytes], run: Run) -> int:
        """Return where a run ends at the latest because of what it gets."""
        kept = m.kept
        if kept.log or kept.gaps:
            taken = set(run.forms.gets.findall(m.data, run.start, run.stop)) - {b""}
            bad = _harmful(m, run, taken) if taken else taken
            if not bad:
                return run.stop
            if not kept.log or kept.waiting > _READ_AT_ONCE:
                return self._cut(m, pattern, run, bad)
            kept.resolve(m)
        if kept.gaps:
            bad = _harmful(m, run, taken)
            return self._cut(m, pattern, run, bad) if bad else run.stop
        # Nothing is unread that may put something, so the first GET of what nobody put ends
        # the run, whatever follows.
        gets = _Gets(m, run)
        first = gets.harmful()
        if first < run.stop:
            self._end_at(m, pattern, run, first)
        bad = gets.changed()
        return self._cut(m, pattern, run, bad) if bad else run.stop

    def _cut(self, m: Stepping, pattern: re.Pattern[bytes], run: Run, bad: set[bytes]) -> int:
        """End a run before the first of some GETs."""
        matches = run.forms.gets.finditer(m.data, run.start, run.stop)
        first = next(match.start(1) for match in matches if match.group(1) in bad)
        self._end_at(m, pattern, run, first)
        return run.stop

    def _end_at(self, m: Stepping, pattern: re.Pattern[bytes], run: Run, place: int) -> None:
        self._window = max(self._window // 2, _LEAST_WINDOW)
        run.stop = _end(pattern, m.data, run.start, place)
        self._until = place if run.stop - run.start < _SHORTEST else 0


class _Gets:
    """What a run gets, where the memo before it is known: from there, or from the run itself."""

    def __init__(self, m: Stepping, run: Run) -> None:
        self._m = m
        self._run = run
        self._known = m.kept.known
        self._taken: set[int] = set()
        self._puts: _Puts | None = None

    def harmful(self) -> int:
        """Return where the first GET of what is unknown or harmful is, or where the run ends."""
        run, known = self._run, self._known
        seen: set[bytes] = set()
        for match in run.forms.gets.finditer(self._m.data, run.start, run.stop):
            code = match[1]
            if not code or code in seen:
                continue
            seen.add(code)
            index = index_of(code)
            if index not in known:
                if self._puts is None:
                    self._puts = _Puts(self._m, run)
                if not self._puts.may_get(index, match.start(1)):
                    return match.start(1)
            elif _is_harmless(known[index]):
                self._taken.add(index)
            else:
                return match.start(1)
        return run.stop

    def changed(self) -> set[bytes]:
        """Return the GETs that may find something else, which the run puts there by PUT."""
        forms = self._run.forms
        if forms.puts is None:
            self._run.unset = self._taken
            return set()
        found = puts_among(forms, self._m.data, self._run.start, self._run.stop, self._taken)
        self._run.unset = self._taken - found
        if self._puts is not None:
            found |= self._puts.put_again()
        short = {b"h%c" % index for index in found if index < 2**8}
        return short | {b"j" + index.to_bytes(4, "little") for index in found}


class _Puts:
    """What a run puts at indexes that were unset, and where it may get that again.

    A tuple of a few scalars is as harmless as they are, unless it is the last of a chain of such.
    """

    def __init__(self, m: Stepping, run: Run) -> None:
        self._run = run
        self._data = m.data
        self._found = run.forms.memos.finditer(m.data, run.start, run.stop)
        self._next = len(m.kept.known)
        self._at = run.start
        self._places: dict[int, int] = {}
        self._tuples: dict[int, bytes] = {}
        self._again: set[int] = set()
        self._got: set[int] = set()
        self._chain = 0

    def may_get(self, index: int, place: int) -> bool:
        """Whether a GET at a place finds something, and does no more; places must ascend."""
        while self._at < place:
            self._look()
        if self._places.get(index, place) >= place:
            return False
        self._got.add(index)
        maker = self._tuples.get(index)
        if maker is not None:
            self._chain += 1
        return maker != b"t" and self._chain <= LONGEST_CHAIN

    def put_again(self) -> set[int]:
        """Return the indexes that are put more than once, of those that were got."""
        rest = puts_among(self._run.forms, self._data, self._at, self._run.stop, self._got)
        return rest | self._again & self._got

    def _look(self) -> None:
        """Look at the next PUT or MEMOIZE."""
        match = next(self._found)
        code = match[1]
        self._at = match.end()
        if code[:1] in _GETS:
            return
        if not code:
            self._at = self._run.stop
            return
        maker = code[:1] if code[0] in TUPLES else b""
        if self._run.forms.puts is None:
            index = self._next
            self._next += 1
        else:
            index = index_of(code[len(maker) :])
        if index in self._places:
            self._again.add(index)
        self._places[index] = match.start(1)
        if maker:
            self._tuples[index] = maker


def _numbers(m: Stepping, start: int) -> Run | None:
    """Return a run of values that take no memory, of which the stack may hold any number."""
    stop = _end(NUMBERS, m.data, start, min(m.limit, start + _LAST_WINDOW))
    m.budget.match(stop - start)
    forms = patterns(framed=m.proto > 3, deep=False)
    return Run(m, forms, start, stop, pairs=False) if stop - start >= _SHORTEST else None


def _end(pattern: re.Pattern[bytes], data: Data, start: int, limit: int) -> int:
    found = pattern.match(data, start, limit)
    return start if found is None else found.end()


def _ends(pattern: re.Pattern[bytes], data: Data, start: int, limit: int) -> tuple[int, int]:
    """Return where a match ends, and up to where it does not depend on what follows."""
    found = pattern.match(data, start, limit)
    return (start, start) if found is None else (found.end(), max(start, found.start(1)))


def _completed(m: Stepping, forms: Patterns, found: tuple[int, int, int], end: int) -> int:
    """Return where a run ends that stops because of what its match could look at.

    A value in the middle of a tuple would be read again with all that is before it in the run.
    """
    start, sure, stop = found
    if end < m.limit:
        taker = forms.taker(1).match(m.data, stop, m.limit)
        if taker is not None:
            return taker.end()
    return sure if sure - start >= _SHORTEST and stop - sure < _PENDING else stop


def _harmful(m: Stepping, run: Run, codes: set[bytes]) -> set[bytes]:
    """Return which GETs do more than to push, or may find what the run itself puts."""
    if m.kept.gaps:
        return codes
    indexes = set(map(index_of, codes))
    bad = m.kept.unsettled(indexes, m)
    found = puts_among(run.forms, m.data, run.start, run.stop, indexes)
    run.unset = indexes - found
    bad |= found
    bad |= {index for index in indexes - bad if not _is_harmless(m.kept.known[index])}
    return {code for code in codes if index_of(code) in bad}


def _is_harmless(value: Any) -> bool:
    if type(value) is tuple:
        return not weighs_more(value, _HEAVIEST)
    return type(value) is not Global


def _in_dict(m: Stepping) -> bool:
    """Whether the values above the last mark are keys and values of a dict."""
    box = m.stack[m.fence - 1] if m.marks and m.fence else None
    return type(box) is Box and box.kind == "dict"


def _at_key(m: Stepping) -> bool:
    """Whether there is an even number of them so far."""
    if len(m.stack) - m.fence > _MOST_COUNTED:
        return False
    above = m.stack[m.fence :]
    runs = [value for value in above if type(value) is Run]
    return len(above) % 2 == len(runs) % 2 and all(run.pairs for run in runs)
