"""7z: the header, which may be packed itself, and the folders whose streams it describes.

A folder is a chain of coders; what it unpacks to is several files one after another. The layout is
that of ``DOC/7zFormat.txt`` in the LZMA SDK. Nothing in it is believed before it is compared with
the bytes that are there: sizes, counts and places are bounded, checksums are compared.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from safehold.scan.budget import Budget
from safehold.scan.values import Data

MAGIC: Final = b"7z\xbc\xaf\x27\x1c"
HEADER: Final = 32
_END, _HEADER, _PROPERTIES, _STREAMS, _FILES = 0, 1, 2, 4, 5
_PACKED, _FOLDERS, _SUBSTREAMS, _SIZE, _CRC, _FOLDER = 6, 7, 8, 9, 10, 11
_UNPACK_SIZES, _COUNTS, _EMPTY, _NAMES, _ATTRIBUTES, _ENCODED = 12, 13, 14, 17, 21, 23
_EXTRA: Final = 3
# As many folders, coders, and bytes of a header; 7-Zip itself allows 32 coders of a folder.
MOST_HEADER: Final = 16 * 2**20
_MOST_FOLDERS: Final = 100_000
_MOST_CODERS: Final = 8
_MOST_FILES: Final = 200_000
_LONGEST_NAME: Final = 4096


class BrokenError(ValueError):
    """It is no such archive, or a part of it is not there; the message says which."""


@dataclass(frozen=True, slots=True)
class Coder:
    """One step of a chain: a method by its number, and its properties."""

    method: bytes
    properties: bytes
    inputs: int = 1
    outputs: int = 1


@dataclass(slots=True)
class Folder:
    """Coders from the packed bytes to the files, and what they need to know of them."""

    coders: list[Coder]
    # Places of the coders in the order in which bytes pass them; empty if they are no chain.
    order: list[int]
    packed_streams: int
    outputs: int
    # The output that is that of the folder.
    main: int
    sizes: list[int] = field(default_factory=list)
    crc: int | None = None
    # Where its packed bytes stand, and the sizes and checksums of the files in it.
    start: int = 0
    packed: int = 0
    parts: list[tuple[int, int | None]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes that it unpacks to."""
        return self.sizes[self.main]

    @property
    def chain(self) -> list[tuple[Coder, int]]:
        """Coders in the order in which bytes pass them, each with the bytes that it gives."""
        return [(self.coders[place], self.sizes[place]) for place in self.order]


@dataclass(slots=True)
class Entry:
    """One file: its name, its attributes, and whether it has bytes."""

    name: str = ""
    attributes: int = 0
    has_bytes: bool = True


@dataclass(slots=True)
class Archive:
    """Folders with their places, and files in the order in which these unpack to them."""

    folders: list[Folder] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    # The end of the packed bytes.
    end: int = HEADER


def locate(data: Data) -> tuple[int, int]:
    """Return where the header begins and ends.

    Raises:
        BrokenError: it is not there, or not what its checksum says.
    """
    head = bytes(data[:HEADER])
    if len(head) < HEADER:
        raise BrokenError("it ends early")
    if zlib.crc32(head[12:]) != int.from_bytes(head[8:12], "little"):
        raise BrokenError("the checksum of its beginning is wrong")
    offset, size = (int.from_bytes(head[at : at + 8], "little") for at in (12, 20))
    start = HEADER + offset
    if start > len(data) or size > len(data) - start:
        raise BrokenError("its header is not there; the file is cut off, or one of several")
    if size > MOST_HEADER:
        raise BrokenError("a header larger than any archive needs")
    if zlib.crc32(data[start : start + size]) != int.from_bytes(head[28:32], "little"):
        raise BrokenError("the checksum of its header is wrong")
    return start, start + size


def parse(header: bytes, room: int, budget: Budget | None = None) -> tuple[Archive, bool]:
    """Return what a header says of ``room`` packed bytes, and whether it is that of a header.

    Raises:
        BrokenError: it says what cannot be.
        OutOfTime: the time for the file is used up.
    """
    reader = _Reader(header, room, Budget() if budget is None else budget)
    if not header:
        return Archive(), False
    kind = reader.byte()
    if kind == _ENCODED:
        archive = Archive()
        reader.streams(archive)
        return archive, True
    if kind != _HEADER:
        raise BrokenError("a header of an unknown kind")
    return reader.header(), False


