"""Hands bytes to another process: by the descriptor they were mapped from, or in memory."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from safehold.scan.mapped import Mapped
from safehold.scan.values import Data

_CHUNK: Final = 2**26


class Handed(NamedTuple):
    """Where bytes stand in a file that another process may be given."""

    descriptor: int
    offset: int
    size: int


@contextmanager
def handed(data: Data) -> Iterator[Handed]:
    """Yield a descriptor for bytes; those of a mapped file are not copied."""
    whole = data.obj if isinstance(data, memoryview) else None
    if isinstance(whole, Mapped):
        offset = _address(data) - _address(whole)
        yield Handed(whole.handle, offset, len(data))
        return
    descriptor = _filled(data)
    try:
        yield Handed(descriptor, 0, len(data))
    finally:
        os.close(descriptor)


def _filled(data: Data) -> int:
    """Return a descriptor of a file without a name that holds the bytes."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("safehold", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile(prefix="safehold-") as file:
            descriptor = os.dup(file.fileno())
    try:
        view = memoryview(data)
        done = 0
        while done < len(view):
            done += os.write(descriptor, view[done : done + _CHUNK])
        if hasattr(fcntl, "F_ADD_SEALS"):
            seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class _Buffer(ctypes.Structure):
    """Py_buffer: https://docs.python.org/3/c-api/buffer.html."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def _address(data: Data | mmap.mmap) -> int:
    """Return where the bytes stand in memory; Python itself does not tell."""
    buffer = _Buffer()
    get = ctypes.pythonapi.PyObject_GetBuffer
    release = ctypes.pythonapi.PyBuffer_Release
    get(ctypes.py_object(data), ctypes.byref(buffer), 0)
    address = int(buffer.buf or 0)
    release(ctypes.byref(buffer))
    return address
