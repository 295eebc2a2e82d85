"""pandas' interface: `read_pickle` and `to_pickle` over sealed files, the rest unchanged.

In an internal zone the value is a sealed pickle, loaded with the zone's allow-list; in an
external zone it is data, tables included. Not covered: the method ``to_pickle`` of a
DataFrame or Series is pandas' own; call ``to_pickle(frame, path)`` of this module.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable, Mapping
from typing import Any

from safehold.errors import MissingExtra

try:
    import pandas as pd
except ImportError as error:
    package = "pandas"
    raise MissingExtra(package, "pandas") from error

from safehold.compat import active_store

__all__ = tuple(pd.__all__)  # read_pickle and to_pickle are defined below
_PREFER = "pickle"
_OPENERS: Mapping[str, Callable[..., Any]] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
_SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zip": "zip", ".zst": "zstd",
             ".tar": "tar", ".tgz": "tar"}  # fmt: skip


def __getattr__(name: str) -> Any:
    return getattr(pd, name)


def to_pickle(
    obj: Any,
    filepath_or_buffer: Any,
    compression: Any = "infer",
    protocol: int = 5,
    storage_options: Any = None,
) -> None:
    """Seal a value into a path or a binary handle.

    A file that is compressed is not crash-safe. Raises ValueError for a compression that has
    no sealed form, otherwise as `safehold.Store.dump`.
    """
    store = active_store()
    if not isinstance(filepath_or_buffer, str | os.PathLike):
        store.dump_to(obj, filepath_or_buffer, prefer=_PREFER)
        return
    opener = _opener(filepath_or_buffer, compression, storage_options)
    if opener is None:
        store.dump(obj, filepath_or_buffer, prefer=_PREFER)
        return
    with opener(filepath_or_buffer, "wb") as file:
        store.dump_to(obj, file, prefer=_PREFER)


def read_pickle(
    filepath_or_buffer: Any, compression: Any = "infer", storage_options: Any = None
) -> Any:
    """Verify and load a path or the next value of a handle. Raises as `to_pickle`, `Store.load`."""
    store = active_store()
    if not isinstance(filepath_or_buffer, str | os.PathLike):
        return store.load_from(filepath_or_buffer)
    opener = _opener(filepath_or_buffer, compression, storage_options)
    if opener is None:
        return store.load(filepath_or_buffer)
    with opener(filepath_or_buffer, "rb") as file:
        return store.load_from(file)


def _opener(path: Any, compression: Any, storage_options: Any) -> Callable[..., Any] | None:
    """Return what opens a compressed file; None for one that is not."""
    if storage_options:
        message = "storage_options passed with file object or non-fsspec file path"
        raise ValueError(message)
    method = compression.get("method") if isinstance(compression, Mapping) else compression
    if method == "infer":
        method = _SUFFIXES.get(os.path.splitext(os.fsdecode(path))[1].lower())
    if method is None:
        return None
    if method not in _OPENERS:
        message = f"compression {method!r} has no sealed form; use one of: {', '.join(_OPENERS)}"
        raise ValueError(message)
    return _OPENERS[method]
