"""SFH1 containers: what seals them stands beside what verifies them.

The layout is in `safehold.sfh1`, the keys of chunks and root in `artifacts.suites`. The suite
comes from the key and the zone from the policy, never from the file: before the root is
verified, only the prefix's fixed-width numbers are used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import msgspec

from safehold.artifacts.chunks import Chunks, private_memory, read_at
from safehold.artifacts.suites import Suite, suite_for
from safehold.errors import LimitExceeded, NotSealed, Revoked, Tampered, WrongContext
from safehold.keys import Key, Keyring
from safehold.paths import FileRange
from safehold.sfh1 import (
    CHUNK,
    END,
    FILE_ALIGN,
    HEADER_MAX,
    MAGIC,
    MEMORY_ALIGN,
    PREFIX,
    SUITES,
    Buffer,
    Header,
    Shape,
    decode_header,
    encode_header,
    gap_at,
    is_sealed,
    payload_length,
    prefix_of,
    shape_of,
    split,
)

__all__ = [
    "CHUNK",
    "FILE_ALIGN",
    "MAGIC",
    "MEMORY_ALIGN",
    "PREFIX_BYTES",
    "Buffer",
    "Expected",
    "Header",
    "Opened",
    "Sealed",
    "Segment",
    "artifact_of",
    "detached_length",
    "is_sealed",
    "open_detached",
    "open_file",
    "resealed",
    "sealed_chunks",
    "total_length",
    "verified_header",
    "verify_bytes",
    "verify_file",
]

PREFIX_BYTES = PREFIX.size
_SMALL = 2 * CHUNK  # below this a file is read in one call


class _Empty(NotSealed, EOFError):
    """A file without a byte; the replaced libraries raise EOFError there."""


class Sealed(NamedTuple):
    """A verified container: header, artifact id and the private buffers of its segments."""

    header: Header
    artifact: bytes
    segments: list[memoryview]


# --- sealing -------------------------------------------------------------------------------

Segment = tuple[int, Iterable[Buffer]]
"""Length in bytes and the pieces that make it."""


def sealed_chunks(
    header: Header,
    segments: Sequence[Segment],
    key: Key,
    artifact: bytes,
    *,
    align: int,
    detached: bool = False,
) -> Iterator[Buffer]:
    """Yield the bytes of a container, piece by piece: its head, the payload's chunks, the rest.

    Raises:
        LimitExceeded: the header (its meta, mostly) is larger than 1 MiB.
        ValueError: a segment's pieces do not have the announced length.
    """
    head = _head(header, key, artifact, align, detached=detached)
    yield head
    suite = suite_for(key, header.zone, artifact)
    leaves = bytearray()
    for index, chunk in enumerate(_chunks(_payload(segments))):
        stored, leaf = suite.seal(index, chunk)
        leaves += leaf
        yield stored
    yield leaves + suite.root(sha256(head).digest(), leaves) + END


def _head(header: Header, key: Key, artifact: bytes, align: int, *, detached: bool) -> bytes:
    """Return what stands before the payload. Raises LimitExceeded."""
    text = encode_header(header)
    if len(text) > HEADER_MAX:
        message = f"header has {len(text)} bytes, at most {HEADER_MAX} are allowed; shorten meta"
        raise LimitExceeded(message)
    length = payload_length(header.segments)
    head = prefix_of(
        SUITES[key.suite], len(text), align, length, key.tag, artifact, detached=detached
    )
    head += text
    return head + bytes(-len(head) % align)


def _payload(segments: Sequence[Segment]) -> Iterator[Buffer]:
    position = 0
    for length, pieces in segments:
        if gap := gap_at(position):
            yield bytes(gap)
            position += gap
        before = position
        for piece in pieces:
            position += len(piece)
            yield piece
        if position - before != length:
            message = f"a segment of {length} bytes gave {position - before}; it changed meanwhile"
            raise ValueError(message)


def _chunks(pieces: Iterable[Buffer]) -> Iterator[Buffer]:
    """Cut pieces into chunks; one that lies within a piece is not copied."""
    waiting = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        if waiting:
            room = CHUNK - len(waiting)
            waiting += view[:room]
            view = view[room:]
            if len(waiting) == CHUNK:
                yield waiting
                waiting = bytearray()
        whole = len(view) - len(view) % CHUNK
        for start in range(0, whole, CHUNK):
            yield view[start : start + CHUNK]
        waiting += view[whole:]
    if waiting:
        yield waiting


# --- verifying -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """What the opened file must be: which keys, which zone, and how large at most.

    ``others`` are the policy's further zones, tried only to explain a failure. Artifacts whose ids
    are in ``refused`` are revoked. Keys that are revoked count only if ``revoked`` says so.
    """

    keyring: Keyring
    zone: str
    limit: int
    others: Sequence[str] = ()
    refused: frozenset[bytes] = frozenset()
    revoked: bool = False


def total_length(prefix: Buffer, limit: int) -> int:
    """Return how many bytes a container with this 48-byte prefix has, for reading a stream."""
    return _shape(prefix, limit).total


def artifact_of(prefix: Buffer) -> bytes | None:
    """Return the artifact id that a file claims to have; None if it is no container."""
    shape = shape_of(prefix)
    return None if shape is None else shape.artifact


def _shape(prefix: Buffer, limit: int, *, detached: bool = False) -> Shape:
    if not prefix:
        message = "the file is empty"
        raise _Empty(message)
    if not is_sealed(prefix):
        message = "not sealed: no SFH1 container; seal it with: safehold seal PATH"
        raise NotSealed(message)
    shape = shape_of(prefix)
    if shape is None:
        message = "the container's first bytes were cut or changed"
        raise Tampered(message)
    if shape.detached != detached:
        what = "has a payload of its own" if detached else "is a sidecar, name its file instead"
        message = f"the container {what}"
        raise NotSealed(message)
    if shape.payload > limit:
        message = f"the payload has {shape.payload} bytes, the policy's limit is {limit}"
        raise LimitExceeded(message)
    return shape


def verify_file(fd: int, size: int, expected: Expected) -> Sealed:
    """Read and verify a container file of `size` bytes.

    Root first, then each chunk is read into its final private buffer and verified there;
    no byte is read twice and nothing is parsed before it is verified.

    Raises:
        NotSealed, Tampered, UnknownKey, WrongContext, LimitExceeded
    """
    if size <= _SMALL:
        data = bytearray(os.pread(fd, size, 0))
        return verify_bytes(data + read_at(fd, len(data), bytearray(size - len(data))), expected)
    opened = open_file(fd, size, expected)
    payload = private_memory(opened.shape.payload)
    opened.chunks.open_all(payload)
    header = opened.header()
    return Sealed(header, opened.shape.artifact, split(payload, header.segments))


class Opened(NamedTuple):
    """A file whose root holds and whose payload was not read."""

    shape: Shape
    chunks: Chunks
    header: Callable[[], Header]


def open_file(fd: int, size: int, expected: Expected) -> Opened:
    """Verify a file's root; the descriptor serves until the last chunk is read.

    Raises:
        As `verify_file`, which is what this does first.
    """
    shape, head, tail = _ends(fd, size, expected)
    key, suite = _verify_root(shape, head, tail, expected)
    chunks = Chunks(suite, shape, tail, lambda start, into: read_at(fd, shape.head + start, into))
    return Opened(shape, chunks, lambda: _header(shape, head, key, expected))


def resealed(fd: int, opened: Opened, header: Header, key: Key) -> list[Buffer | FileRange]:
    """Return the pieces of an open file under another key; the payload is not read.

    Leaves that need no key are right as they are: a payload that does not fit them is refused
    as before. Raises LimitExceeded.
    """
    shape = opened.shape
    head = _head(header, key, shape.artifact, shape.align, detached=shape.detached)
    leaves = bytes(opened.chunks.leaves[: shape.leaves])
    suite = suite_for(key, header.zone, shape.artifact)
    tail = leaves + suite.root(sha256(head).digest(), leaves) + END
    return [head, FileRange(fd, shape.head, shape.payload), tail]


def detached_length(prefix: Buffer, limit: int) -> int:
    """Return how many bytes a detached container with this prefix has. Raises as verify_file."""
    return _shape(prefix, limit, detached=True).total


def open_detached(
    data: memoryview, expected: Expected, read: Callable[[int, memoryview], object]
) -> Opened:
    """Verify a detached container's root; `read` fills from a position of the payload.

    Raises:
        As `verify_file`.
    """
    shape = _shape(data[:PREFIX_BYTES], expected.limit, detached=True)
    _check_size(shape, len(data))
    head, tail = data[: shape.head], data[shape.head :]
    key, suite = _verify_root(shape, head, tail, expected)
    chunks = Chunks(suite, shape, tail, read)
    return Opened(shape, chunks, lambda: _header(shape, head, key, expected))


def verify_bytes(data: bytearray | memoryview | bytes, expected: Expected) -> Sealed:
    """Verify a container in memory; the segments are views of `data`. Raises as verify_file."""
    view = memoryview(data)
    shape = _shape(view[:PREFIX_BYTES], expected.limit)
    _check_size(shape, len(view))
    end = shape.head + shape.payload
    head, payload, tail = view[: shape.head], view[shape.head : end], view[end:]
    key, suite = _verify_root(shape, head, tail, expected)
    stored = payload
    if shape.suite.encrypts:
        payload = private_memory(shape.payload)

    def read(start: int, into: memoryview) -> None:
        if shape.suite.encrypts:
            into[:] = stored[start : start + len(into)]

    Chunks(suite, shape, tail, read).open_all(payload)
    header = _header(shape, head, key, expected)
    return Sealed(header, shape.artifact, split(payload, header.segments))


def verified_header(fd: int, size: int, expected: Expected) -> tuple[Header, bytes]:
    """Verify a file's root alone and return (header, artifact id); the payload is not read."""
    opened = open_file(fd, size, expected)
    return opened.header(), opened.shape.artifact