class _Reader:
    def __init__(self, data: bytes, room: int, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self._room = room
        self._at = 0

    def byte(self) -> int:
        return self._take(1)[0]

    def _take(self, width: int) -> bytes:
        if width > len(self._data) - self._at:
            raise BrokenError("its header ends early")
        self._budget.spend()
        self._at += width
        return self._data[self._at - width : self._at]

    def _number(self) -> int:
        """Read a number: the ones in front of the first byte say how many bytes follow."""
        first = self.byte()
        more = 0
        while more < 8 and first & 0x80 >> more:
            more += 1
        low = int.from_bytes(self._take(more), "little")
        return low | (first & (0x7F >> more)) << 8 * more if more < 8 else low

    def _count(self, most: int) -> int:
        number = self._number()
        if number > most:
            raise BrokenError("more parts than any archive needs")
        return number

    def _bits(self, count: int) -> list[bool]:
        self._budget.spend(count)
        raw = self._take(-(-count // 8))
        return [bool(raw[at // 8] & 0x80 >> at % 8) for at in range(count)]

    def _maybe_bits(self, count: int) -> list[bool]:
        return [True] * count if self.byte() else self._bits(count)

    def _checksums(self, count: int) -> list[int | None]:
        defined = self._maybe_bits(count)
        return [int.from_bytes(self._take(4), "little") if one else None for one in defined]

    def header(self) -> Archive:
        archive = Archive()
        kind = self.byte()
        if kind == _PROPERTIES:
            while self.byte() != _END:
                self._take(self._count(MOST_HEADER))
            kind = self.byte()
        if kind == _EXTRA:
            self.streams(Archive())
            kind = self.byte()
        if kind == _STREAMS:
            self.streams(archive)
            kind = self.byte()
        if kind == _FILES:
            self._files(archive)
            kind = self.byte()
        if kind != _END:
            raise BrokenError("a part of an unknown kind")
        return archive

    def streams(self, archive: Archive) -> None:
        """Read where packed streams stand, the folders, and the sizes of the files in them."""
        start, packed = 0, list[int]()
        kind = self.byte()
        if kind == _PACKED:
            start = self._number()
            packed = self._packed()
            kind = self.byte()
        if kind == _FOLDERS:
            archive.folders = self._folders()
            kind = self.byte()
        if kind == _SUBSTREAMS:
            self._substreams(archive.folders)
            kind = self.byte()
        else:
            for folder in archive.folders:
                folder.parts = [(folder.size, folder.crc)]
        if kind != _END:
            raise BrokenError("a part of an unknown kind")
        self._place(archive, start, packed)

    def _place(self, archive: Archive, start: int, packed: list[int]) -> None:
        if start + sum(packed) > self._room:
            raise BrokenError("packed bytes outside the archive")
        if sum(folder.packed_streams for folder in archive.folders) != len(packed):
            raise BrokenError("another number of packed streams than the folders need")
        at, index = HEADER + start, 0
        for folder in archive.folders:
            folder.start = at
            folder.packed = sum(packed[index : index + folder.packed_streams])
            at += folder.packed
            index += folder.packed_streams
        archive.end = at

    def _packed(self) -> list[int]:
        count = self._count(_MOST_FOLDERS)
        sizes: list[int] = []
        while (kind := self.byte()) != _END:
            if kind == _SIZE:
                sizes = [self._number() for _ in range(count)]
            elif kind == _CRC:
                self._checksums(count)
            else:
                raise BrokenError("a part of an unknown kind")
        if len(sizes) != count:
            raise BrokenError("packed streams without a size")
        return sizes

    def _folders(self) -> list[Folder]:
        if self.byte() != _FOLDER:
            raise BrokenError("a part of an unknown kind")
        count = self._count(_MOST_FOLDERS)
        if self.byte():
            raise BrokenError("folders that are described elsewhere")
        folders = [self._folder() for _ in range(count)]
        if self.byte() != _UNPACK_SIZES:
            raise BrokenError("folders without a size")
        for folder in folders:
            folder.sizes = [self._number() for _ in range(folder.outputs)]
        kind = self.byte()
        if kind == _CRC:
            for folder, crc in zip(folders, self._checksums(count), strict=True):
                folder.crc = crc
            kind = self.byte()
        if kind != _END:
            raise BrokenError("a part of an unknown kind")
        return folders

    def _folder(self) -> Folder:
        coders = [self._coder() for _ in range(self._count(_MOST_CODERS))]
        inputs = sum(coder.inputs for coder in coders)
        outputs = sum(coder.outputs for coder in coders)
        if not outputs or inputs + 1 < outputs:
            raise BrokenError("a folder of no coders")
        pairs = [(self._number(), self._number()) for _ in range(outputs - 1)]
        packed = inputs - len(pairs)
        if packed < 1:
            raise BrokenError("a folder without packed bytes")
        if packed > 1:
            for _ in range(packed):
                self._number()
        return _folder_of(coders, pairs, packed, outputs)

    def _coder(self) -> Coder:
        flags = self.byte()
        method = self._take(flags & 15)
        inputs = outputs = 1
        if flags & 16:
            inputs, outputs = self._count(_MOST_CODERS), self._count(_MOST_CODERS)
        properties = self._take(self._count(2**16)) if flags & 32 else b""
        if flags & 0xC0:
            raise BrokenError("a coder of an unknown kind")
        return Coder(method, properties, inputs, outputs)

    def _substreams(self, folders: list[Folder]) -> None:
        kind = self.byte()
        counts = [1] * len(folders)
        if kind == _COUNTS:
            counts = [self._count(_MOST_FILES) for _ in folders]
            kind = self.byte()
        if sum(counts) > _MOST_FILES:
            raise BrokenError("more files than any archive needs")
        sized = kind == _SIZE
        sizes: list[list[int]] = []
        for folder, count in zip(folders, counts, strict=True):
            row = [self._number() for _ in range(count - 1)] if sized else []
            left = folder.size - sum(row)
            if count and (left < 0 or (count > 1 and not sized)):
                raise BrokenError("files that are larger than their folder")
            sizes.append([*row, left] if count else [])
        if sized:
            kind = self.byte()
        self._sums(folders, sizes, listed=kind == _CRC)
        if kind == _CRC:
            kind = self.byte()
        if kind != _END:
            raise BrokenError("a part of an unknown kind")

    def _sums(self, folders: list[Folder], sizes: list[list[int]], *, listed: bool) -> None:
        """Give each file its size and its checksum; that of a folder of one file is the file's."""
        known = [
            len(row) == 1 and folder.crc is not None
            for folder, row in zip(folders, sizes, strict=True)
        ]
        missing = sum(len(row) for row, one in zip(sizes, known, strict=True) if not one)
        rest = iter(self._checksums(missing) if listed else [None] * missing)
        for folder, row, one in zip(folders, sizes, known, strict=True):
            folder.parts = [(size, folder.crc if one else next(rest)) for size in row]

    def _files(self, archive: Archive) -> None:
        count = self._count(min(_MOST_FILES, 8 * len(self._data)))
        entries = [Entry() for _ in range(count)]
        archive.entries = entries
        while (kind := self.byte()) != _END:
            size = self._count(MOST_HEADER)
            part = _Reader(self._take(size), 0, self._budget)
            if kind == _NAMES:
                part.names(entries)
            elif kind == _EMPTY:
                part.empty(entries)
            elif kind == _ATTRIBUTES:
                part.attributes(entries)

    def empty(self, entries: list[Entry]) -> None:
        """Read which files have no bytes, as directories."""
        for entry, empty in zip(entries, self._bits(len(entries)), strict=True):
            entry.has_bytes = not empty

    def names(self, entries: list[Entry]) -> None:
        """Read names in UTF-16, each ended by a zero."""
        if self.byte():
            raise BrokenError("names that are kept elsewhere")
        self._budget.spend(len(entries))
        try:
            text = self._data[self._at :].decode("utf-16-le", "surrogatepass")
        except UnicodeDecodeError as error:
            raise BrokenError("names that are no text") from error
        if text.count("\0") != len(entries) or text[-1:] not in ("\0", ""):
            raise BrokenError("another number of names than of files")
        names = text.split("\0")
        for entry, name in zip(entries, names[:-1], strict=True):
            entry.name = name[:_LONGEST_NAME]

    def attributes(self, entries: list[Entry]) -> None:
        """Read the attributes of Windows; those of Unix stand in the upper half."""
        defined = self._maybe_bits(len(entries))
        if self.byte():
            raise BrokenError("attributes that are kept elsewhere")
        for entry, one in zip(entries, defined, strict=True):
            if one:
                entry.attributes = int.from_bytes(self._take(4), "little")


def _folder_of(
    coders: list[Coder], pairs: list[tuple[int, int]], packed: int, outputs: int
) -> Folder:
    """Return a folder of coders. A pair says that an input takes an output."""
    takes = dict(pairs)
    free = set(range(outputs)) - set(takes.values())
    if len(free) != 1 or len(takes) != len(pairs):
        raise BrokenError("coders that do not fit together")
    main = free.pop()
    order: list[int] = []
    if all(coder.inputs == coder.outputs == 1 for coder in coders):
        at: int | None = main
        while at is not None and at < len(coders) and at not in order:
            order.insert(0, at)
            at = takes.get(at)
    return Folder(coders, order if len(order) == len(coders) else [], packed, outputs, main)


def files_of(archive: Archive) -> Iterator[tuple[Entry, Folder | None, int]]:
    """Yield each file with its folder and its place among the files of that."""
    places = iter(
        (folder, index) for folder in archive.folders for index in range(len(folder.parts))
    )
    for entry in archive.entries:
        found = next(places, None) if entry.has_bytes else None
        if found is None:
            yield entry, None, 0
        else:
            yield entry, *found
