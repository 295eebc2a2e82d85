"""Names of the operators in a TFLite model, which is a flatbuffer: tables of offsets."""

from __future__ import annotations

from typing import Final

from safehold.scan.values import Data

_MOST_OPERATORS: Final = 10_000
_LONGEST_NAME: Final = 1024


class _Table:
    """One table: its fields are found through a list of offsets that stands elsewhere."""

    def __init__(self, data: Data, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - number(data, at, 4, signed=True)
        self._size = number(data, self._fields, 2)

    def place(self, index: int) -> int | None:
        """Return where the offset of a field stands; None if the table has no such field."""
        slot = 4 + 2 * index
        if slot + 2 > self._size:
            return None
        offset = number(self._data, self._fields + slot, 2)
        return self._at + offset if offset else None

    def target(self, index: int) -> int | None:
        """Return where a field leads."""
        place = self.place(index)
        return None if place is None else place + number(self._data, place, 4)


def number(data: Data, at: int, width: int, *, signed: bool = False) -> int:
    """Return a number. Raises ValueError outside the data."""
    if at < 0 or at + width > len(data):
        raise ValueError("an offset outside the file")
    return int.from_bytes(data[at : at + width], "little", signed=signed)


def operators(data: Data) -> list[str]:
    """Return the names of the custom operators. Raises ValueError for what is no such file."""
    root = _Table(data, number(data, 0, 4))
    listed = root.target(1)
    if listed is None:
        raise ValueError("no operators")
    count = number(data, listed, 4)
    if count > _MOST_OPERATORS:
        raise ValueError("more operators than any model needs")
    names = []
    for index in range(count):
        place = listed + 4 + 4 * index
        text = _Table(data, place + number(data, place, 4)).target(1)
        if text is not None:
            length = min(number(data, text, 4), _LONGEST_NAME)
            names.append(bytes(data[text + 4 : text + 4 + length]).decode("utf-8", "replace"))
    return names
