"""joblib's interface: `load`, `dump` and `Memory` over sealed artifacts, the rest unchanged.

``mmap_mode`` maps where the policy's zone says ``mmap = true``: "r" and "c", for paths, of files
without compression. Arrays are then plain ones over the map, not `numpy.memmap`. Elsewhere, and
for the modes that write into a file, it is accepted and the arrays are private memory.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import IO, Any

from safehold.errors import MissingExtra

try:
    import joblib
    from joblib._store_backends import CacheWarning, FileSystemStoreBackend
except ImportError as error:
    package = "joblib"
    raise MissingExtra(package, "joblib") from error

from safehold.artifacts.callers import acting_for, calling_file
from safehold.artifacts.codecs import Encoded
from safehold.artifacts.codecs.joblib import encode_compressed
from safehold.compat import active_store, mmap_mode_for

__all__ = tuple(joblib.__all__)  # load, dump and Memory are defined below
_PREFER = "joblib"
_BACKEND = "safehold"
# joblib's own readers and writers, which verify nothing.
_WITHHELD = frozenset({"memory", "numpy_pickle", "numpy_pickle_compat", "numpy_pickle_utils"})


def __getattr__(name: str) -> Any:
    if name in _WITHHELD:
        message = f"safehold.compat.joblib does not offer joblib.{name}; use load, dump or Memory"
        raise AttributeError(message)
    return getattr(joblib, name)


def dump(
    value: object,
    filename: Any,
    compress: Any = 0,
    protocol: int | None = None,
) -> list[str] | None:
    """Seal `value` into a path or a binary handle; returns [path] for a path.

    Raises:
        As `safehold.Store.dump`.
    """
    encode = _encoder(value, compress, protocol)
    if isinstance(filename, str | os.PathLike):
        name = os.fspath(filename)
        active_store().dump(value, name, prefer=_PREFER, encode=encode)
        return [name]
    active_store().dump_to(value, filename, prefer=_PREFER, encode=encode)
    return None


def _encoder(
    value: object, compress: Any, protocol: int | None = None
) -> Callable[[], Encoded] | None:
    """Return how to encode where compression is asked for; None: as the codec does."""
    return partial(encode_compressed, value, compress, protocol) if compress else None


def load(
    filename: str | os.PathLike[str] | IO[bytes],
    mmap_mode: str | None = None,
    ensure_native_byte_order: str | bool = "auto",
) -> Any:
    """Verify and load a path or the next object of a handle. Raises as `safehold.Store.load`."""
    if isinstance(filename, str | os.PathLike):
        store = active_store()
        return store.load(filename, mmap_mode=mmap_mode_for(store, filename, mmap_mode))
    return active_store().load_from(filename)


class _SealedStore(FileSystemStoreBackend):  # type: ignore[misc]  # joblib is untyped
    """Keeps `Memory`'s results as sealed artifacts.

    They are loaded for the file that made the `Memory`: who calls a cached function, often a
    worker process of joblib, does not know that something is loaded.
    """

    maker: str | None = None

    def load_item(
        self,
        call_id: list[str],
        verbose: int = 1,
        timestamp: float | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Any:
        path = os.path.join(self.location, *call_id, "output.pkl")
        if not os.path.exists(path):
            raise KeyError(path)
        with acting_for(self.maker):
            return load(path, self.mmap_mode)

    def dump_item(self, call_id: list[str], item: Any, verbose: int = 1) -> None:
        directory = os.path.join(self.location, *call_id)
        try:
            self.create_location(directory)
            path = os.path.join(directory, "output.pkl")
            active_store().dump(item, path, prefer=_PREFER, encode=_encoder(item, self.compress))
        except Exception as error:  # noqa: BLE001  (as joblib: the result is not cached, that is all)
            warnings.warn(f"result not cached: {error}", CacheWarning, stacklevel=2)


joblib.register_store_backend(_BACKEND, _SealedStore)


class Memory(joblib.Memory):  # type: ignore[misc]  # joblib is untyped
    """`joblib.Memory` whose cached results are sealed."""

    def __init__(
        self,
        location: Any = None,
        backend: str = "local",
        mmap_mode: str | None = None,
        compress: Any = False,
        verbose: int = 1,
        backend_options: dict[str, Any] | None = None,
    ) -> None:
        """As `joblib.Memory`; the local backend is replaced by the sealing one."""
        super().__init__(location, _sealing(backend), mmap_mode, compress, verbose, backend_options)
        if isinstance(self.store_backend, _SealedStore):
            self.store_backend.maker = calling_file()


class MemorizedResult(joblib.MemorizedResult):  # type: ignore[misc]  # joblib is untyped
    """`joblib.MemorizedResult` that reads what `Memory` sealed."""

    def __init__(
        self,
        location: Any,
        call_id: Any,
        backend: str = "local",
        mmap_mode: str | None = None,
        verbose: int = 0,
        timestamp: float | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """As `joblib.MemorizedResult`; the local backend is replaced by the sealing one."""
        super().__init__(
            location, call_id, _sealing(backend), mmap_mode, verbose, timestamp, metadata
        )


def _sealing(backend: str) -> str:
    return _BACKEND if backend == "local" else backend
