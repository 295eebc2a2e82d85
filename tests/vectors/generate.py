"""Write the containers of format version 1 in ``tests/vectors/v1`` and ``v1-slots``.

    python -m tests.vectors.generate

Everything that varies is fixed here: keys, file keys, salts, artifact ids, time. A later format
version gets a directory of its own; the files of this one are never written again.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from safehold import sfh1
from safehold.artifacts import container
from safehold.artifacts.codecs import codec_named
from safehold.artifacts.container import Header
from safehold.artifacts.slots import Bound, head_digest, new_file_key, slot_sector
from safehold.keys import Key
from safehold.replacing import Patch

HERE = Path(__file__).resolve().parent
SECRET = b"vector key 1: 3c9a71e05bd248f6a1d7"
KEY = Key("vectors-1", SECRET)
GMAC_KEY = Key("vectors-gmac", b"vector key 2: 90d1f7a83be64c52d70e", "GMAC")
NEXT_KEY = Key("vectors-next", b"vector key 4: 5ad2c9e17f4086b3d25e", "GMAC")
AES_KEY = Key("vectors-aes", b"vector key 3: e4b86d0f1c79a2385fd6", "AES256GCM")
# Its file needs the extra `blake3`, which is asked for when the key is made.
BLAKE3_ID, BLAKE3_SECRET = "vectors-blake3", b"vector key 5: 7b52c9d0e81f46a3d27c"
# The private half is the secret key of RFC 8032, section 7.1, test 1.
PRIVATE = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
PAIR_KEY = Key("vectors-pair", f"ed25519-private:{PRIVATE}".encode(), "ED25519")
PUBLIC_KEY = Key("vectors-pair", f"ed25519-public:{PUBLIC}".encode(), "ED25519")
CREATED = 1_790_000_000
DEPTH = 64

PLAIN: dict[str, Any] = {"name": "ünï", "list": [1, -2.5, None, True], "empty": {}}
RICH: dict[str, Any] = {
    "tuple": (1, (2,)),
    "bytes": b"\x00\xff",
    "int": 2**70,
    "nan": [float("inf"), -0.0],
    "when": datetime(2026, 11, 25, 1, 2, 3, tzinfo=UTC),
    "decimal": Decimal("1.10"),
    "set": {1, 2, 3},
    "keys": {1: "a", (2, 3): "b"},
    "$tag": {"$tuple": [1]},
    "surrogate": "\udcff",
}
OBJECTS: dict[str, Any] = {"d": Decimal("2.5"), "s": {4}, "p": PLAIN}
BUFFER = bytes(range(256)) * 8


class Buffered:
    """Pickles to bytes that travel as a segment of their own."""

    def __reduce_ex__(self, protocol: int) -> object:
        return bytes, (pickle.PickleBuffer(BUFFER),)


@dataclass(frozen=True)
class Part:
    """One container: its codec and value, or the plain pickle that was sealed as it stood."""

    codec: str
    value: Any
    plain: bytes | None = None
    globals: Sequence[str] = ()
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Vector:
    """One file: its name, the zone and logical name that it is bound to, its containers."""

    file: str
    parts: Sequence[Part]
    zone: str = "models"
    align: int = container.MEMORY_ALIGN
    generation: int = 1
    key: Key | None = KEY  # None for that of BLAKE3
    slots: Sequence[Key] = ()

    @property
    def path(self) -> Path:
        """Where it is kept: files with slots came later, and have a directory of their own."""
        return HERE / ("v1-slots" if self.slots else "v1") / self.file

    @property
    def signing(self) -> Key:
        """The key that seals it. Raises MissingExtra."""
        return self.key or Key(BLAKE3_ID, BLAKE3_SECRET, "BLAKE3")


NAMES = ("builtins.set", "decimal.Decimal")
VECTORS = (
    Vector("plain.json", [Part("json", PLAIN)], zone="data"),
    Vector("rich.json", [Part("json", RICH)], zone="data", generation=300),
    Vector("plain.msgpack", [Part("msgpack", PLAIN)], zone="data"),
    Vector("rich.msgpack", [Part("msgpack", RICH, meta={"run": 7, "tags": ["a", "b"]})]),
    Vector("none.msgpack", [Part("msgpack", None)], align=container.FILE_ALIGN),
    Vector("objects.pkl", [Part("pickle", OBJECTS, globals=NAMES)]),
    Vector("segments.pkl", [Part("pickle", Buffered(), globals=("builtins.bytes",))]),
    Vector("old.pkl", [Part("pickle", PLAIN, plain=pickle.dumps(PLAIN, 2))]),
    Vector("several.pkl", [Part("pickle", value) for value in (1, "two", [3])]),
    Vector("gmac.msgpack", [Part("msgpack", RICH)], key=GMAC_KEY),
    Vector("aes256gcm.msgpack", [Part("msgpack", RICH)], key=AES_KEY),
    Vector("ed25519.msgpack", [Part("msgpack", RICH)], key=PAIR_KEY),
    Vector("blake3.msgpack", [Part("msgpack", RICH)], key=None),
    Vector("slots-hs256.msgpack", [Part("msgpack", RICH)], slots=(KEY, KEY)),
    Vector("slots-gmac.msgpack", [Part("msgpack", RICH)], key=GMAC_KEY, slots=(GMAC_KEY,) * 2),
    Vector("slots-aes256gcm.msgpack", [Part("msgpack", RICH)], key=AES_KEY, slots=(AES_KEY,) * 2),
    Vector("slots-ed25519.msgpack", [Part("msgpack", RICH)], key=PAIR_KEY, slots=(PAIR_KEY,) * 2),
    # In the middle of a rotation, and known by the older key.
    Vector("slots-between.pkl", [Part("pickle", Buffered(), globals=("builtins.bytes",))],
           key=GMAC_KEY, slots=(NEXT_KEY, GMAC_KEY)),
)  # fmt: skip


def contents(vector: Vector) -> bytes:
    """Return the bytes of a vector's file."""
    data = b""
    for number, part in enumerate(vector.parts):
        for piece in _pieces(vector, part, number, len(data)):
            if isinstance(piece, Patch):
                end = piece.offset + len(piece.data)
                data = data[: piece.offset] + piece.data + data[end:]
            else:
                data += piece
    return _with_slots(vector, data) if vector.slots else data


