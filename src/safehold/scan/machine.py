"""A pickle machine with CPython's semantics and symbolic values; nothing is imported or called.

It follows the C loader: one stack with fences at marks, a memo that outlives a stream if asked
to, names mapped from Python 2 below protocol 3. Where the C loader would stop because of a bad
value, this machine notes it and goes on, so that it sees at least what any loader sees. Given an
array reader, it follows the pure Python loader instead, on which joblib builds: that one reads
frames ahead, and raw array bytes follow the frame, not the opcode.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from safehold.scan import budget, rules, sizes
from safehold.scan.judge import Judge
from safehold.scan.memo import Memo
from safehold.scan.outcome import Broken, Ended, Outcome
from safehold.scan.skip import Skipper
from safehold.scan.values import UNKNOWN, Blob, Data, Run

Handler = Callable[["Machine"], None]

MAX_OPCODES: Final = 100_000_000
# Runs that may be on the stack unread, in bytes; a value takes one or more.
_MOST_UNREAD: Final = 4_000_000
# Names longer than this are no names; texts longer than the second stay in the file.
MAX_NAME: Final = 4096
KEPT_TEXT: Final = 256

# An index below this reserves little memory; runs hold only such PUTs.
_FREE_INDEX: Final = 2**20

_NEWLINE: Final = re.compile(rb"\n")
_STOP: Final = 0x2E


class Machine:
    """One stream; ``memo`` may come from an earlier one."""

    __slots__ = (
        "arrays", "budget", "buffers", "data", "fence", "items", "judge", "kept", "limit",
        "marks", "missing", "persistent", "pos", "proto", "replayed", "resume", "size", "skipper",
        "stack", "start", "table",
    )  # fmt: skip

    def __init__(
        self,
        data: Data,
        judge: Judge,
        *,
        start: int = 0,
        memo: Memo | None = None,
        arrays: Callable[[Machine, Any], Any] | None = None,
        skip: bool = True,
    ) -> None:
        self.data = data
        self.size = len(data)
        self.judge = judge
        self.budget = judge.budget
        self.start = start
        self.pos = start
        self.kept = Memo() if memo is None else memo
        self.skipper = Skipper(skip=skip)
        self.table: tuple[Handler, ...] = ()
        # Called with each value that got a state, see formats/joblib.py.
        self.arrays = arrays
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.fence = 0
        self.proto = 0
        # Values of runs that were read, and items of tuples and dicts, whatever became of them.
        self.replayed = 0
        self.items = 0
        self.persistent: list[Any] = []
        # How many buffers from outside the stream it takes.
        self.buffers = 0
        # GETs of an index that nothing was put at.
        self.missing = 0
        # End of what may be read now, and where reading goes on after it if that is a frame.
        self.limit = self.size
        self.resume: int | None = None

    def run(self, table: tuple[Handler, ...], most: int | None = None) -> Outcome:
        """Follow the stream to its STOP, or as far as it can be followed."""
        data = self.data
        self.table = table
        stride = budget.STRIDE
        rounds = -(-(MAX_OPCODES if most is None else most) // stride)
        try:
            if self.budget.over:
                self.budget.ask()
            for _ in range(rounds):
                for step in range(stride):
                    pos = self.pos
                    if pos >= self.limit:
                        pos = self._next_frame()
                    self.pos = pos + 1
                    opcode = data[pos]
                    if opcode == _STOP:
                        self.budget.spend(step)
                        return self._stopped()
                    table[opcode](self)
                sizes.check(self)
                self.budget.spend(stride)
        except budget.Exceeded as error:
            return self.ended(str(error))
        except Broken as error:
            return Outcome("broken", self.pos, reason=str(error))
        return self.ended(f"more than {rounds * stride} opcodes")

    def ended(self, why: str) -> Outcome:
        """Note a limit; nobody asks for the values of a stream that was not read to its end."""
        self.judge.note(rules.LIMIT_EXCEEDED, why, self.pos)
        self._drop()
        return Outcome("limit", self.pos, reason=why)

    def let_go(self, outcome: Outcome) -> None:
        """Drop all values, for another process that needs the memory; what was noted stays."""
        self._drop()
        self.persistent = []
        outcome.last = None

    def _drop(self) -> None:
        self.stack, self.marks, self.kept = [], [], Memo()
        self.skipper = Skipper(skip=False)

    def _stopped(self) -> Outcome:
        if len(self.stack) <= self.fence:
            raise Broken("stack underflow")
        top = self.stack.pop()
        if self.resume is not None and self.pos < self.limit:
            # The next load of a file begins after the frame, that of bytes after the STOP.
            message = "a frame goes on after the end of its stream"
            self.judge.note(rules.ATTACK_CONSTRUCTION, message, self.pos)
        return Outcome("stop", self.pos, top)

    # Reading

    def take(self, count: int) -> int:
        """Return the offset of the next ``count`` bytes and step over them.

        Raises:
            Ended: there are fewer.
        """
        pos = self.pos
        end = pos + count
        if end > self.limit:
            if count == 0 or self.resume is None:
                raise Ended("the stream ends inside an opcode")
            pos = self._beyond_frame()
            end = pos + count
            if end > self.limit:
                raise Ended("the stream ends inside an opcode")
        self.pos = end
        return pos

    def number(self, width: int) -> int:
        """Return a little-endian unsigned number and step over it."""
        start = self.take(width)
        return int.from_bytes(self.data[start : start + width], "little")

    def line(self) -> tuple[int, int]:
        """Return start and end of the next line, its newline included, and step over it.

        Raises:
            Ended: no newline follows.
        """
        if self.pos >= self.limit and self.resume is not None:
            self._next_frame()
        start = self.pos
        stop = self._line_end(start)
        if not stop and self.resume is not None:
            start = self._beyond_frame()
            stop = self._line_end(start)
        if not stop and self.arrays is not None and self.resume is None and start < self.size:
            # The Python loader takes what is left for a line, and its last byte for the newline.
            self.judge.broken("the file ends inside a line", start)
            stop = self.size
        if not stop:
            raise Ended("the stream ends inside a line")
        self.pos = stop
        return start, stop

    def _line_end(self, start: int) -> int:
        data = self.data
        if isinstance(data, bytes):
            return data.find(b"\n", start, self.limit) + 1
        found = _NEWLINE.search(data, start, self.limit)
        return found.end() if found is not None else 0

    def short_line(self) -> bytes:
        """Return the next line with its newline.

        Raises:
            Broken: it is empty or far longer than any number or name.
        """
        start, stop = self.line()
        if stop - start < 2:
            raise Broken("an empty line where a value belongs")
        if stop - start > 2 * MAX_NAME:
            raise Broken("a line longer than any number or name")
        return bytes(self.data[start:stop])

    def _beyond_frame(self) -> int:
        """Return where reading goes on when a frame holds less than is asked for."""
        if self.pos >= self.limit:
            return self._next_frame()
        if self.arrays is not None:
            raise Ended("a frame ends inside an opcode")
        self._leave_frame()
        return self.pos

    def _next_frame(self) -> int:
        """Go on after the frame that was read ahead."""
        if self.resume is None or self.resume >= self.size:
            raise Ended("the stream ends without a STOP")
        self.pos = self.resume
        self.resume = None
        self.limit = self.size
        return self.pos

    def enter_frame(self, length: int) -> None:
        """Begin a frame of ``length`` bytes."""
        inside = self.resume is not None and self.pos < self.limit
        if self.arrays is None:
            if length > self.size - self.pos:
                self.judge.broken("a frame is longer than the file", self.pos)
            if inside and self.pos + length <= self.limit:
                return
        elif inside:
            raise Broken("a frame begins inside another")
        if inside:
            self._leave_frame()
        self.pos = self.file_position
        self.limit = self.resume = min(self.pos + length, self.size)

    def _leave_frame(self) -> None:
        """Go on as `pickle.loads` does, for which frames mean nothing.

        Reading from a file, the C loader reads a frame ahead and, asked for more bytes than are
        left of it, drops those and reads what follows the frame: another stream than that of a
        reader that has all bytes at hand. Where nothing follows, the file is cut off, no more.
        """
        if self.resume is not None and self.resume < self.size:
            message = "something is read across the end of a frame"
            self.judge.note(rules.ATTACK_CONSTRUCTION, message, self.pos)
        self.limit = self.size
        self.resume = None

    @property
    def file_position(self) -> int:
        """Where the loader's file stands: after the frame, if one was read ahead."""
        return self.pos if self.resume is None else self.resume

    def move_file(self, position: int) -> None:
        """Set where the loader's file stands."""
        if self.resume is None:
            self.pos = position
        else:
            self.resume = position

    # Stack

    def pop(self) -> Any:
        """Take the value on top.

        Raises:
            Broken: there is none above the last mark.
        """
        stack = self.stack
        if len(stack) <= self.fence:
            raise Broken("stack underflow")
        value = stack.pop()
        if type(value) is Run:
            stack.extend(self.skipper.last_values(self, value))
            value = stack.pop()
        return value

    def top(self) -> Any:
        """Return the value on top.

        Raises:
            Broken: there is none above the last mark.
        """
        stack = self.stack
        if len(stack) <= self.fence:
            raise Broken("stack underflow")
        if type(stack[-1]) is Run:
            stack.extend(self.skipper.last_values(self, stack.pop()))
        return stack[-1]

    def mark(self) -> None:
        """Set a mark."""
        self.fence = len(self.stack)
        self.marks.append(self.fence)

    def unmark(self) -> int:
        """Remove the last mark and return where it stood.

        Raises:
            Broken: there is none.
        """
        marks = self.marks
        if not marks:
            raise Broken("no mark")
        at = marks.pop()
        self.fence = marks[-1] if marks else 0
        return at

    def above_mark(self) -> list[Any]:
        """Take everything above the last mark, and the mark; runs stay runs."""
        at = self.unmark()
        items = self.stack[at:]
        del self.stack[at:]
        return items

    # Runs

    @property
    def most_values(self) -> int:
        """How many values the stack may hold."""
        return _MOST_UNREAD

    def unfold(self, run: Run) -> None:
        """Read the values of a run."""
        self.skipper.regret(run)
        self.kept.open(run, self)

    def replay(self, run: Run) -> None:
        """Follow the opcodes of a run, one by one, on a stack of its own."""
        kept = self.pos, self.limit, self.resume, self.stack, self.marks, self.fence
        self.pos, self.limit, self.resume = run.start, run.stop, None
        self.stack, self.marks, self.fence = [], [], 0
        data, table = self.data, self.table
        with self.skipper.paused():
            while self.pos < run.stop:
                for _ in range(budget.STRIDE):
                    opcode = data[self.pos]
                    self.pos += 1
                    table[opcode](self)
                    if self.pos >= run.stop:
                        break
                else:
                    sizes.check(self)
        run.values = self.stack
        before = self.replayed
        self.replayed += len(run.values)
        self.pos, self.limit, self.resume, self.stack, self.marks, self.fence = kept
        if run.owner is not None:
            run.owner.settle()
        self.budget.spend(run.stop - run.start)
        if self.replayed // budget.STRIDE != before // budget.STRIDE:
            sizes.check(self)

    # Memo

    @property
    def memo(self) -> dict[int, Any]:
        """Everything that was remembered, by index."""
        return self.leave_memo().known

    def leave_memo(self) -> Memo:
        """Return the memo as a later stream finds it; empty if a limit ends the reading here."""
        try:
            self.kept.resolve(self)
        except budget.Exceeded as error:
            self.ended(str(error))
        return self.kept

    def put(self, index: int) -> None:
        """Remember the value on top.

        Raises:
            Broken: there is none.
        """
        # Each PUT takes a byte or more, so an honest index never exceeds the offset by much.
        if index > max(self.pos + MAX_NAME, _FREE_INDEX):
            message = f"memo index {index} reserves memory without need"
            self.judge.note(rules.LIMIT_EXCEEDED, message, self.pos)
        self.kept.put(index, self.top())

    def get(self, index: int) -> Any:
        """Return what was remembered; unknown, with a note, if nothing was."""
        try:
            return self.kept.get(index, self)
        except KeyError:
            self.missing += 1
            self.judge.broken("uses a memo index that was never set", self.pos)
            return UNKNOWN

    def text_of(self, value: Any) -> str | None:
        """Return a text value in full if it is short enough to be a name."""
        if type(value) is str:
            return value
        if isinstance(value, Blob) and value.kind == "str" and value.stop - value.start <= MAX_NAME:
            raw = self.data[value.start : value.stop]
            return str(raw, "utf-8", "surrogateescape")
        return None
