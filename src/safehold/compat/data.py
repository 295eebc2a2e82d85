"""The `pickle` module's interface over plain data: nothing that it reads can name a class.

Values are stored as sealed MessagePack without loss, or `EncodeError` says what has no
lossless form. `load` and `dump` take a path as well as a handle. The options of pickle are
accepted and mean nothing here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pickle import (
    DEFAULT_PROTOCOL,
    HIGHEST_PROTOCOL,
    PickleBuffer,
    PickleError,
    PicklingError,
    UnpicklingError,
)
from typing import Any

from safehold.allow import AllowList
from safehold.artifacts.codecs import CODECS, Reading, codec_named
from safehold.artifacts.container import Sealed
from safehold.artifacts.unsealed import Listed
from safehold.compat import active_store
from safehold.errors import WrongContext

__all__ = [
    "DEFAULT_PROTOCOL",
    "HIGHEST_PROTOCOL",
    "PickleError",
    "PicklingError",
    "UnpicklingError",
    "dump",
    "dumps",
    "load",
    "loads",
]

_CODEC = "msgpack"


def dump(
    obj: object,
    file: Any,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: Callable[[PickleBuffer], Any] | None = None,
) -> None:
    """Seal plain data into a path or a binary handle. Raises as `safehold.Store.dump`."""
    if isinstance(file, str | os.PathLike):
        active_store().dump(obj, file, codec=_CODEC)
    else:
        active_store().dump_to(obj, file, codec=_CODEC)


def dumps(
    obj: object,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: Callable[[PickleBuffer], Any] | None = None,
) -> bytes:
    """Seal plain data into bytes. Raises as `safehold.Store.dumps`."""
    return active_store().dumps(obj, codec=_CODEC)


def load(
    file: Any,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = (),
) -> Any:
    """Verify and load plain data of a path or handle. Raises as `safehold.Store.load`."""
    if isinstance(file, str | os.PathLike):
        return active_store().load(file, decode=_decode)
    return active_store().load_from(file, decode=_decode)


def loads(
    data: Any,
    /,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = (),
) -> Any:
    """Verify and load bytes that `dumps` made. Raises as `safehold.Store.loads`."""
    return active_store().loads(data, decode=_decode)


def _decode(sealed: Sealed, reading: Reading) -> Any:
    codec = sealed.header.codec
    if isinstance(sealed, Listed):  # a pickle of before, which may name arrays and no more
        reading = replace(reading, allow=AllowList.of(("numpy", "joblib")))
    elif CODECS[codec].carries_code:
        message = f"the artifact is a {codec}, read as plain data; use safehold.compat.{codec}"
        raise WrongContext(message)
    return codec_named(codec).decode(sealed.segments, reading)
