"""Layout of SFH1, the artifact file format: fixed positions, the header, nothing of keys.

    prefix   48 bytes   magic, header length, alignment, suite, payload length, key tag, artifact id
    header              canonical MessagePack, see `Header`
    zeros               up to the alignment (4096 in files, 64 in memory)
    payload             segments, each starting at a multiple of 64; encrypted in some suites
    leaves              digest or tag of each 1 MiB chunk of the payload, length by suite
    root                over the hash of all that precedes the payload, and the leaves
    end       8 bytes   magic; nothing follows

A detached container has everything but the payload, which is a plain file beside it: a sidecar
holds one or two of them. A slotted one, which is a large file, has two slots in sectors of their
own before the header; what they hold is in `artifacts.slots`.

`artifacts.container` seals and verifies; the scanner reads the same layout without a key.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from safehold.magic import MAGIC as MAGIC  # noqa: PLC0414  (a part of the layout)

END = b"\n\x1a\r\n1HFS"
PREFIX = struct.Struct("<8sIIQ8s16s")
CHUNK = 2**20
FILE_ALIGN = 4096
MEMORY_ALIGN = 64
HEADER_MAX = 2**20
SECTOR = 512  # what a disk writes whole
SLOTS = (SECTOR, 2 * SECTOR)
SLOTTED_TEXT = 3 * SECTOR
NO_TAG = bytes(8)
_DETACHED, _SLOTTED = 0x4000, 0x8000  # bits of the prefix's form
_SEGMENT_ALIGN = 64

Buffer = bytes | bytearray | memoryview


class Suite(NamedTuple):
    """How a suite shows in the layout: its number, and the bytes of a leaf and of the root.

    ``keyless`` leaves stay right under another key.
    """

    name: str
    number: int
    leaf: int
    root: int
    encrypts: bool = False
    signs: bool = False
    keyless: bool = False
    extra: str = ""  # what it needs is installed with, and called


# One row for each file of `artifacts.suites`. Numbers are never given out again.
SUITES: Mapping[str, Suite] = {
    row.name: row
    for row in (
        Suite("HS256", 0, leaf=32, root=32, keyless=True),
        Suite("GMAC", 1, leaf=16, root=32),
        Suite("AES256GCM", 2, leaf=16, root=32, encrypts=True),
        Suite("ED25519", 3, leaf=32, root=64, signs=True, keyless=True),
        Suite("BLAKE3", 4, leaf=32, root=32, extra="blake3"),
    )
}
_BY_NUMBER = {row.number: row for row in SUITES.values()}


class Header(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the seal binds besides the payload. Bump `v` and keep the old reader to extend.

    ``at`` is the position in the stream for the second and later containers of one file;
    ``raw`` marks a payload that is the plain file's own bytes; ``expires`` is Unix time.
    """

    v: int
    suite: str
    key: str
    zone: str
    name: str
    generation: int
    created: int
    codec: str
    segments: list[int]
    libs: dict[str, str] = {}
    globals: list[str] = []
    meta: dict[str, Any] = {}
    at: int = 0
    raw: bool = False
    expires: int = 0


encode_header = msgspec.msgpack.Encoder(order="deterministic").encode
decode_header = msgspec.msgpack.Decoder(Header).decode


class Shape(NamedTuple):
    """Positions that follow from the prefix; all arithmetic, nothing parsed.

    ``start`` and ``text``: position and bytes of the header; ``head``: start of the payload;
    ``payload``, ``leaves``, ``root`` and ``total``: lengths in bytes. ``suite`` is what the prefix
    claims, good for lengths alone. The payload of a ``detached`` container is elsewhere and not in
    its ``total``.
    """

    suite: Suite
    slotted: bool
    start: int
    text: int
    align: int
    head: int
    payload: int
    leaves: int
    root: int
    total: int
    tag: bytes
    artifact: bytes
    detached: bool


def is_sealed(start: Buffer) -> bool:
    """Say whether bytes start like a container."""
    return bytes(start[: len(MAGIC)]) == MAGIC


def shape_of(prefix: Buffer) -> Shape | None:
    """Work the positions out; None when the prefix is cut or its numbers cannot be."""
    if not is_sealed(prefix) or len(prefix) < PREFIX.size:
        return None
    _, text, form, payload, tag, artifact = PREFIX.unpack_from(prefix)
    suite, align = _BY_NUMBER.get(form >> 16), form & 0xFFFF & ~(_DETACHED | _SLOTTED)
    slotted, detached = bool(form & _SLOTTED), bool(form & _DETACHED)
    if suite is None or text > HEADER_MAX or align not in (FILE_ALIGN, MEMORY_ALIGN):
        return None
    if detached and (suite.encrypts or align != MEMORY_ALIGN):
        return None
    start, root = PREFIX.size, suite.root
    if slotted:
        if align != FILE_ALIGN or tag != NO_TAG:
            return None
        start, root = SLOTTED_TEXT, 0 if suite.signs else root
    head = start + text
    head += -head % align
    leaves = -(-payload // CHUNK) * suite.leaf
    total = head + (0 if detached else payload) + leaves + root + len(END)
    return Shape(
        suite,
        slotted,
        start,
        text,
        align,
        head,
        payload,
        leaves,
        root,
        total,
        tag,
        artifact,
        detached,
    )


def prefix_of(
    suite: Suite,
    text: int,
    align: int,
    payload: int,
    tag: bytes,
    artifact: bytes,
    *,
    detached: bool = False,
) -> bytes:
    """Return the prefix of a container: the alignment's upper 16 bits are the suite's number."""
    form = align | suite.number << 16 | _DETACHED * detached
    return PREFIX.pack(MAGIC, text, form, payload, tag, artifact)


def slotted_prefix_of(suite: Suite, text: int, payload: int, artifact: bytes) -> bytes:
    """Return the prefix of a container with slots, which say by themselves what their keys are."""
    return prefix_of(suite, text, FILE_ALIGN | _SLOTTED, payload, NO_TAG, artifact)


def payload_length(lengths: Sequence[int]) -> int:
    """Return the payload's bytes for segments of these lengths, gaps included."""
    total = 0
    for length in lengths:
        total += gap_at(total) + length
    return total


def gap_at(position: int) -> int:
    """Return how many zero bytes stand before a segment that may start at `position`."""
    return -position % _SEGMENT_ALIGN


def split(payload: memoryview, lengths: Sequence[int]) -> list[memoryview]:
    """Return the segments of a payload as views."""
    segments, position = [], 0
    for length in lengths:
        position += gap_at(position)
        segments.append(payload[position : position + length])
        position += length
    return segments
