"""NumPy's interface: `load`, `save`, `savez` over sealed files, the rest unchanged.

Arrays are stored as npy and npz, or as MessagePack where the zone lacks those. Arrays of
objects are pickles: they exist in internal zones only, are loaded with the zone's allow-list,
and only with ``allow_pickle=True``. ``mmap_mode`` maps where the policy's zone says
``mmap = true``: "r" and "c", for paths, of single arrays. Those are then plain arrays over the
map, not `numpy.memmap`. Elsewhere, and for the modes that write into a file, it is accepted and
the arrays are private memory. What `fromfile`, `memmap` and the readers of text take is not
sealed.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from safehold.errors import MissingExtra

try:
    import numpy as np
    from numpy.lib import npyio
except ImportError as error:
    package = "numpy"
    raise MissingExtra(package, "numpy") from error

from safehold.artifacts.codecs import CODECS, Encoded, Reading, codec_named
from safehold.artifacts.codecs import npz as npz_codec
from safehold.artifacts.container import Sealed
from safehold.compat import active_store, mmap_mode_for
from safehold.errors import DecodeError

__all__ = tuple(np.__all__)  # load, save, savez and savez_compressed are defined below
_OBJECTS = "pickle"


def __getattr__(name: str) -> Any:
    return getattr(np, name)


# --- saving --------------------------------------------------------------------------------


def save(file: Any, arr: Any, allow_pickle: bool = True) -> None:
    """Seal an array into a path or a binary handle.

    Raises:
        ValueError: objects, but ``allow_pickle`` is false. Otherwise as `safehold.Store.dump`.
    """
    array = _plain(np.asanyarray(arr))
    prefer = _prefer("npy", [array], allow_pickle=allow_pickle)
    _seal(array, file, ".npy", prefer)


def savez(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """Seal several arrays into a path or a binary handle. Raises as `save`."""
    arrays = _named(args, kwds)
    prefer = _prefer("npz", arrays.values(), allow_pickle=allow_pickle)
    _seal(arrays, file, ".npz", prefer)


def savez_compressed(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """Seal several arrays, compressed, into a path or a binary handle. Raises as `save`."""
    arrays = _named(args, kwds)
    prefer = _prefer("npz", arrays.values(), allow_pickle=allow_pickle)
    encode = partial(npz_codec.packed, arrays, zipfile.ZIP_DEFLATED)
    _seal(arrays, file, ".npz", prefer, encode if prefer[0] == "npz" else None)


def _plain(array: Any) -> Any:
    """Return an array of the base class over the same memory, as NumPy's own file has it."""
    if type(array) is np.ndarray or isinstance(array, np.ma.MaskedArray):
        return array  # the codec refuses a mask
    return array.view(array.dtype.fields or array.dtype, np.ndarray)


def _named(args: tuple[Any, ...], kwds: dict[str, Any]) -> dict[str, Any]:
    arrays = dict(kwds)
    for position, value in enumerate(args):
        name = f"arr_{position}"
        if name in arrays:
            message = f"Cannot use un-named variables and keyword {name}"
            raise ValueError(message)
        arrays[name] = value
    return {name: _plain(np.asanyarray(value)) for name, value in arrays.items()}


def _prefer(codec: str, arrays: Any, *, allow_pickle: bool) -> tuple[str, ...]:
    """Return the codecs to try: data holds no objects."""
    if not any(array.dtype.hasobject for array in arrays):
        return codec, "msgpack"
    if not allow_pickle:
        message = "Object arrays cannot be saved when allow_pickle=False"
        raise ValueError(message)
    return (_OBJECTS,)


def _seal(
    value: object,
    file: Any,
    suffix: str,
    prefer: tuple[str, ...],
    encode: Callable[[], Encoded] | None = None,
) -> None:
    if isinstance(file, str | os.PathLike):
        path: Any = os.fspath(file)
        path += "" if path.endswith(suffix) else suffix
        active_store().dump(value, path, prefer=prefer, encode=encode)
    else:
        active_store().dump_to(value, file, prefer=prefer, encode=encode)


# --- loading -------------------------------------------------------------------------------


def load(
    file: Any,
    mmap_mode: str | None = None,
    allow_pickle: bool = False,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    *,
    max_header_size: int = 10_000,
) -> Any:
    """Verify and load the array, or the archive of arrays, of a path or handle.

    Raises:
        DecodeError: a ValueError too; pickled, but ``allow_pickle`` is false.
        Otherwise as `safehold.Store.load`.
    """
    decode = partial(_decode, allow_pickle=allow_pickle)
    if isinstance(file, str | os.PathLike):
        store = active_store()
        mode = mmap_mode_for(store, file, mmap_mode)
        return store.load(file, decode=decode, mmap_mode=mode)
    return active_store().load_from(file, decode=decode)


def _decode(sealed: Sealed, reading: Reading, *, allow_pickle: bool) -> Any:
    codec = sealed.header.codec
    if CODECS[codec].carries_code and not allow_pickle:
        message = "the artifact is pickled, which cannot be loaded when allow_pickle=False"
        raise DecodeError(message)
    if codec == "npz":
        return NpzFile(npz_codec.Archive(sealed.segments[0], reading))
    value = codec_named(codec).decode(sealed.segments, reading)
    return NpzFile(value) if type(value) is dict else value


class _Attributes:
    """The arrays of an archive as attributes, as in ``archive.f.name``."""

    def __init__(self, archive: NpzFile) -> None:
        self._archive = archive

    def __getattr__(self, name: str) -> Any:
        try:
            return self._archive[name]
        except KeyError as error:
            raise AttributeError(name) from error

    def __dir__(self) -> list[str]:
        return list(self._archive)


class NpzFile(npyio.NpzFile):
    """`numpy.lib.npyio.NpzFile` over verified bytes; an array is unpacked when asked for."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        """Take the arrays by name."""
        self._arrays: Mapping[str, Any] | None = arrays
        self.files = list(arrays)
        self.f = _Attributes(self)  # type: ignore[assignment]  # NumPy's own is private

    def __getitem__(self, key: str) -> Any:
        if self._arrays is None:
            message = "the archive is closed"
            raise ValueError(message)
        for name in (key, key.removesuffix(".npy")):
            if name in self._arrays:
                return self._arrays[name]
        message = f"{key} is not a file in the archive"
        raise KeyError(message)

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __contains__(self, key: object) -> bool:
        return key in self.files or (
            isinstance(key, str) and key.removesuffix(".npy") in self.files
        )

    def close(self) -> None:
        """Forget the bytes."""
        self._arrays = None
        super().close()
