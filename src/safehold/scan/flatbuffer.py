"""Flatbuffers: tables of offsets, walked by a schema; nothing is built from them.

A schema says of each table which fields lead elsewhere, by their number: ``"text"``, ``"[text]"``,
``"Name"`` and ``"[Name]"`` of other tables, ``"[8]"`` for numbers of so many bytes, ``"=8"`` for a
structure, and ``"?Name"`` for a union whose kind stands in the field before it, by the list of that
name. https://flatbuffers.dev/internals/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from safehold.scan.budget import Budget
from safehold.scan.values import Data

_MOST_OPERATORS: Final = 10_000
_MOST_STEPS: Final = 2_000_000
_LONGEST_TEXT: Final = 1024
# A part takes as long as so many steps of the budget.
_STEPS: Final = 5

Fields = Mapping[int, str]
Schema = Mapping[str, Fields | Sequence[str]]


class TooMuchError(Exception):
    """It has more parts than any model needs."""


class Table:
    """One table: its fields are found through a list of offsets that stands elsewhere."""

    def __init__(self, data: Data, at: int, budget: Budget | None = None) -> None:
        self._data = data
        self._budget = budget
        self.at = at
        self._fields = at - number(data, at, 4, signed=True)
        self._size = number(data, self._fields, 2)
        if self._size < 4 or self._size % 2 or self._fields + self._size > len(data):
            raise ValueError("a table outside the file")

    @property
    def stop(self) -> int:
        """The end of the table and of its list of offsets."""
        return max(self.at + number(self._data, self._fields + 2, 2), self._fields + self._size)

    def place(self, index: int) -> int | None:
        """Return where the offset of a field stands; None if the table has no such field."""
        slot = 4 + 2 * index
        if slot + 2 > self._size:
            return None
        offset = number(self._data, self._fields + slot, 2)
        return self.at + offset if offset else None

    def target(self, index: int) -> int | None:
        """Return where a field leads."""
        place = self.place(index)
        return None if place is None else place + number(self._data, place, 4)

    def value(self, index: int, width: int) -> int:
        """Return a number, 0 if the table has none."""
        place = self.place(index)
        return 0 if place is None else number(self._data, place, width)

    def text(self, index: int) -> str:
        """Return a text, or its beginning."""
        at = self.target(index)
        return "" if at is None else text_at(self._data, at)

    def items(self, index: int) -> Iterator[int]:
        """Yield where the items of a field lead; a walk checked how many, unless tables share them.

        Raises:
            OutOfTime: the time for the file is used up.
        """
        start = self.target(index)
        for place in range(0 if start is None else number(self._data, start, 4)):
            if self._budget is not None:
                self._budget.spend(_STEPS)
            at = (start or 0) + 4 + 4 * place
            yield at + number(self._data, at, 4)

    def tables(self, index: int) -> Iterator[Table]:
        """Yield the tables of a field."""
        for at in self.items(index):
            yield Table(self._data, at, self._budget)


def number(data: Data, at: int, width: int, *, signed: bool = False) -> int:
    """Return a number. Raises ValueError outside the data."""
    if at < 0 or at + width > len(data):
        raise ValueError("an offset outside the file")
    return int.from_bytes(data[at : at + width], "little", signed=signed)


def text_at(data: Data, at: int) -> str:
    """Return the text at a place, or its beginning."""
    length = min(number(data, at, 4), _LONGEST_TEXT)
    return bytes(data[at + 4 : at + 4 + length]).decode("utf-8", "replace")


class Walk:
    """A walk through all tables below one; ``end`` is the end of what it has seen.

    A part that several tables lead to is seen once.
    """

    def __init__(self, data: Data, schema: Schema, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self._schema = schema
        self._left = _MOST_STEPS
        self._seen: set[tuple[str, int]] = set()
        self._waiting: list[tuple[str, int]] = []
        self.end = 0

    def root(self, kind: str) -> Table:
        """Walk through all tables and return the first.

        Raises:
            ValueError: an offset leads outside of the data.
            TooMuchError: there are more parts than any model has.
            OutOfTime: the time for the file is used up.
        """
        top = number(self._data, 0, 4)
        self._waiting = [(kind, top)]
        while self._waiting:
            name, at = self._waiting.pop()
            if (name, at) not in self._seen:
                self._seen.add((name, at))
                self._table(name, at)
        return Table(self._data, top, self._budget)

    def _step(self, count: int = 1) -> None:
        self._left -= count
        if self._left < 0:
            raise TooMuchError
        self._budget.spend(count * _STEPS)

    def _reach(self, stop: int) -> None:
        if stop > len(self._data):
            raise ValueError("a part that reaches beyond the end of the file")
        self.end = max(self.end, stop)

    def _table(self, name: str, at: int) -> None:
        self._step()
        table = Table(self._data, at)
        self._reach(table.stop)
        fields = self._schema[name]
        if not isinstance(fields, Mapping):
            raise TypeError(name)
        for index, kind in fields.items():
            target = table.target(index)
            if target is not None:
                self._follow(kind, target, table.value(index - 1, 1))

    def _follow(self, kind: str, at: int, union: int) -> None:
        if kind == "text":
            self._text(at)
        elif kind.startswith("="):
            self._reach(at + int(kind[1:]))
        elif kind.startswith("?"):
            members = self._schema[kind[1:]]
            if union >= len(members):
                raise ValueError("a value of an unknown kind")
            if isinstance(members, Sequence) and members[union]:
                self._follow(members[union], at, 0)
        elif kind.startswith("["):
            self._vector(kind[1:-1], at)
        else:
            self._waiting.append((kind, at))

    def _text(self, at: int) -> None:
        self._reach(at + 4 + number(self._data, at, 4) + 1)

    def _vector(self, kind: str, at: int) -> None:
        count = number(self._data, at, 4)
        width = int(kind) if kind.isdigit() else 4
        self._reach(at + 4 + count * width)
        if kind.isdigit():
            return
        self._step(count)
        for place in range(at + 4, at + 4 + 4 * count, 4):
            self._follow(kind, place + number(self._data, place, 4), 0)


def operators(data: Data) -> list[str]:
    """Return the names of the custom operators of a TFLite model.

    Raises:
        ValueError: the data is no such file.
    """
    root = Table(data, number(data, 0, 4))
    listed = root.target(1)
    if listed is None:
        raise ValueError("no operators")
    if number(data, listed, 4) > _MOST_OPERATORS:
        raise ValueError("more operators than any model needs")
    targets = (table.target(1) for table in root.tables(1))
    return [text_at(data, at) for at in targets if at is not None]
