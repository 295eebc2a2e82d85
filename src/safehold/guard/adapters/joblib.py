"""joblib: files by their zone, the results of `Memory`, and the arrays that its workers map."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

from safehold.guard import entries, files, moving
from safehold.guard.adapters import in_place_of
from safehold.guard.gate import Gate
from safehold.guard.grants import HANDED, OWN, Held, live_grant

# Code that puts arrays into a private directory for the workers of the same program.
_between_processes: dict[int, Any] = {}


def apply(module: ModuleType, gate: Gate) -> None:
    """Change one of its modules."""
    _PARTS[module.__name__.rpartition(".")[2]](module, gate)


def _numpy_pickle(module: Any, gate: Gate) -> None:  # noqa: C901  (three functions)
    raw_load, raw_dump = module.load, module.dump

    def load(filename: Any, mmap_mode: str | None = None, *args: Any, **options: Any) -> Any:
        if live_grant() is HANDED:
            return raw_load(filename, mmap_mode, *args, **options)
        frame = sys._getframe(1)  # noqa: SLF001
        if id(frame.f_code) in _between_processes:
            return entries.under(HANDED, raw_load, filename, mmap_mode, *args, **options)
        if not isinstance(filename, str | os.PathLike):
            if files.is_verified_next(gate, filename):
                return files.load_sealed(gate, filename, {})
        elif files.is_verified_path(gate, filename):
            return files.load_sealed_path(gate, filename, mmap_mode)
        else:
            files.check_plain_path(gate, filename, frame)
        return raw_load(filename, mmap_mode, *args, **options)

    def dump(value: Any, filename: Any, compress: Any = 0, protocol: int | None = None) -> Any:
        outer = live_grant()
        if outer is not None and outer.unrestricted:
            return raw_dump(value, filename, compress, protocol)
        frame = sys._getframe(1)  # noqa: SLF001
        if id(frame.f_code) in _between_processes:
            return entries.under(HANDED, raw_dump, value, filename, compress, protocol)
        if isinstance(filename, str | os.PathLike):
            path = os.fspath(filename)
            if _seal(gate, value, path, frame, compress, protocol):
                return [path]
        elif files.is_to_be_sealed(gate, filename, frame, value):
            encode = _encoder(value, compress, protocol)
            with Held(OWN):
                gate.store.dump_to(value, filename, prefer="joblib", encode=encode)
            return None
        return raw_dump(value, filename, compress, protocol)

    module.load, module.dump = in_place_of(raw_load, load), in_place_of(raw_dump, dump)
    raw_map = module.load_temporary_memmap

    def load_temporary_memmap(*args: Any, **options: Any) -> Any:
        outer = live_grant()
        if outer is None or not outer.unrestricted:
            return raw_map(*args, **options)
        return entries.under(HANDED, raw_map, *args, **options)  # a message named the file

    module.load_temporary_memmap = in_place_of(raw_map, load_temporary_memmap)


def _seal(
    gate: Gate, value: Any, path: str, frame: Any, compress: Any, protocol: int | None = None
) -> bool:
    """Seal a value where the path's zone is internal; False where it is to be written plainly."""
    if not files.is_path_to_be_sealed(gate, path, frame, value):
        return False
    store = gate.store
    encode = _encoder(value, compress, protocol)
    with Held(OWN):
        store.dump(value, path, prefer="joblib", encode=encode)
        moving.note(path)
    return True


def _encoder(value: Any, compress: Any, protocol: int | None) -> Any:
    if not compress:
        return None
    with Held(OWN):
        from safehold.artifacts.codecs.joblib import encode_compressed

    return lambda: encode_compressed(value, compress, protocol)


def _memmapping_reducer(module: Any, gate: Gate) -> None:  # noqa: ARG001
    code = module.ArrayMemmapForwardReducer.__call__.__code__
    _between_processes[id(code)] = code


def _store_backends(module: Any, gate: Gate) -> None:
    backend = module.StoreBackendMixin
    raw = backend.dump_item

    def dump_item(self: Any, call_id: Any, item: Any, *args: Any, **options: Any) -> Any:
        location = getattr(self, "location", None)
        if isinstance(location, str) and os.path.isdir(location):
            directory = os.path.join(location, *call_id)
            self.create_location(directory)
            path = os.path.join(directory, "output.pkl")
            frame = sys._getframe(1)  # noqa: SLF001
            if _seal(gate, item, path, frame, getattr(self, "compress", 0)):
                return None
        return raw(self, call_id, item, *args, **options)

    backend.dump_item = in_place_of(raw, dump_item)


_PARTS = {
    "numpy_pickle": _numpy_pickle,
    "_memmapping_reducer": _memmapping_reducer,
    "_store_backends": _store_backends,
}
