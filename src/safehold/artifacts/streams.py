"""Containers one after the other, in a handle or in a file that several dumps were written to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

from safehold.artifacts import container
from safehold.artifacts.container import Expected, Sealed
from safehold.artifacts.proof import Reread
from safehold.errors import Tampered
from safehold.sfh1 import SLOTS, SLOTTED_TEXT

_STEP = 2**20


def verify_next(data: bytearray, file: IO[bytes], expected: Expected) -> Sealed:
    """Verify the container that begins with `data` (its prefix) and goes on in the handle.

    Raises:
        As `container.verify_bytes`.
    """
    total = container.total_length(data, expected.limit)
    read_up_to(file, total, data)
    return container.verify_bytes(data, expected, _reread(file, data))


def _reread(file: IO[bytes], data: bytearray) -> Reread | None:
    """Return what reads the slots of the container anew that was just read, `data` included."""
    try:
        if not file.seekable():
            return None  # a pipe or socket, whose bytes nobody rotates meanwhile
    except AttributeError:  # a handle of somebody's own
        return None

    def read() -> bytearray:
        here = file.tell()
        file.seek(here - len(data) + SLOTS[0])
        try:
            found = read_up_to(file, SLOTTED_TEXT - SLOTS[0])
        finally:
            file.seek(here)
        if len(found) == SLOTTED_TEXT - SLOTS[0]:
            memoryview(data)[SLOTS[0] : SLOTTED_TEXT] = found
        return found

    return read


def read_up_to(file: IO[bytes], count: int, data: bytearray | None = None) -> bytearray:
    """Extend `data` to `count` bytes or the end; memory grows with what is really there."""
    data = bytearray() if data is None else data
    while len(data) < count:
        piece = file.read(min(count - len(data), _STEP))
        if not piece:
            break
        data += piece
    return data


def read_whole(fd: int, size: int) -> bytes:
    """Read a file's bytes, as many as it has now."""
    data = os.pread(fd, size + 1, 0)  # in one piece, so that there are not two copies for a moment
    if len(data) in (size, size + 1):
        return data
    with open(os.dup(fd), "rb") as file:  # the system gives no more than 2 GiB at once
        return bytes(read_up_to(file, size + 1))


def is_single(fd: int, size: int, expected: Expected) -> bool:
    """Say whether the first container's length, if it is true, leaves no room for a second."""
    prefix = os.pread(fd, container.PREFIX_BYTES, 0)
    return container.total_length(prefix, expected.limit) >= size


def verify_all(fd: int, size: int, expected: Expected) -> Iterator[tuple[int, Sealed]]:
    """Yield each container of a file with its position, verified.

    Raises:
        As `container.verify_file`.
    """
    if is_single(fd, size, expected):
        yield 0, container.verify_file(fd, size, expected)
        return
    with open(os.dup(fd), "rb") as file:
        yield from verify_each(file, expected)


def verify_each(file: IO[bytes], expected: Expected) -> Iterator[tuple[int, Sealed]]:
    """Yield each container of a handle with its position, verified; raises as verify_next."""
    for position, _, sealed in copy_each(file, expected):
        yield position, sealed


def copy_each(file: IO[bytes], expected: Expected) -> Iterator[tuple[int, bytearray, Sealed]]:
    """Yield each container of a handle: position, its bytes, and itself, of these, verified."""
    position = 0
    while True:
        data = read_up_to(file, container.PREFIX_BYTES)
        if not data and position:
            return
        if position and not container.is_sealed(data):
            message = "bytes were appended to the container"
            raise Tampered(message)
        sealed = verify_next(data, file, expected)
        yield position, data, sealed
        position += len(data)
