"""Loads files the way a victim would, each in a child of its own, and tells which canaries ran.

A program, not a module of tests: it reads rows of JSON from standard input, imports what they need
once, and forks a child for each. Nothing but this process and its children is at risk.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import io
import json
import os
import pickle
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

Loader = Callable[[str], Any]

_AT_ONCE = 3
_SECONDS = 60
_LATE = 2.0  # a program that was started, or a thread, may take a moment
_ROOM = 3 * 2**30
# A file that exhausts its reader gets less of everything.
_LITTLE_ROOM = 2**28
_LITTLE_TIME = 1


_KEPT: list[Any] = []


def _open(path: str) -> BinaryIO:
    return open(path, "rb")


def _load(path: str) -> Any:
    return pickle.load(_open(path))


def _loads(path: str) -> Any:
    return pickle.loads(_open(path).read())


def _stream(path: str) -> Any:
    return pickle.load(io.BytesIO(_open(path).read()))


def _encoded(encoding: str) -> Loader:
    return lambda path: pickle.load(_open(path), encoding=encoding)


def _python(path: str) -> Any:
    return pickle._Unpickler(_open(path)).load()


def _all(path: str) -> None:
    with _open(path) as file:
        while True:
            pickle.load(file)


def _one_unpickler(path: str) -> None:
    unpickler = pickle.Unpickler(_open(path))
    while True:
        unpickler.load()


def _registry(path: str) -> Any:
    import copyreg

    copyreg.add_extension("posix", "system", 240)
    copyreg.add_extension("posix", "system ", 0x1234)
    copyreg._inverted_registry[0x1234] = ("posix", "system")
    copyreg._inverted_registry[0x12345] = ("builtins", "exec")
    return pickle.load(_open(path))


def _unpacked(module: str, name: str) -> Loader:
    def load(path: str) -> Any:
        opened = getattr(importlib.import_module(module), name)(path)
        return pickle.load(opened)

    return load


def _zlib(path: str) -> Any:
    import zlib

    return pickle.loads(zlib.decompress(_open(path).read()))


def _lz4(path: str) -> Any:
    import lz4.frame

    return pickle.load(lz4.frame.open(path))


def _zstd(path: str) -> Any:
    import zstandard

    reader = zstandard.ZstdDecompressor().stream_reader(_open(path), read_across_frames=True)
    return pickle.load(io.BufferedReader(reader))


def _7z_data(data: bytes) -> None:
    """Load every file, also of archives among them."""
    import py7zr
    from py7zr.io import BytesIOFactory

    factory = BytesIOFactory(2**24)
    with py7zr.SevenZipFile(io.BytesIO(data)) as archive:
        archive.extractall(factory=factory)
    for product in factory.products.values():
        content = product.read()
        if content.startswith(b"7z"):
            _7z_data(content)
        elif content.startswith(b"PK"):
            _zip_data(content)
        else:
            with contextlib.suppress(Exception):
                pickle.loads(content)


def _7z(path: str) -> None:
    _7z_data(_open(path).read())


def _layers(path: str) -> Any:
    """Unpack whatever wraps the pickle, as services do that take any upload."""
    import bz2
    import gzip
    import lzma
    import zlib

    data = _open(path).read()
    for _ in range(8):
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        elif data.startswith(b"BZh"):
            data = bz2.decompress(data)
        elif data.startswith((b"\xfd7zXZ", b"\x5d\0\0")):
            data = lzma.decompress(data)
        elif data[:1] == b"\x78" and data[1:2] in {b"\x01", b"\x5e", b"\x9c", b"\xda"}:
            data = zlib.decompress(data)
        else:
            break
    return pickle.loads(data)


def _zip_data(data: bytes) -> None:
    """Load every member, whatever it is called; archives among them too."""
    import tarfile
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            content = archive.read(info)
            if content.startswith(b"PK"):
                _zip_data(content)
            elif content[257:262] == b"ustar":
                with tarfile.open(fileobj=io.BytesIO(content)) as inner:
                    _tar_members(inner)
            else:
                with contextlib.suppress(Exception):
                    pickle.loads(content)


def _zip(path: str) -> None:
    _zip_data(_open(path).read())


def _zip_in_gzip(path: str) -> None:
    import gzip

    _zip_data(gzip.decompress(_open(path).read()))


def _zip_records(path: str) -> None:
    """Follow the local records, as readers of a stream do; flags and sums do not matter."""
    data = _open(path).read()
    at = 0
    while (at := data.find(b"PK\x03\x04", at)) >= 0:
        size, names, extra = struct.unpack_from("<I4xHH", data, at + 18)
        start = at + 30 + names + extra
        with contextlib.suppress(Exception):
            pickle.loads(data[start : start + size])
        at += 4


def _zip_comment(path: str) -> Any:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return pickle.loads(archive.comment)


def _tar_members(archive: Any) -> None:
    for member in archive:
        with contextlib.suppress(Exception):
            pickle.load(archive.extractfile(member))


def _tar(path: str) -> None:
    import tarfile

    with tarfile.open(path) as archive:
        _tar_members(archive)


def _joblib(path: str) -> Any:
    import joblib

    return joblib.load(path)


def _joblib_mapped(path: str) -> Any:
    import joblib

    return joblib.load(path, mmap_mode="r")


def _numpy(path: str) -> Any:
    import numpy as np

    found = np.load(path, allow_pickle=True)
    for name in getattr(found, "files", ()):
        with contextlib.suppress(Exception):
            found[name]
    return found


def _torch(path: str) -> Any:
    import torch

    return torch.load(path, weights_only=False)


def _pandas(path: str) -> Any:
    import pandas as pd

    return pd.read_pickle(path)


def _yaml(path: str) -> Any:
    import yaml

    return yaml.unsafe_load(_open(path).read())


def _keras(path: str) -> Any:
    import keras

    return keras.saving.load_model(path, safe_mode=False)


def _shelve(path: str) -> Any:
    return pickle.load(io.BufferedReader(open(path, "rb", buffering=0), 1))


LOADERS: dict[str, Loader] = {
    "pickle": _load,
    "loads": _loads,
    "stream": _stream,
    "latin1": _encoded("latin1"),
    "bytes": _encoded("bytes"),
    "python": _python,
    "all": _all,
    "one unpickler": _one_unpickler,
    "registry": _registry,
    "gzip": _unpacked("gzip", "open"),
    "bz2": _unpacked("bz2", "open"),
    "lzma": _unpacked("lzma", "open"),
    "zlib": _zlib,
    "lz4": _lz4,
    "zstd": _zstd,
    "7z": _7z,
    "layers": _layers,
    "zip": _zip,
    "zip in gzip": _zip_in_gzip,
    "zip records": _zip_records,
    "zip comment": _zip_comment,
    "tar": _tar,
    "small reads": _shelve,
    "joblib": _joblib,
    "joblib lz4": _joblib,
    "joblib mapped": _joblib_mapped,
    "numpy": _numpy,
    "torch": _torch,
    "pandas": _pandas,
    "pandas zstd": _pandas,
    "yaml": _yaml,
    "keras": _keras,
}
NEEDS = {
    "joblib": ("joblib", "numpy"),
    "joblib mapped": ("joblib", "numpy"),
    "joblib lz4": ("joblib", "numpy", "lz4"),
    "lz4": ("lz4",),
    "zstd": ("zstandard",),
    "7z": ("py7zr",),
    "numpy": ("numpy",),
    "torch": ("torch",),
    "pandas": ("pandas",),
    "pandas zstd": ("pandas", "zstandard"),
    "yaml": ("yaml",),
    "keras": ("keras",),
}


# Lighter first.
_HEAVY = ("numpy", "joblib", "scipy", "sklearn", "pandas", "sympy", "networkx", "torch")


def _weight(need: str) -> str:
    top = need.partition(":")[0].partition(".")[0]
    return f"{_HEAVY.index(top) + 1 if top in _HEAVY else 0}{need}"


@functools.cache
def has(need: str) -> bool:
    """Whether a module, or ``module:attribute``, can be had."""
    module, _, attribute = need.partition(":")
    try:
        found = importlib.import_module(module)
    except Exception:  # noqa: BLE001  whatever keeps it from being imported
        return False
    return not attribute or hasattr(found, attribute)


def _child(row: dict[str, Any]) -> None:
    exhausts = row["effect"] == "exhausts"
    signal.alarm(_SECONDS)
    room = _LITTLE_ROOM if exhausts else _ROOM
    with open("/proc/self/statm", encoding="ascii") as status_file:
        used = int(status_file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
    if exhausts:
        resource.setrlimit(resource.RLIMIT_CPU, (_LITTLE_TIME, _LITTLE_TIME))
    status = 0
    os.chdir(os.path.dirname(row["canary"]))
    try:
        # What is loaded is kept: letting go of it could undo what it did.
        _KEPT.append(LOADERS[row["loader"]](row["path"]))
    except MemoryError:
        status = 3
    except BaseException:  # noqa: BLE001  errors come too late
        status = 1
    if not exhausts and not os.path.lexists(row["canary"]):
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        _wait_for(row["canary"])
    os._exit(status)


def _wait_for(path: str) -> None:
    until = time.monotonic() + _LATE
    while not os.path.lexists(path) and time.monotonic() < until:
        time.sleep(0.002)


def _finished(row: dict[str, Any], status: int) -> bool:
    if row["effect"] == "exhausts":
        return status != 0 and (os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 3)
    _wait_for(row["canary"])
    return os.path.lexists(row["canary"])


def needs_of(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the modules without which a row's file does nothing."""
    return (*NEEDS.get(row["loader"], ()), *row["needs"])


def run(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Load each row's file in a child and yield its id, and ``ran``, ``dud``, or what it lacks.

    What needs the most modules comes last, as each makes the children that follow heavier.
    """
    running: dict[int, dict[str, Any]] = {}
    waiting = sorted(rows, key=lambda row: (*map(_weight, needs_of(row)), ""), reverse=True)
    while waiting or running:
        while waiting and len(running) < _AT_ONCE:
            row = waiting.pop()
            lacking = [need for need in needs_of(row) if not has(need)]
            if lacking:
                yield row["id"], lacking[0]
                continue
            pid = os.fork()
            if pid == 0:
                _child(row)
            running[pid] = row
        if running:
            pid, status = os.wait()
            row = running.pop(pid, {})
            if row:
                yield row["id"], "ran" if _finished(row, status) else "dud"


def main() -> None:
    """Read rows and print, for each id, whether it ran, did nothing, or lacks a module."""
    rows = json.load(sys.stdin)
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.write(out, json.dumps(dict(run(rows))).encode())


if __name__ == "__main__":
    main()
