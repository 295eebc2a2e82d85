"""Write the plain files and sidecars of format version 1 in ``tests/vectors/sidecars-v1``.

    python -m tests.vectors.sidecars

Each sidecar has two records, of `NEW` and of `OLD`; keys and time are those of `generate`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from safehold.artifacts import container
from safehold.artifacts.container import Header
from safehold.keys import Key
from tests.vectors import generate

HERE = generate.HERE / "sidecars-v1"
ZONE = "tables"
OLD = bytes(range(256)) * 5000  # two chunks
NEW = OLD[:-1] + b"\x00"  # of the same length, and alike to the last byte
KEYS = {
    "hs256.onnx": generate.KEY,
    "gmac.onnx": generate.GMAC_KEY,
    "ed25519.onnx": generate.PAIR_KEY,
}


def contents(file: str) -> bytes:
    """Return the bytes of a file's sidecar."""
    key = KEYS[file]
    return _record(file, key, 2, NEW) + _record(file, key, 1, OLD)


def _record(file: str, key: Key, generation: int, payload: bytes) -> bytes:
    header = Header(
        v=1,
        suite=key.suite,
        key=key.id,
        zone=ZONE,
        name=f"{ZONE}/{file}",
        generation=generation,
        created=generate.CREATED,
        codec="bytes",
        segments=[len(payload)],
        meta={"run": generation},
        raw=True,
    )
    artifact = sha256(f"{file} {generation}".encode()).digest()[:16]
    parts: list[Any] = [(len(payload), [payload])]
    pieces = list(container.sealed_chunks(header, parts, key, artifact, align=64, detached=True))
    return bytes(pieces[0]) + bytes(pieces[-1])


def main() -> None:
    """Write all sidecars."""
    HERE.mkdir(exist_ok=True)
    for file in KEYS:
        (HERE / f"{file}.sfh").write_bytes(contents(file))


if __name__ == "__main__":
    main()
