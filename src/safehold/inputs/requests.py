"""The inputs of the request that is being served, for checks that come later: SQL, commands.

They are kept in a context variable, which tasks of asyncio and `asyncio.to_thread` inherit. A
thread that a program starts by itself sees none, unless it runs in a copy of the context
(``contextvars.copy_context().run``).
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Final

from safehold.errors import LimitExceeded
from safehold.inputs.forms import Needles, needles

MOST: Final = 20_000
"""Most values of one request, names of fields included."""
LONGEST: Final = 16 * 2**20
"""Most characters of all of them."""
DEPTH: Final = 64

_current: ContextVar[Inputs | None] = ContextVar("safehold_inputs", default=None)


class Inputs:
    """The texts that one request brought, and the forms in which a program may use them."""

    def __init__(self, values: object = ()) -> None:
        """Take values as `add` does."""
        self._texts: dict[str, None] = {}
        self._length = 0
        self._needles: tuple[int, Needles] | None = None
        self._sources: list[Callable[[], object]] = []
        self._wrong: LimitExceeded | None = None
        self._id = ""
        self.add(values)

    def add(self, values: object) -> None:
        """Take texts, bytes and numbers, also within mappings and sequences; names count too.

        Raises:
            LimitExceeded: more, longer or deeper than is kept. The request has to be refused, as
                nothing could be said of what is left out.
        """
        for text in _flat(values, DEPTH):
            if text in self._texts:
                continue
            self._length += len(text)
            if len(self._texts) >= MOST or self._length > LONGEST:
                raise LimitExceeded(
                    f"a request has more than {MOST} values or {LONGEST} characters in them; "
                    "refuse it, or read large bodies apart from its inputs"
                )
            self._texts[text] = None

    def later(self, source: Callable[[], object]) -> None:
        """Take what a function returns, which is called when somebody first asks."""
        self._sources.append(source)

    @property
    def id(self) -> str:
        """A name for the request in records: random, made when somebody first asks."""
        if not self._id:
            self._id = secrets.token_hex(8)
        return self._id

    @property
    def texts(self) -> tuple[str, ...]:
        """What was taken, each once. Raises LimitExceeded as `add` does."""
        self._fill()
        return tuple(self._texts)

    @property
    def needles(self) -> Needles:
        """What a check looks for, worked out when somebody first asks.

        Raises:
            LimitExceeded: as `add` does, each time.
        """
        self._fill()
        count = len(self._texts)
        if self._needles is None or self._needles[0] != count:
            try:
                self._needles = (count, needles(self._texts))
            except LimitExceeded as error:
                self._wrong = error
                raise
        return self._needles[1]

    def _fill(self) -> None:
        if self._wrong is not None:
            raise self._wrong
        while self._sources:
            try:
                self.add(self._sources.pop()())
            except LimitExceeded as error:
                self._wrong = error
                raise


@contextlib.contextmanager
def request_inputs(values: object = ()) -> Iterator[Inputs]:
    """Hold the inputs of one request inside the block; within another's block, both count."""
    outer = _current.get()
    inputs = Inputs(() if outer is None else outer.texts)
    inputs.add(values)
    if outer is not None:
        inputs._id = outer.id  # noqa: SLF001  (of its own class)
    token = _current.set(inputs)
    try:
        yield inputs
    finally:
        _current.reset(token)


def add_inputs(values: object) -> None:
    """Add what was read later, such as a body; nothing happens outside of a request."""
    inputs = _current.get()
    if inputs is not None:
        inputs.add(values)


def hold_inputs(inputs: Inputs | None) -> Inputs | None:
    """Make these the inputs of the request, until somebody says otherwise; return those before."""
    before = _current.get()
    _current.set(inputs)
    return before


def current() -> Inputs | None:
    """Return the inputs of the request that is being served."""
    return _current.get()


def _flat(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield str.__str__(value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        yield bytes(value).decode("utf-8", "replace")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield _number(value)
    elif isinstance(value, (Mapping, Iterable)):
        if not depth:
            raise LimitExceeded(f"a request has values more than {DEPTH} deep; refuse it")
        items = value.items() if isinstance(value, Mapping) else value
        for item in items:
            yield from _flat(item, depth - 1)


def _number(value: float) -> str:
    try:
        return repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return hex(value) if isinstance(value, int) else ""
