"""HDF5, as far as it names things: attributes, links, and data that stands in other files.

Arrays are left alone. What the specification allows and this reader cannot follow is an error,
so that nothing stands unseen where a reader finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from safehold.scan.budget import Budget
from safehold.scan.hdf5_bytes import BrokenError, Bytes, TooManyError
from safehold.scan.hdf5_heaps import Fractal, collection, local_heap, symbols
from safehold.scan.values import Data

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _EXTERNAL, _LAYOUT = 1, 2, 3, 6, 7, 8
_ATTRIBUTE, _CONTINUED, _SYMBOLS, _ATTRIBUTE_INFO = 12, 16, 17, 21
_STRING, _OPAQUE, _VARIABLE = 3, 5, 9
_SHARED: Final = 2
_VIRTUAL: Final = 3
_MOST_TEXTS: Final = 100_000
_MOST_FILES: Final = 10_000
_MOST_DIMENSIONS: Final = 32

__all__ = ["SIGNATURE", "Attribute", "BrokenError", "Contents", "TooManyError", "find", "read"]


class Attribute(NamedTuple):
    """A value with a name: a text, or bytes of no type."""

    name: str
    value: bytes


@dataclass(slots=True)
class Contents:
    """What a file names."""

    attributes: list[Attribute] = field(default_factory=list)
    # Files that links, lists of storage and virtual datasets lead to.
    elsewhere: list[str] = field(default_factory=list)
    # Where the file says that it ends.
    end: int = 0
    # Bytes that the largest dataset says to have.
    largest: int = 0
    # Heaps whose objects are texts, or arrays of any length.
    heaps: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)


def find(data: Data) -> int | None:
    """Return where the file begins, as its library looks for it; None if it does nowhere."""
    at = 0
    while at + len(SIGNATURE) <= len(data):
        if data[at] == SIGNATURE[0] and bytes(data[at : at + len(SIGNATURE)]) == SIGNATURE:
            return at
        at = 2 * at or 512
    return None


def read(data: Data, start: int, found: Contents, budget: Budget) -> None:
    """Add what a file names to ``found``. Raises BrokenError, TooManyError, or OutOfTime."""
    version = data[start + 8] if start + 8 < len(data) else 255
    if version in (0, 1):
        offsets, lengths = data[start + 13], data[start + 14]
        at = start + (24 if version == 0 else 28)
    elif version in (2, 3):
        offsets, lengths = data[start + 9], data[start + 10]
        at = start + 12
    else:
        raise BrokenError("a version that is not known here")
    base = int.from_bytes(data[at : at + offsets], "little")
    # Files moved behind other bytes keep their base; the library then takes the place itself.
    file = Bytes(data, base if base == start else start, offsets, lengths, budget)
    found.end = file.number(at + 2 * offsets, offsets) + start - base
    root = file.address(at + offsets * (5 if version < 2 else 3))
    _Reader(file, found).read(root)


class _Reader:
    def __init__(self, file: Bytes, found: Contents) -> None:
        self._file = file
        self._found = found
        self._seen: set[int] = set()
        self._kept = 0
        self._waiting: list[int] = []

    def read(self, root: int) -> None:
        self._waiting.append(root)
        while self._waiting:
            at = self._waiting.pop()
            if at not in self._seen:
                self._seen.add(at)
                self._object(at)

    def _object(self, address: int) -> None:
        size = count = 0
        for kind, flags, start, stop in self._messages(address):
            self._file.step()
            if flags & _SHARED:
                if kind in (_ATTRIBUTE, _LINK, _EXTERNAL, _LAYOUT):
                    raise BrokenError("a message that stands elsewhere")
                continue
            if kind == _DATATYPE:
                size = self._file.number(start + 4, 4)
            elif kind == _DATASPACE:
                count = self._count(start)
            elif kind == _ATTRIBUTE:
                self._attribute(start, stop)
            elif kind == _SYMBOLS:
                self._group(start)
            elif kind == _LINK:
                self._link(start)
            elif kind in (_LINK_INFO, _ATTRIBUTE_INFO):
                self._dense(kind, start)
            elif kind == _EXTERNAL:
                self._external(start)
            elif kind == _LAYOUT:
                self._layout(start)
        self._found.largest = max(self._found.largest, size * count)

    def _messages(self, address: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield (type, flags, start, stop) of the messages of an object."""
        file = self._file
        if file.take(address, 4) == b"OHDR":
            yield from self._messages_2(address)
            return
        if file.number(address, 1) != 1:
            raise BrokenError("an object of an unknown version")
        chunks = [(address + 16, address + 16 + file.number(address + 8, 4))]
        while chunks:
            at, end = chunks.pop()
            while at + 8 <= end:
                file.step()
                kind, size = file.number(at, 2), file.number(at + 2, 2)
                flags, start = file.number(at + 4, 1), at + 8
                at = start + size
                if kind == _CONTINUED:
                    begin = file.address(start)
                    length = file.number(start + file.offsets, file.lengths)
                    chunks.append((begin, begin + length))
                else:
                    yield kind, flags, start, at

    def _messages_2(self, address: int) -> Iterator[tuple[int, int, int, int]]:
        file = self._file
        told = file.number(address + 5, 1)
        width = 1 << (told & 3)
        at = address + 6 + (16 if told & 0x20 else 0) + (4 if told & 0x10 else 0)
        head = 6 if told & 4 else 4
        chunks = [(at + width, at + width + file.number(at, width))]
        while chunks:
            at, end = chunks.pop()
            while at + head <= end:
                file.step()
                kind, size = file.number(at, 1), file.number(at + 1, 2)
                flags, start = file.number(at + 3, 1), at + head
                at = start + size
                if kind == _CONTINUED:
                    begin = file.address(start)
                    length = file.number(start + file.offsets, file.lengths)
                    file.expect(begin, b"OCHK")
                    chunks.append((begin + 4, begin + length - 4))
                else:
                    yield kind, flags, start, at

    def _count(self, start: int) -> int:
        """Return the number of items that a dataspace tells."""
        file = self._file
        version, rank = file.number(start, 1), file.number(start + 1, 1)
        if version == 2 and file.number(start + 3, 1) == 2:
            return 0
        if rank > _MOST_DIMENSIONS:
            raise BrokenError("an array of too many dimensions")
        file.step(rank)
        at, count = start + (8 if version == 1 else 4), 1
        for index in range(rank):
            count *= file.number(at + index * file.lengths, file.lengths)
        return count

    def _group(self, start: int) -> None:
        """Follow the members of an old group."""
        file = self._file
        tree, heap = file.address(start), file.address(start + file.offsets)
        names = local_heap(file, heap)
        for entry in symbols(file, tree):
            kind = file.number(entry + 2 * file.offsets, 4)
            if kind == 2:
                continue  # a link to a place in this file
            file.text(names + file.number(entry, file.offsets))
            self._waiting.append(file.address(entry + file.offsets))

    def _link(self, start: int) -> None:
        file = self._file
        flags, at, kind = file.number(start + 1, 1), start + 2, 0
        if flags & 8:
            kind, at = file.number(at, 1), at + 1
        at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        at += width + file.number(at, width)
        if kind == 0:
            self._waiting.append(file.address(at))
        elif kind == 64:
            self._lead(file.text(at + 3))
        elif kind != 1:
            raise BrokenError("a link of an unknown kind")

    def _dense(self, kind: int, start: int) -> None:
        """Follow links or attributes that stand in a heap."""
        file = self._file
        flags = file.number(start + 1, 1)
        order = 8 if kind == _LINK_INFO else 2
        at = start + 2 + (order if flags & 1 else 0)
        heap, tree = file.find(at), file.find(at + file.offsets)
        if heap is None:
            return
        if tree is None:
            raise BrokenError("a heap without its tree")
        for begin, end in Fractal(file, heap).objects(tree):
            if kind == _LINK_INFO:
                self._link(begin)
            else:
                self._attribute(begin, end)

    def _external(self, start: int) -> None:
        file = self._file
        used = file.number(start + 6, 2)
        names = local_heap(file, file.address(start + 8))
        for index in range(used):
            file.step()
            at = start + 8 + file.offsets + index * 3 * file.lengths
            name = file.text(names + file.number(at, file.lengths))
            self._lead(name)

    def _layout(self, start: int) -> None:
        """A virtual dataset takes its values from datasets of other files."""
        file = self._file
        if file.number(start, 1) < 4 or file.number(start + 1, 1) != _VIRTUAL:
            return
        heap = file.find(start + 2)
        if heap is None:
            return
        begin, end = self._in_heap(heap, file.number(start + 2 + file.offsets, 4))
        at = begin + 1 + file.lengths
        self._lead(file.text(at, end - at))
        while at < min(end, begin + 2**16):
            # Names end in NUL; the selections between them hold none that looks like a path.
            file.step()
            text = file.text(at, min(end - at, 4096))
            if len(text) > 1 and text.isascii() and text.decode().isprintable():
                self._lead(text)
            at += len(text) + 1

    def _lead(self, name: bytes) -> None:
        """Keep the name of a file elsewhere."""
        if len(self._found.elsewhere) >= _MOST_FILES:
            raise TooManyError
        self._found.elsewhere.append(name[:4096].decode("utf-8", "backslashreplace"))

    def _in_heap(self, heap: int, index: int) -> tuple[int, int]:
        heaps = self._found.heaps
        if heap not in heaps:
            heaps[heap] = collection(self._file, heap)
        if index not in heaps[heap]:
            raise BrokenError("a text that is not in its heap")
        return heaps[heap][index]

    def _attribute(self, start: int, stop: int) -> None:
        file = self._file
        version, flags = file.number(start, 1), file.number(start + 1, 1)
        if version not in (1, 2, 3):
            raise BrokenError("an attribute of an unknown version")
        names, types, spaces = (file.number(start + at, 2) for at in (2, 4, 6))
        at = start + (9 if version == 3 else 8)
        name = file.text(at, max(1, names)).decode("utf-8", "backslashreplace")
        if version == 1:
            names, types, spaces = ((one + 7) // 8 * 8 for one in (names, types, spaces))
        kind_at, space_at = at + names, at + names + types
        at = space_at + spaces
        if flags & 3 and version > 1:
            # A type that stands elsewhere: the bytes are looked at as they are.
            self._keep(name, file.take(at, max(0, stop - at)))
            return
        kind, size = file.number(kind_at, 1) & 15, file.number(kind_at + 4, 4)
        count = self._count(space_at)
        if kind == _VARIABLE:
            self._variable(name, at, count)
        elif kind in (_STRING, _OPAQUE):
            for index in range(min(count, _MOST_TEXTS)):
                self._keep(name, file.take(at + index * size, size))

    def _variable(self, name: str, at: int, count: int) -> None:
        file = self._file
        width = 8 + file.offsets
        for index in range(count):
            file.step()
            place = at + index * width
            length, heap = file.number(place, 4), file.find(place + 4)
            number = file.number(place + 4 + file.offsets, 4)
            if not length or heap is None or not number:
                continue
            begin, end = self._in_heap(heap, number)
            self._keep(name, file.take(begin, end - begin))

    def _keep(self, name: str, value: bytes) -> None:
        # Two may say that they hold the same bytes.
        self._kept += len(value)
        if len(self._found.attributes) >= _MOST_TEXTS or self._kept > 2 * len(self._file.data):
            raise TooManyError
        self._found.attributes.append(Attribute(name, value))