def _with_slots(vector: Vector, data: bytes) -> bytes:
    """Put the first slot under its key, which may be another one than the second's."""
    key = vector.slots[0]
    if key is vector.key:
        return data
    shape = sfh1.shape_of(data[:48])
    assert shape is not None
    end = shape.head + shape.payload
    bound = Bound(vector.zone, head_digest(data[: shape.head]), data[end : end + shape.leaves])
    file_key = new_file_key(vector.key, _random(vector, "first"))
    sector = slot_sector(key, bound, file_key, _random(vector, "again"))
    return data[: sfh1.SLOTS[0]] + sector + data[sfh1.SLOTS[1] :]


def _random(vector: Vector, salt: str) -> Callable[[int], bytes]:
    """Return what gives other bytes for each length."""
    return lambda size: sha256(f"{vector.file} {salt} {size}".encode()).digest()[:size]


def _pieces(vector: Vector, part: Part, number: int, at: int) -> Iterator[Any]:
    if part.plain is None:
        segments = [
            bytes(item) for item in codec_named(part.codec).encode(part.value, DEPTH).segments
        ]
    else:
        segments = [part.plain]
    header = Header(
        v=1,
        suite=vector.signing.suite,
        key=vector.signing.id,
        zone=vector.zone,
        name=f"{vector.zone}/{vector.file}",
        generation=vector.generation,
        created=CREATED,
        codec=part.codec,
        segments=[len(segment) for segment in segments],
        globals=list(part.globals),
        meta=part.meta,
        at=at,
        raw=part.plain is not None,
    )
    artifact = sha256(f"{vector.file} {number}".encode()).digest()[:16]
    pairs = [(len(segment), [segment]) for segment in segments]
    if vector.slots:
        random = _random(vector, "first")
        return container.slotted_chunks(header, pairs, vector.signing, artifact, random=random)
    return container.sealed_chunks(header, pairs, vector.signing, artifact, align=vector.align)


def main() -> None:
    """Write the files that are not there."""
    for vector in VECTORS:
        if not vector.path.exists():
            vector.path.write_bytes(contents(vector))


if __name__ == "__main__":
    main()
