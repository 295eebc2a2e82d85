"""cloudpickle's interface over sealed artifacts.

What cloudpickle writes is sealed, and loaded with the zone's allow-list, so that functions and
classes that are pickled by value are refused when they are written: no zone allows what builds
them. Objects of importable classes are stored as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from safehold.errors import MissingExtra

try:
    import cloudpickle as _library
except ImportError as error:
    package = "cloudpickle"
    raise MissingExtra(package, "cloudpickle") from error

from safehold.artifacts.codecs import Encoded
from safehold.compat import active_store
from safehold.compat import pickle as _pickle
from safehold.compat.sealing import PREFER, Sealing

__all__ = tuple(_library.__all__)


_BEYOND = ("cloudpickle", "cloudpickle_fast")  # modules with functions that seal nothing


def __getattr__(name: str) -> Any:
    if name in _BEYOND:
        message = f"cloudpickle.{name} has no sealed form: safehold.compat.cloudpickle has none"
        raise AttributeError(message)
    return getattr(_library, name)


def dump(
    obj: object,
    file: Any,
    protocol: int | None = None,
    buffer_callback: Callable[[Any], Any] | None = None,
) -> None:
    """Seal `obj` into a path or a binary handle. Raises as `safehold.Store.dump`."""
    encode = _encoder(obj, protocol, buffer_callback)
    if isinstance(file, str | os.PathLike):
        active_store().dump(obj, file, prefer=PREFER, encode=encode)
    else:
        active_store().dump_to(obj, file, prefer=PREFER, encode=encode)


def dumps(
    obj: object,
    protocol: int | None = None,
    buffer_callback: Callable[[Any], Any] | None = None,
) -> bytes:
    """Seal `obj` into bytes of the policy's memory zone. Raises as `safehold.Store.dumps`."""
    encode = _encoder(obj, protocol, buffer_callback)
    return active_store().dumps(obj, prefer=PREFER, encode=encode)


def _encoder(
    obj: object, protocol: int | None, buffer_callback: Callable[[Any], Any] | None
) -> Callable[[], Encoded]:
    return lambda: Encoded([_library.dumps(obj, protocol, buffer_callback)])


class Pickler(Sealing, _library.Pickler):  # type: ignore[misc]  # cloudpickle is untyped
    """`cloudpickle.Pickler` whose every `dump` is one sealed container."""


CloudPickler = Pickler
load, loads = _pickle.load, _pickle.loads
