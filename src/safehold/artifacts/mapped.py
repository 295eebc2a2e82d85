"""Payloads that stay in their file: mapped, verified where they lie, one copy for all processes.

What was verified in a map is still the file: whoever writes the file writes into it. A file is
mapped where its zone says so and nobody but root and the user who reads it can write it or put
another one in its place. A pickle's stream, which says what is called, is private memory all the
same.
"""

from __future__ import annotations

import mmap
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from safehold.artifacts.chunks import private_memory
from safehold.artifacts.codecs import CODECS, Reading, codec_named
from safehold.artifacts.container import CHUNK, Expected, Opened, Sealed, open_file
from safehold.errors import ConfigError, Tampered
from safehold.paths import Place, Root
from safehold.policy import Zone
from safehold.sfh1 import Header, Shape, split

MODES = ("r", "c")
"""Read only, and copy on write: what of `joblib.load`'s and `numpy.load`'s modes is possible."""
# Whose arrays lie in the payload as they are; the others unpack into memory of their own.
_FLAT = frozenset({"joblib", "npy", "pickle", "safetensors"})
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE = 0o022  # with a POSIX ACL the group's bit is the mask of all that it grants


def open_owned(root: Root, zone: Zone, place: Place) -> tuple[int, os.stat_result]:
    """Open a file anew, on a way from the root that nobody else can change.

    Raises:
        ConfigError: the zone is not mapped, or somebody else could write the file or a directory
            above it. OSError: as ``open`` does.
    """
    if not zone.mmap or place.relative is None:
        message = (
            f"files of zone {zone.name!r} are not mapped; if no untrusted user can write them, say "
            f"mmap = true in that zone of the policy"
        )
        raise ConfigError(message)
    *directories, name = place.relative.split("/")
    path = root.path
    fd = os.dup(root.fileno())
    try:
        _check_owned(os.fstat(fd), path)
        for part in directories:
            path /= part
            following = os.open(part, _STEP, dir_fd=fd)
            os.close(fd)
            fd = following
            _check_owned(os.fstat(fd), path)
        file, status, _ = root.open_in(fd, name)
    finally:
        os.close(fd)
    try:
        _check_owned(status, path / name)
    except BaseException:  # only a descriptor that was returned is the caller's to close
        os.close(file)
        raise
    return file, status


def _check_owned(status: os.stat_result, path: Path) -> None:
    name = shlex.quote(str(path))
    if status.st_uid not in (0, os.geteuid()):
        message = (
            f"{path} belongs to user {status.st_uid}, who could write into what was verified; "
            f"chown it to root or to the user of the service: chown {os.geteuid()} {name}"
        )
        raise ConfigError(message)
    if status.st_mode & _OTHERS_WRITE:
        message = (
            f"users other than its owner can write {path}, and so into what was verified: "
            f"chmod go-w {name}"
        )
        raise ConfigError(message)


def map_payload(fd: int, shape: Shape, mode: str = "r") -> memoryview:
    """Map a file's payload; the view keeps the map, and the map needs no descriptor.

    Raises:
        ConfigError: the payload is encrypted. Tampered: the file is shorter than it was.
    """
    if shape.suite.encrypts:
        message = (
            f"a payload of suite {shape.suite.name} is encrypted and cannot be mapped; load it "
            f"without mmap, or seal it with a key of another suite"
        )
        raise ConfigError(message)
    if not shape.payload:
        return memoryview(b"")
    start = shape.head - shape.head % mmap.ALLOCATIONGRANULARITY
    writable = mode == "c"
    try:
        memory = mmap.mmap(
            fd,
            shape.head + shape.payload - start,
            flags=mmap.MAP_PRIVATE if writable else mmap.MAP_SHARED,
            prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0),
            offset=start,
        )
    except ValueError as error:
        message = "the file was cut while it was read"
        raise Tampered(message) from error
    return memoryview(memory)[shape.head - start :]


def private_stream(opened: Opened, length: int) -> memoryview:
    """Return the payload's first bytes, read into private memory and verified there.

    Raises:
        Tampered
    """
    chunks = -(-length // CHUNK)
    memory = private_memory(min(chunks * CHUNK, opened.shape.payload))
    opened.chunks.open_each(range(chunks), memory)
    return memory[:length].toreadonly()


def verify_mapped(root: Root, zone: Zone, place: Place, mode: str, expected: Expected) -> Sealed:
    """Verify a file in its map, as `container.verify_file` does in private memory.

    Values that have no array of their own in the payload are private memory all the same.

    Raises:
        ValueError: another mode. Otherwise as `open_owned`, `map_payload` and `verify_file`.
    """
    if mode not in MODES:
        message = f"mmap_mode is {mode!r}; a sealed file can be mapped as 'r' or 'c'"
        raise ValueError(message)
    fd, status = open_owned(root, zone, place)
    try:
        opened = open_file(fd, status.st_size, expected)
        header = opened.header()
        if _is_flat(header):
            return Sealed(header, opened.shape.artifact, _mapped(fd, opened, header, mode))
        payload = private_memory(opened.shape.payload)
        opened.chunks.open_all(payload)
        return Sealed(header, opened.shape.artifact, split(payload, header.segments))
    finally:
        os.close(fd)


def _is_flat(header: Header) -> bool:
    streamed = CODECS[header.codec].carries_code if header.codec in CODECS else True
    return header.codec in _FLAT and not (streamed and header.raw)


def _mapped(fd: int, opened: Opened, header: Header, mode: str) -> list[memoryview]:
    payload = map_payload(fd, opened.shape, mode)
    segments = split(payload, header.segments)
    stream = 0
    if CODECS[header.codec].carries_code and segments:
        stream = len(segments[0])
        segments[0] = private_stream(opened, stream)
    chunks = opened.chunks.in_place()
    chunks.open_each(range(stream // CHUNK, chunks.count), payload)
    return segments


def decode_mapped(
    decode: Callable[[Sealed, Reading], Any] | None,
) -> Callable[[Sealed, Reading], Any]:
    """Return `decode`, or the codec's own, told that arrays may be read-only views."""

    def decoded(sealed: Sealed, reading: Reading) -> Any:
        reading = replace(reading, views=True)
        if decode is not None:
            return decode(sealed, reading)
        return codec_named(sealed.header.codec).decode(sealed.segments, reading)

    return decoded
