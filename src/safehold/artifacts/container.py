"""SFH1 containers: what seals them stands beside what verifies them.

The layout is in `safehold.sfh1`, the keys of chunks and root in `artifacts.suites`. The suite
comes from the key and the zone from the policy, never from the file: before the root is
verified, only the prefix's fixed-width numbers are used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from safehold.artifacts.chunks import Chunks, private_memory, read_at
from safehold.artifacts.pieces import Segment, chunks_of, payload_of
from safehold.artifacts.proof import Expected, Proof, Reread, verify_root
from safehold.artifacts.slots import (
    Bound,
    FileKey,
    Random,
    Slots,
    head_digest,
    new_file_key,
    slot_sector,
)
from safehold.artifacts.suites import Suite, suite_for
from safehold.errors import LimitExceeded, NotSealed, Tampered
from safehold.keys import Key
from safehold.replacing import FileRange, Patch
from safehold.sfh1 import (
    CHUNK,
    END,
    FILE_ALIGN,
    HEADER_MAX,
    MAGIC,
    MEMORY_ALIGN,
    PREFIX,
    SECTOR,
    SLOTS,
    SLOTTED_TEXT,
    SUITES,
    Buffer,
    Header,
    Shape,
    decode_header,
    encode_header,
    is_sealed,
    payload_length,
    prefix_of,
    shape_of,
    slotted_prefix_of,
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
    "slotted_chunks",
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
    yield from _stored(segments, suite, leaves)
    yield leaves + suite.root(sha256(head).digest(), leaves) + END


def slotted_chunks(
    header: Header,
    segments: Sequence[Segment],
    key: Key,
    artifact: bytes,
    *,
    random: Random = os.urandom,
) -> Iterator[Buffer | Patch]:
    """Yield a container with slots, which come last as they speak of it. As sealed_chunks."""
    head = _slotted_head(header, key, artifact)
    yield head
    file_key = new_file_key(key, random)
    suite = suite_for(file_key or key, header.zone, artifact)
    leaves = bytearray()
    yield from _stored(segments, suite, leaves)
    yield from _slotted_end(head, bytes(leaves), header.zone, key, (suite, file_key), random)


def _stored(segments: Sequence[Segment], suite: Suite, leaves: bytearray) -> Iterator[Buffer]:
    """Yield what is stored of the payload, and append to `leaves`."""
    for index, chunk in enumerate(chunks_of(payload_of(segments))):
        stored, leaf = suite.seal(index, chunk)
        leaves += leaf
        yield stored


def _head(header: Header, key: Key, artifact: bytes, align: int, *, detached: bool) -> bytes:
    """Return what stands before the payload. Raises LimitExceeded."""
    text = _text(header)
    length = payload_length(header.segments)
    head = prefix_of(
        SUITES[key.suite], len(text), align, length, key.tag, artifact, detached=detached
    )
    head += text
    return head + bytes(-len(head) % align)


def _slotted_head(header: Header, key: Key, artifact: bytes) -> bytes:
    """Return what stands before the payload, with empty slots. Raises LimitExceeded."""
    text = _text(msgspec.structs.replace(header, key=""))  # its key changes, the header does not
    length = payload_length(header.segments)
    prefix = slotted_prefix_of(SUITES[key.suite], len(text), length, artifact)
    head = prefix.ljust(SLOTTED_TEXT, b"\0") + text
    return head + bytes(-len(head) % FILE_ALIGN)


def _slotted_end(
    head: bytes,
    leaves: bytes,
    zone: str,
    key: Key,
    own: tuple[Suite, FileKey | None],
    random: Random = os.urandom,
) -> Iterator[Buffer | Patch]:
    """Yield what follows the payload, then the slots."""
    suite, file_key = own
    digest = head_digest(head)
    yield leaves + (b"" if file_key is None else suite.root(digest, leaves)) + END
    sector = slot_sector(key, Bound(zone, digest, leaves), file_key, random)
    yield Patch(SLOTS[0], sector * len(SLOTS))


def _text(header: Header) -> bytes:
    text = encode_header(header)
    if len(text) > HEADER_MAX:
        message = f"header has {len(text)} bytes, at most {HEADER_MAX} are allowed; shorten meta"
        raise LimitExceeded(message)
    return text


# --- verifying -----------------------------------------------------------------------------


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
        data = read_at(fd, 0, bytearray(size))
        return verify_bytes(data, expected, lambda: _slots(fd))
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
    slots: Slots | None


def open_file(fd: int, size: int, expected: Expected, *, repair: bool = False) -> Opened:
    """Verify a file's root; the descriptor serves until the last chunk is read.

    With `repair` one of two slots may be broken.

    Raises:
        As `verify_file`, which is what this does first.
    """
    shape, head, tail = _ends(fd, size, expected)
    proof = verify_root(shape, head, tail, expected, lambda: _slots(fd), repair=repair)
    chunks = Chunks(
        proof.suite, shape, tail, lambda start, into: read_at(fd, shape.head + start, into)
    )
    return Opened(shape, chunks, lambda: _header(shape, head, proof, expected), proof.slots)


def resealed(
    fd: int, opened: Opened, header: Header, key: Key
) -> Iterator[Buffer | FileRange | Patch]:
    """Yield the pieces of an open file under another key; the payload is not read.

    Leaves that need no key are right as they are: a payload that does not fit them is refused
    as before. A large file gets slots. Raises LimitExceeded.
    """
    shape = opened.shape
    leaves = bytes(opened.chunks.leaves[: shape.leaves])
    payload = FileRange(fd, shape.head, shape.payload)
    if shape.payload >= CHUNK and not shape.detached:
        head = _slotted_head(header, key, shape.artifact)
        yield from (head, payload)
        file_key = new_file_key(key)
        suite = suite_for(file_key or key, header.zone, shape.artifact)
        yield from _slotted_end(head, leaves, header.zone, key, (suite, file_key))
        return
    head = _head(header, key, shape.artifact, shape.align, detached=shape.detached)
    yield from (head, payload)
    suite = suite_for(key, header.zone, shape.artifact)
    yield leaves + suite.root(sha256(head).digest(), leaves) + END


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
    proof = verify_root(shape, head, tail, expected)
    chunks = Chunks(proof.suite, shape, tail, read)
    return Opened(shape, chunks, lambda: _header(shape, head, proof, expected), None)


def verify_bytes(
    data: bytearray | memoryview | bytes, expected: Expected, reread: Reread | None = None
) -> Sealed:
    """Verify a container in memory; the segments are views of `data`. Raises as verify_file.

    `reread` gives the slots anew, if they may have changed while they were read.
    """
    view = memoryview(data)
    shape = _shape(view[:PREFIX_BYTES], expected.limit)
    _check_size(shape, len(view))
    end = shape.head + shape.payload
    head, payload, tail = view[: shape.head], view[shape.head : end], view[end:]
    proof = verify_root(shape, head, tail, expected, reread)
    stored = payload
    if shape.suite.encrypts:
        payload = private_memory(shape.payload)

    def read(start: int, into: memoryview) -> None:
        if shape.suite.encrypts:
            into[:] = stored[start : start + len(into)]

    Chunks(proof.suite, shape, tail, read).open_all(payload)
    header = _header(shape, head, proof, expected)
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
    head = bytearray(shape.head)
    head[:PREFIX_BYTES] = prefix
    read_at(fd, PREFIX_BYTES, memoryview(head)[PREFIX_BYTES:])
    tail = read_at(fd, shape.head + shape.payload, bytearray(shape.leaves + shape.root + len(END)))
    return shape, head, tail


def _slots(fd: int) -> bytearray:
    return read_at(fd, SLOTS[0], bytearray(len(SLOTS) * SECTOR))


def _check_size(shape: Shape, size: int) -> None:
    if size != shape.total:
        what = "cut" if size < shape.total else "extended"
        message = f"the container was {what}: {size} bytes, its prefix says {shape.total}"
        raise Tampered(message)


def _header(shape: Shape, head: Buffer, proof: Proof, expected: Expected) -> Header:
    """Parse a header that the root covers; a slotted one gets the key that its slots have."""
    header = _parsed(bytes(head[shape.start : shape.start + shape.text]))
    if header is None or (header.suite, header.key, header.zone, shape.payload) != (
        shape.suite.name,
        "" if shape.slotted else proof.key.id,
        expected.zone,
        payload_length(header.segments),
    ):
        # Only a holder of the key can make this.
        message = "the sealed header is not canonical or contradicts its container"
        raise Tampered(message)
    return msgspec.structs.replace(header, key=proof.key.id) if shape.slotted else header


def _parsed(text: bytes) -> Header | None:
    """Return the header of an authentic text; None if it is not the one valid encoding of it."""
    try:
        header = decode_header(text)
        canonical = encode_header(header) == text
    except (msgspec.MsgspecError, UnicodeError, TypeError, RecursionError):
        return None
    return header if canonical and header.v == 1 and min(header.segments, default=0) >= 0 else None