def _ends(fd: int, size: int, expected: Expected) -> tuple[Shape, bytearray, bytearray]:
    """Read what stands before and after the payload."""
    prefix = read_at(fd, 0, bytearray(min(size, PREFIX_BYTES)))
    shape = _shape(prefix, expected.limit)
    _check_size(shape, size)
    head = prefix + read_at(fd, PREFIX_BYTES, bytearray(shape.head - PREFIX_BYTES))
    tail = read_at(
        fd, shape.head + shape.payload, bytearray(shape.leaves + shape.suite.root + len(END))
    )
    return shape, head, tail


def _check_size(shape: Shape, size: int) -> None:
    if size != shape.total:
        what = "cut" if size < shape.total else "extended"
        message = f"the container was {what}: {size} bytes, its prefix says {shape.total}"
        raise Tampered(message)


def _verify_root(shape: Shape, head: Buffer, tail: Buffer, expected: Expected) -> tuple[Key, Suite]:
    """Verify that head and leaves are authentic; return the key that says so, and its suite."""
    key = expected.keyring.by_tag(shape.tag, revoked=expected.revoked)
    if shape.suite.name != key.suite:
        message = f"key {key.id!r} is bound to suite {key.suite}, the file claims another"
        raise Tampered(message)
    end = shape.leaves + shape.suite.root
    leaves, root = bytes(tail[: shape.leaves]), tail[shape.leaves : end]
    digest = sha256(head).digest()
    suite = suite_for(key, expected.zone, shape.artifact)
    if not suite.is_root(root, digest, leaves) or tail[end:] != END:
        for zone in expected.others:
            if suite_for(key, zone, shape.artifact).is_root(root, digest, leaves):
                message = f"sealed for zone {zone!r}, used in zone {expected.zone!r}"
                raise WrongContext(message)
        message = f"the seal does not match the bytes (key {key.id!r}, zone {expected.zone!r})"
        raise Tampered(message)
    if shape.artifact in expected.refused:
        message = f"artifact {shape.artifact.hex()} is revoked by the policy; replace the file"
        raise Revoked(message)
    return key, suite


def _header(shape: Shape, head: Buffer, key: Key, expected: Expected) -> Header:
    """Parse a header that the root covers."""
    header = _parsed(bytes(head[PREFIX_BYTES : PREFIX_BYTES + shape.text]))
    if header is None or (header.suite, header.key, header.zone, shape.payload) != (
        key.suite,
        key.id,
        expected.zone,
        payload_length(header.segments),
    ):
        # Only a holder of the key can make this.
        message = "the sealed header is not canonical or contradicts its container"
        raise Tampered(message)
    return header


def _parsed(text: bytes) -> Header | None:
    """Return the header of an authentic text; None if it is not the one valid encoding of it."""
    try:
        header = decode_header(text)
        canonical = encode_header(header) == text
    except (msgspec.MsgspecError, UnicodeError, TypeError, RecursionError):
        return None
    return header if canonical and header.v == 1 and min(header.segments, default=0) >= 0 else None
