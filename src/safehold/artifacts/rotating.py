"""Another key for a sealed file: same payload, generation and artifact id, so the mark holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from safehold.artifacts import container, streams
from safehold.artifacts.container import Buffer, Header, Sealed
from safehold.artifacts.reading import Reader
from safehold.artifacts.target import Target
from safehold.keys import Key
from safehold.paths import FileRange
from safehold.sfh1 import SUITES

_Pieces = Callable[[], Iterable[Buffer | FileRange]]


class Rotated(NamedTuple):
    """An open file, and the id of the key that goes."""

    fd: int
    size: int
    old_id: str


class Rotation(NamedTuple):
    """The first container as it is, its header as it will be, and what makes the new file.

    ``pieces`` is None for a file of another key than the one that goes.
    """

    old: Sealed
    new: Header
    pieces: _Pieces | None


def rotate(at: Rotated, target: Target, reader: Reader, key: Key) -> Rotation:
    """Verify a file as far as it must be to seal it under `key`.

    Raises:
        As Store.load.
    """
    fd, size, old_id = at
    expected = reader.expected(target)
    if streams.is_single(fd, size, expected):
        opened = container.open_file(fd, size, expected)
        header = opened.header()
        first = Sealed(header, opened.shape.artifact, [])
        reader.check_context(header, target)
        reader.check_fresh(first, target, 0)
        if header.key != old_id:
            return Rotation(first, header, None)
        if opened.shape.suite.keyless and SUITES[key.suite].keyless:
            new = _under(header, key)
            return Rotation(first, new, lambda: container.resealed(fd, opened, new, key))
    found = []
    for position, sealed in streams.verify_all(fd, size, expected):
        reader.check_context(sealed.header, Target(target.zone, target.name, position))
        found.append(sealed)
    reader.check_fresh(found[0], target, 0)
    if found[0].header.key != old_id:
        return Rotation(found[0], found[0].header, None)
    large = len(found) == 1 and size >= container.CHUNK
    align = container.FILE_ALIGN if large else container.MEMORY_ALIGN
    new = _under(found[0].header, key)
    return Rotation(found[0], new, lambda: _sealed_again(found, key, align))


def _under(header: Header, key: Key, at: int = 0) -> Header:
    return msgspec.structs.replace(header, key=key.id, suite=key.suite, at=at)


def _sealed_again(found: Iterable[Sealed], key: Key, align: int) -> Iterator[Buffer]:
    at = 0
    for sealed in found:
        header = _under(sealed.header, key, at)
        segments = [(len(segment), [segment]) for segment in sealed.segments]
        for piece in container.sealed_chunks(header, segments, key, sealed.artifact, align=align):
            at += len(piece)
            yield piece
