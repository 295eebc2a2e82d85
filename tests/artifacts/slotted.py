"""Large files with and without slots, and their parts."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from safehold import sfh1
from safehold.artifacts import container
from safehold.artifacts.container import Expected, Header, Segment
from safehold.artifacts.slots import FileKey
from safehold.keys import Key, Keyring, generate_pair
from safehold.replacing import FileRange, Patch
from tests.holding import OTHER_SECRET, SECRET

ARTIFACT = bytes(range(16))
FIRST, SECOND = sfh1.SLOTS
TEXT = sfh1.SLOTTED_TEXT
SLOT = 72
OLD_PAIR, NEW_PAIR = generate_pair(), generate_pair()


def key_of(name: str, suite: str) -> Key:
    """Return the key "old" or "new" of a suite."""
    pair, secret = (OLD_PAIR, SECRET) if name == "old" else (NEW_PAIR, OTHER_SECRET)
    return Key(name, pair.private.encode() if suite == "ED25519" else secret, suite)


def joined(pieces: object) -> bytes:
    """Return the file that pieces make."""
    data = bytearray()
    for piece in pieces:  # type: ignore[attr-defined]
        assert not isinstance(piece, FileRange)
        if isinstance(piece, Patch):
            data[piece.offset : piece.offset + len(piece.data)] = piece.data
        else:
            data += piece
    return bytes(data)


def header_of(key: Key, *segments: bytes, **changes: object) -> Header:
    fields: dict[str, object] = {
        "v": 1, "suite": key.suite, "key": key.id, "zone": "models", "name": "models/a.pkl",
        "generation": 3, "created": 1_790_000_000, "codec": "pickle",
        "segments": [len(segment) for segment in segments],
    }  # fmt: skip
    return Header(**(fields | changes))


def seal(key: Key, *segments: bytes, artifact: bytes = ARTIFACT, **changes: object) -> bytes:
    """Return a file with slots, which may be small here."""
    parts: list[Segment] = [(len(segment), [segment]) for segment in segments]
    header = header_of(key, *segments, **changes)
    return joined(container.slotted_chunks(header, parts, key, artifact))


def expected(*keys: Key) -> Expected:
    return Expected(Keyring(*keys), "models", 2**32, ("data", "memory"))


def in_memory(data: bytes, *keys: Key) -> list[bytes]:
    return [bytes(one) for one in container.verify_bytes(data, expected(*keys)).segments]


def in_file(path: Path, data: bytes, *keys: Key) -> list[bytes]:
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return [
            bytes(one) for one in container.verify_file(fd, len(data), expected(*keys)).segments
        ]
    finally:
        os.close(fd)


def slot(data: bytes, number: int) -> bytes:
    return data[sfh1.SLOTS[number] :][:SLOT]


def with_slots(data: bytes, first: bytes, second: bytes) -> bytes:
    """Return the file with other slots."""
    sectors = first.ljust(sfh1.SECTOR, b"\0") + second.ljust(sfh1.SECTOR, b"\0")
    return data[:FIRST] + sectors + data[TEXT:]


def sectors_under(data: bytes, key: Key, *listed: Key) -> bytes:
    """Return the sector of a slot under another key, as a rotation writes it."""
    fd = os.memfd_create("slots")
    try:
        os.write(fd, data)
        opened = container.open_file(fd, len(data), expected(*listed))
    finally:
        os.close(fd)
    assert opened.slots is not None
    return opened.slots.sector(key)


def resized(head: bytes, length: int) -> bytes:
    return head[:16] + struct.pack("<Q", length) + head[24:]


def is_slotted(path: Path) -> bool:
    shape = sfh1.shape_of(path.read_bytes()[:48])
    assert shape is not None
    return shape.slotted


def remove_slots(path: Path, keyring: Keyring, zone: str = "models") -> None:
    """Seal a large file as those were sealed that are older than slots."""
    data = path.read_bytes()
    sealed = container.verify_bytes(data, Expected(keyring, zone, 2**32))
    parts: list[Segment] = [(len(one), [one]) for one in sealed.segments]
    path.write_bytes(
        joined(
            container.sealed_chunks(
                sealed.header, parts, keyring.signing, sealed.artifact, align=sfh1.FILE_ALIGN
            )
        )
    )


def file_key_of(data: bytes, key: Key) -> FileKey:
    """Return what whoever has the key can unwrap."""
    fd = os.memfd_create("file")
    try:
        os.write(fd, data)
        opened = container.open_file(fd, len(data), expected(key))
    finally:
        os.close(fd)
    assert opened.slots is not None
    assert opened.slots.file_key is not None
    return opened.slots.file_key
