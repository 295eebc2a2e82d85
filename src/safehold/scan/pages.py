"""The footer and the page headers of a Parquet file, read and compared with its bytes.

Arrow's reader ends the process for some broken footers, and takes memory for what a header
says. So this reads them first: Thrift's compact protocol, as far as Parquet uses it
(parquet-format, `parquet.thrift`). Nothing is unpacked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from safehold.scan.budget import Budget
from safehold.scan.values import Data

MAGIC: Final = b"PAR1"
TEXT: Final = 6
"""The physical type of values of any length."""
DIFFERENCES: Final = 7
"""DELTA_BYTE_ARRAY: each value is stored as its difference from the one before."""
_LONGEST_FOOTER: Final = 16 * 2**20
_LONGEST_PAGE_HEADER: Final = 2**20
_DEEPEST: Final = 16
# Values of a footer; a struct takes the memory of several.
_MOST_VALUES: Final = 4_000_000
_PER_STRUCT: Final = 4
# A page takes as long as so many steps of the budget.
_PAGE: Final = 20
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_VARINTS: Final = (4, 5, 6)
_MOST_ENCODINGS: Final = 9
_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_2 = 0, 1, 2, 3


class BrokenError(ValueError):
    """Why the file cannot be what it says."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One column of one group of rows; of a repeated one ``rows`` counts the values."""

    name: str
    kind: int
    rows: int
    packed: int
    unpacked: int
    encodings: frozenset[int]


