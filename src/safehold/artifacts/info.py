"""What a verified artifact says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safehold.sfh1 import Header


@dataclass(frozen=True, slots=True)
class Info:
    """Verified metadata of an artifact.

    `created` and `expires` (0: never) are in Unix seconds, `size` is the file's in bytes.
    With a `sidecar` the file itself is plain.
    """

    zone: str
    name: str
    codec: str
    generation: int
    created: int
    key: str
    suite: str
    size: int
    artifact: str
    globals: tuple[str, ...]
    libs: Mapping[str, str]
    meta: Mapping[str, Any]
    raw: bool
    expires: int
    sidecar: bool


def info_of(header: Header, artifact: bytes, size: int, *, sidecar: bool = False) -> Info:
    """Gather what the container's verified header says; `size` is the file's."""
    return Info(
        zone=header.zone,
        name=header.name,
        codec=header.codec,
        generation=header.generation,
        created=header.created,
        key=header.key,
        suite=header.suite,
        size=size,
        artifact=artifact.hex(),
        globals=tuple(header.globals),
        libs=header.libs,
        meta=header.meta,
        raw=header.raw,
        expires=header.expires,
        sidecar=sidecar,
    )
