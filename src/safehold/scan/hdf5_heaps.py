"""Heaps and trees of HDF5: where names, long attributes and lists of members stand.

Local heaps and trees of the first version hold groups of old files; fractal heaps and trees of
the second hold large groups and many attributes of new ones; global heaps hold texts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from safehold.scan.hdf5_bytes import BrokenError, Bytes

_DEEPEST: Final = 32
_MOST_ROWS: Final = 128
_HUGE_RECORD, _BY_NAME, _ATTRIBUTE_BY_NAME = 1, 5, 8


def local_heap(file: Bytes, address: int) -> int:
    """Return where the data of a local heap stands."""
    file.expect(address, b"HEAP")
    return file.address(address + 8 + 2 * file.lengths)


def symbols(file: Bytes, tree: int) -> Iterator[int]:
    """Yield where the entries of an old group stand, from its tree."""
    waiting = [(tree, _DEEPEST)]
    while waiting:
        at, depth = waiting.pop()
        if not depth:
            raise BrokenError("a tree that is too deep")
        file.step()
        if file.take(at, 4) == b"SNOD":
            count = file.number(at + 6, 2)
            for index in range(count):
                file.step()
                yield at + 8 + index * (2 * file.offsets + 24)
            continue
        file.expect(at, b"TREE")
        if file.number(at + 4, 1) != 0:
            raise BrokenError("a tree that is not one of a group")
        count = file.number(at + 6, 2)
        first = at + 8 + 2 * file.offsets + file.lengths
        for index in range(count):
            file.step()
            child = file.address(first + index * (file.lengths + file.offsets))
            waiting.append((child, depth - 1))


def records(file: Bytes, address: int) -> Iterator[tuple[int, int, int]]:
    """Yield (type, start, size) of the records of a tree of the second version."""
    file.expect(address, b"BTHD")
    kind = file.number(address + 5, 1)
    node, size = file.number(address + 6, 4), file.number(address + 10, 2)
    depth = file.number(address + 12, 2)
    root = file.find(address + 16)
    count = file.number(address + 16 + file.offsets, 2)
    if not size or depth > _DEEPEST:
        raise BrokenError("a tree that cannot be followed")
    if root is None:
        return
    widths = _pointer_widths(file, node, size, depth)
    waiting = [(root, count, depth)]
    while waiting:
        at, count, level = waiting.pop()
        file.expect(at, b"BTIN" if level else b"BTLF")
        for index in range(count):
            file.step()
            yield kind, at + 6 + index * size, size
        if not level:
            continue
        pointer = at + 6 + count * size
        counted, width = widths[level]
        for _ in range(count + 1):
            child = file.address(pointer)
            waiting.append((child, file.number(pointer + file.offsets, counted), level - 1))
            pointer += width


def _pointer_widths(file: Bytes, node: int, size: int, depth: int) -> list[tuple[int, int]]:
    """Return, for each level, the bytes of a count and of a whole pointer to the level below."""
    most = max(0, node - 10) // size
    counted = _width(most)
    below, widths, in_all = 0, [(0, 0)], most
    for _ in range(depth):
        width = file.offsets + counted + below
        widths.append((counted, width))
        here = max(0, node - 10 - width) // (size + width)
        in_all = (here + 1) * in_all + here
        below = _width(in_all)
    return widths


def _width(value: int) -> int:
    return max(1, (value.bit_length() + 7) // 8)


class Fractal:
    """A fractal heap: objects are found by an id that a tree holds."""

    def __init__(self, file: Bytes, address: int) -> None:
        file.expect(address, b"FRHP")
        self._file = file
        self._id_length = file.number(address + 5, 2)
        if file.number(address + 7, 2):
            raise BrokenError("a heap that is compressed")
        managed = file.number(address + 10, 4)
        at = address + 14 + file.lengths
        self.huge = file.find(at)
        at += 2 * file.offsets + 9 * file.lengths
        self._width = file.number(at, 2)
        self._start = file.number(at + 2, file.lengths)
        self._direct = file.number(at + 2 + file.lengths, file.lengths)
        at += 2 + 2 * file.lengths
        bits = file.number(at, 2)
        self._offset_bytes = (bits + 7) // 8
        self._length_bytes = min((self._direct.bit_length() + 6) // 8, _width(managed))
        root = file.find(at + 4)
        rows = file.number(at + 4 + file.offsets, 2)
        if not (0 < self._width <= 2**10 and 0 < self._start <= self._direct <= 2**32):
            raise BrokenError("a heap of no blocks")
        self._blocks: list[tuple[int, int, int]] = []
        if root is not None:
            self._collect(root, rows)
        self._blocks.sort()
        self._starts = [start for start, _, _ in self._blocks]

    def _collect(self, root: int, rows: int) -> None:
        """Keep (offset in the heap, address, size) of each block."""
        file = self._file
        waiting = [(root, rows, self._start, _DEEPEST)]
        while waiting:
            at, rows, size, depth = waiting.pop()
            file.step()
            if not depth or rows > _MOST_ROWS:
                raise BrokenError("a heap that is too deep")
            if not rows:
                file.expect(at, b"FHDB")
                offset = file.number(at + 5 + file.offsets, self._offset_bytes)
                self._blocks.append((offset, at, size))
                continue
            file.expect(at, b"FHIB")
            entry = at + 5 + file.offsets + self._offset_bytes
            for row in range(rows):
                size = self._start << max(0, row - 1)
                below = 0
                if size > self._direct:
                    below = (size // (self._start * self._width)).bit_length()
                for _ in range(self._width):
                    file.step()
                    child = file.find(entry)
                    entry += file.offsets
                    if child is not None:
                        waiting.append((child, below, size, depth - 1))

    def objects(self, tree: int) -> Iterator[tuple[int, int]]:
        """Yield where the objects stand that a tree of names lists, and those beyond any block."""
        for kind, at, _ in records(self._file, tree):
            if kind == _BY_NAME:
                yield from self._object(at + 4)
            elif kind == _ATTRIBUTE_BY_NAME:
                yield from self._object(at)
            else:
                raise BrokenError("a tree that is not one of names")
        if self.huge is not None:
            for kind, at, _ in records(self._file, self.huge):
                if kind != _HUGE_RECORD:
                    raise BrokenError("objects that are compressed")
                start = self._file.address(at)
                length = self._file.number(at + self._file.offsets, self._file.lengths)
                yield start, start + length

    def _object(self, at: int) -> Iterator[tuple[int, int]]:
        kind = self._file.number(at, 1) >> 4 & 3
        if kind == 1:
            return  # a huge one, which comes with the others
        if kind == 2:
            yield at + 1, at + 2 + (self._file.number(at, 1) & 15)
            return
        offset = self._file.number(at + 1, self._offset_bytes)
        length = self._file.number(at + 1 + self._offset_bytes, self._length_bytes)
        place = bisect_right(self._starts, offset) - 1
        start, address, size = self._blocks[place] if place >= 0 else (0, 0, -1)
        if offset + length > start + size:
            raise BrokenError("an object outside its heap")
        yield address + offset - start, address + offset - start + length


def collection(file: Bytes, address: int) -> dict[int, tuple[int, int]]:
    """Return where the objects of a global heap stand, by number."""
    file.expect(address, b"GCOL")
    end = address + file.number(address + 8, file.lengths)
    at = address + 8 + file.lengths
    found: dict[int, tuple[int, int]] = {}
    while at + 8 + file.lengths <= end:
        file.step()
        index = file.number(at, 2)
        size = file.number(at + 8, file.lengths)
        if not index:
            break
        start = at + 8 + file.lengths
        if start + size > end:
            raise BrokenError("a text outside its heap")
        found[index] = (start, start + size)
        at = start + (size + 7) // 8 * 8
    return found