@dataclass(slots=True)
class Parquet:
    """What footer and page headers say, all of which the bytes bear out."""

    rows: int
    chunks: list[Chunk] = field(default_factory=list)
    notes: dict[bytes, bytes] = field(default_factory=dict)
    taken: list[tuple[int, int]] = field(default_factory=list)

    @property
    def unpacked(self) -> int:
        """Bytes of all pages after decompression."""
        return sum(chunk.unpacked for chunk in self.chunks)

    def gaps(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield the stretches of the file that nothing accounts for."""
        reached = len(MAGIC)
        for start, stop in sorted(self.taken):
            if start > reached:
                yield reached, start
            reached = max(reached, stop)
        if reached < size:
            yield reached, size


def parse(data: Data, budget: Budget | None = None) -> Parquet:
    """Read a file's footer and page headers.

    Raises:
        BrokenError: anything is not so.
        OutOfTime: the time for the file is used up.
    """
    try:
        # As unsigned bytes: those of an Arrow buffer are signed.
        return _parsed(memoryview(data).cast("B"), Budget() if budget is None else budget)
    except (IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        message = f"the footer is not one of Parquet ({type(error).__name__})"
        raise BrokenError(message) from error


def _parsed(data: memoryview, budget: Budget) -> Parquet:
    end = len(data) - 8
    if end < 4 or bytes(data[:4]) != MAGIC or bytes(data[end + 4 :]) != MAGIC:
        raise BrokenError("no Parquet file, or one that is cut or encrypted")
    length = int.from_bytes(data[end : end + 4], "little")
    start = end - length
    if length > _LONGEST_FOOTER or start < len(MAGIC):
        raise BrokenError("the footer is longer than the file or than any table needs")
    reader = _Reader(data[start:end], budget)
    footer = reader.struct(0)
    if reader.at != length:
        raise BrokenError("bytes after the footer")
    if 8 in footer:
        raise BrokenError("the file is encrypted")
    leaves = _leaves(footer[2])
    found = Parquet(_count(footer[3]), taken=[(start, len(data))])
    for row in footer.get(5, []):
        found.notes[row[1]] = row.get(2, b"")
    for group in footer.get(4, []):
        _read_group(data, start, group, leaves, found, budget)
    if sum(_count(group[3]) for group in footer.get(4, [])) != found.rows:
        raise BrokenError("the groups do not have the rows of the file")
    return found


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise BrokenError("a length that is none")
    return value


def _leaves(schema: list[dict[int, Any]]) -> list[tuple[tuple[bytes, ...], int, bool]]:
    """Return (path, physical type, repeated) of each column, from the tree in its order."""
    leaves: list[tuple[tuple[bytes, ...], int, bool]] = []
    # For each open group: its path, how many children are left, whether it repeats.
    opened: list[tuple[tuple[bytes, ...], int, bool]] = [((), _count(schema[0].get(5, 0)), False)]
    for row in schema[1:]:
        while opened and opened[-1][1] == 0:
            opened.pop()
        if not opened or len(opened) > _DEEPEST:
            raise BrokenError("the columns do not make one tree")
        path, left, repeated = opened.pop()
        opened.append((path, left - 1, repeated))
        if type(row[4]) is not bytes:  # of a number, bytes() would make so many zeros
            raise BrokenError("a column without a name")
        path, repeated = (*path, row[4]), repeated or row.get(3) == 2
        children = _count(row.get(5, 0))
        if children:
            opened.append((path, children, repeated))
        else:
            if type(row[1]) is not int or not 0 <= row[1] <= 7:
                raise BrokenError("a column of an unknown type")
            leaves.append((path, row[1], repeated))
    if any(left for _, left, _ in opened):
        raise BrokenError("the columns do not make one tree")
    return leaves


def _read_group(
    data: memoryview,
    stop: int,
    group: dict[int, Any],
    leaves: list[Any],
    found: Parquet,
    budget: Budget,
) -> None:
    rows = _count(group[3])
    if len(group[1]) != len(leaves):
        raise BrokenError("a group of rows has other columns than the file")
    for column, (path, kind, repeated) in zip(group[1], leaves, strict=True):
        meta = column[3]
        if 1 in column or 8 in column or 9 in column:
            raise BrokenError("a column that lies in another file or is encrypted")
        if tuple(meta[3]) != path or meta[1] != kind:
            raise BrokenError("a column is not the one of the file")
        # A column of no rows may have a dictionary and no page of data, or neither.
        at = min((_count(place) for place in (meta[9], meta.get(11, 0)) if place), default=0)
        packed, values = _count(meta[7]), _count(meta[5])
        if packed and (at < len(MAGIC) or at + packed > stop):
            raise BrokenError("a column lies outside the file")
        if not repeated and values != rows:
            raise BrokenError("a column has other rows than its group")
        unpacked, encodings = _read_pages(data[at : at + packed], values, budget)
        if unpacked > _count(meta[6]):
            raise BrokenError("the pages of a column unpack to more than it says")
        name = b".".join(path).decode()
        found.chunks.append(Chunk(name, kind, max(rows, values), packed, unpacked, encodings))
        found.taken.append((at, at + packed))
        for offset, length in ((column.get(4), column.get(5)), (column.get(6), column.get(7)),
                               (meta.get(14), meta.get(15))):  # fmt: skip
            if offset is not None and length is not None:
                found.taken.append((_count(offset), _count(offset) + _count(length)))


def _read_pages(data: memoryview, values: int, budget: Budget) -> tuple[int, frozenset[int]]:
    """Return what the pages unpack to, headers included, and how they are encoded."""
    at = unpacked = seen = 0
    encodings: set[int] = set()
    while at < len(data):
        budget.spend(_PAGE)
        reader = _Reader(data[at : at + _LONGEST_PAGE_HEADER], budget)
        page = reader.struct(0)
        packed = _count(page[3])
        at += reader.at + packed
        unpacked += reader.at + _count(page[2])
        kind = page[1]
        if kind in (_DATA_PAGE, _DATA_PAGE_2):
            inner = page[5] if kind == _DATA_PAGE else page[8]
            seen += _count(inner[1])
            encodings.add(_encoding(inner[2] if kind == _DATA_PAGE else inner[4]))
        elif kind == _DICTIONARY_PAGE:
            encodings.add(_encoding(page[7][2]))
            # Any value takes some bytes: a dictionary has no more than fit in.
            if 8 * _count(page[2]) < _count(page[7][1]):
                raise BrokenError("a dictionary has more values than bytes")
        elif kind != _INDEX_PAGE:
            raise BrokenError("a page of an unknown kind")
    if at != len(data) or seen != values:
        raise BrokenError("the pages of a column are not those that it says")
    return unpacked, frozenset(encodings)


def _encoding(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_ENCODINGS:
        raise BrokenError("an unknown encoding")
    return value


class _Reader:
    """Thrift's compact protocol: structs as dicts by field number."""

    def __init__(self, data: memoryview, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self._left = _MOST_VALUES
        self.at = 0

    def struct(self, depth: int) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise BrokenError("the footer is nested too deeply")
        self._count(_PER_STRUCT)
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._signed()
            if number in found:
                raise BrokenError("a field stands in the footer twice")
            found[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _count(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise BrokenError("more values than the footer of any table has")
        self._budget.spend(values)

    def _value(self, kind: int, depth: int) -> Any:
        self._count(1)
        if kind in _VARINTS:
            return self._signed()
        if kind == _BINARY:
            return self._take(self._varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth + 1)
        if kind in (_BYTE, _TRUE, _FALSE):
            return self._byte()
        if kind == _DOUBLE:
            return self._take(8)
        if kind == _MAP:
            return self._map(depth + 1)
        raise BrokenError("a field of an unknown type")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = head >> 4
        count = self._varint() if count == 15 else count
        # No item takes less than a byte, so the loop ends with the data.
        return [self._value(head & 15, depth) for _ in range(self._checked(count, depth))]

    def _map(self, depth: int) -> list[Any]:
        count = self._checked(self._varint(), depth)
        kinds = self._byte() if count else 0
        return [
            (self._value(kinds >> 4, depth), self._value(kinds & 15, depth)) for _ in range(count)
        ]

    def _checked(self, count: int, depth: int) -> int:
        if count > len(self._data) - self.at or depth > _DEEPEST:
            raise BrokenError("a list longer than the footer")
        return count

    def _byte(self) -> int:
        found = self._data[self.at]
        self.at += 1
        return found

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self.at:
            raise BrokenError("a text longer than the footer")
        self.at += count
        return bytes(self._data[self.at - count : self.at])

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise BrokenError("a number longer than 64 bits")

    def _signed(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
