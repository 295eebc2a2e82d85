"""Codecs: each turns a value into segments and back; one file and one row per codec.

To add one, write its file with `encode` and `decode` and add its row to `CODECS`. A codec
that carries code names classes; those are resolved by the zone's allow-list only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, cast

from safehold.allow import AllowList
from safehold.errors import ConfigError
from safehold.policy import Limits

Buffer = bytes | bytearray | memoryview
_FREE = 64 * 2**20  # what anything may unpack to, as in the scanner


@dataclass(frozen=True, slots=True)
class Encoded:
    """Segments to be sealed, versions of the libraries that made them, names that they carry."""

    segments: Sequence[Buffer]
    libs: Mapping[str, str] = field(default_factory=dict)
    raw: bool = False
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a decoder may do: which names to resolve, how deep to go, how it was stored.

    ``limits`` bound what it unpacks to. ``options`` are the keyword arguments of
    `pickle.Unpickler` for files of older Pythons. With ``views`` arrays may be views that cannot
    be written to; otherwise a codec of data gives out such as can. With ``imports`` data may
    import the module of an enumeration that the list has by its name.
    """

    allow: AllowList
    depth: int
    raw: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    views: bool = False
    imports: bool = False

    def budget(self, packed: int) -> int:
        """Return how many bytes so many packed ones may unpack to."""
        return min(self.limits.artifact, max(_FREE, packed * self.limits.expansion))


class Codec(Protocol):
    """What a codec's module provides.

    One whose `encode` does not make a file of the replaced library has `encode_plain` for that.
    """

    encode: Callable[..., Encoded]
    """(value, depth limit) -> Encoded; one with ``enums`` also takes the zone's allow list.

    Raises EncodeError."""
    decode: Callable[[Sequence[memoryview], Reading], object]
    """Verified segments -> value. Raises DecodeError, TypeNotAllowed, LimitExceeded."""


@dataclass(frozen=True, slots=True)
class Row:
    """A codec: its module is imported when it is used."""

    module: str
    carries_code: bool
    suffixes: tuple[str, ...]
    enums: bool = False


CODECS: Mapping[str, Row] = {
    "bytes": Row("bytes", carries_code=False, suffixes=(".onnx", ".gguf")),
    "joblib": Row("joblib", carries_code=True, suffixes=(".joblib", ".jl", ".jbl")),
    "json": Row("json", carries_code=False, suffixes=(".json",), enums=True),
    "msgpack": Row("msgpack", carries_code=False, suffixes=(".msgpack", ".mpk"), enums=True),
    "npy": Row("npy", carries_code=False, suffixes=(".npy",)),
    "npz": Row("npz", carries_code=False, suffixes=(".npz",)),
    "parquet": Row("parquet", carries_code=False, suffixes=(".parquet", ".pq")),
    "pickle": Row("pickle", carries_code=True, suffixes=(".pkl", ".pickle", ".p", ".pck", ".sav")),
    "safetensors": Row("safetensors", carries_code=False, suffixes=(".safetensors",)),
    "skops": Row("skops", carries_code=True, suffixes=(".skops",)),
}

MODULES: Mapping[str, str] = {name: f"{__name__}.{row.module}" for name, row in CODECS.items()}


def codec_named(name: str) -> Codec:
    """Load a codec. Raises ConfigError for a name that has no codec here."""
    module = MODULES.get(name)
    if module is None:
        message = f"no codec {name!r}; codecs of this version: {', '.join(CODECS)}"
        raise ConfigError(message)
    return cast("Codec", import_module(module))


def plain_encoder(name: str) -> Callable[[object, int], Encoded]:
    """Return what makes the file that the replaced library reads. Raises ConfigError."""
    codec = codec_named(name)
    encode: Callable[[object, int], Encoded] = getattr(codec, "encode_plain", codec.encode)
    return encode
