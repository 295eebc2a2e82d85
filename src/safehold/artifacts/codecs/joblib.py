"""The `joblib` codec: what `joblib.dump` writes, loaded with an allow-list.

New values are stored as protocol 5 with out-of-band buffers, which loads faster than
joblib's own stream; sealed joblib files (any compression) are read by joblib's reader.
"""

from __future__ import annotations

import io
import pickle
import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from safehold.allow import AllowList
from safehold.artifacts.codecs import Encoded, Reading
from safehold.artifacts.codecs import pickle as pickle_codec
from safehold.errors import LimitExceeded, MissingExtra

try:
    import joblib
    from joblib import numpy_pickle, numpy_pickle_utils
except ImportError as error:
    package = "joblib"
    raise MissingExtra(package, "joblib") from error


_LZMAError: type[Exception] = getattr(joblib.compressor.lzma, "LZMAError", zlib.error)


def encode(value: object, depth: int) -> Encoded:
    """Pickle `value` with its arrays as segments."""
    encoded = pickle_codec.encode(value, depth)
    return Encoded(encoded.segments, {"joblib": joblib.__version__})


def encode_plain(value: object, depth: int) -> Encoded:  # noqa: ARG001  (as pickle's)
    """Write what `joblib.dump` does. Raises EncodeError."""
    return pickle_codec.dump_checked(lambda: encode_compressed(value, 0, None))


def encode_compressed(value: object, compress: Any, protocol: int | None) -> Encoded:
    """Write joblib's own stream, for callers that ask for compression."""
    out = io.BytesIO()
    joblib.dump(value, out, compress=compress, protocol=protocol)
    return Encoded([out.getbuffer()], {"joblib": joblib.__version__}, raw=True)


def decode(segments: Sequence[memoryview], reading: Reading) -> object:
    """Decode verified segments."""
    if not reading.raw:
        return pickle_codec.decode(segments, reading)
    return pickle_codec.load_checked(
        partial(
            _load,
            io.BufferedReader(_Memory(segments[0])),
            reading.allow,
            reading.budget(len(segments[0])),
        ),
        zlib.error,
        _LZMAError,
        RuntimeError,  # lz4's
    )


class _Memory(io.RawIOBase):
    """Verified bytes as a file, without the copy that BytesIO makes of a view."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._data[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _load(stream: io.BufferedReader, allow: AllowList, budget: int) -> object:
    # joblib has no public reader that takes a find_class.
    if numpy_pickle_utils._detect_compressor(stream) == "compat":  # noqa: SLF001
        message = "written by a joblib before 0.10; write it anew with a later one"
        raise ValueError(message)
    with numpy_pickle_utils._validate_fileobject_and_memmap(stream, "", None) as (opened, _):  # noqa: SLF001
        file = opened if opened is stream else _Bounded(opened, budget)
        return _JoblibUnpickler(file, allow).load()


class _Bounded:
    """A compressed file of which no more than a budget is unpacked. Reads raise LimitExceeded."""

    def __init__(self, file: Any, budget: int) -> None:
        self._file = file
        self._budget = self._left = budget

    def read(self, size: int) -> bytes:
        self._take(size)
        return bytes(self._file.read(size))

    def readinto(self, buffer: Any) -> int:
        self._take(len(buffer))
        return int(self._file.readinto(buffer))

    def readline(self) -> bytes:
        line = bytes(self._file.readline(self._left + 1))
        self._take(len(line))
        return line

    def peek(self, size: int = 0) -> bytes:
        return bytes(self._file.peek(size))

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            message = f"the file unpacks to more than {self._budget} bytes, the limit for it"
            raise LimitExceeded(message)


class _JoblibUnpickler(numpy_pickle.NumpyUnpickler):  # type: ignore[misc]  # joblib is untyped
    """joblib's reader with every name resolved by the allow-list."""

    asks_allow_list = True

    def __init__(self, file: Any, allow: AllowList) -> None:
        super().__init__("", file, ensure_native_byte_order=True)
        self.allow = allow

    def find_class(self, module: str, name: str) -> Any:
        resolved = self.allow.resolve(module, name)
        return _ArrayWrapper if resolved is numpy_pickle.NumpyArrayWrapper else resolved


class _ArrayWrapper(numpy_pickle.NumpyArrayWrapper):  # type: ignore[misc]  # joblib is untyped
    """Reads arrays of objects with the allow-list; joblib before 1.6 calls `pickle.load` there."""

    def read_array(self, unpickler: _JoblibUnpickler, *rest: Any) -> Any:
        if not isinstance(self.dtype, unpickler.np.dtype):
            message = "an array's description names no dtype"
            raise TypeError(message)
        if not self.dtype.hasobject:
            return super().read_array(unpickler, *rest)
        return pickle_codec.Unpickler(unpickler.file_handle, unpickler.allow).load()


if not issubclass(_JoblibUnpickler, pickle._Unpickler) or not hasattr(  # noqa: SLF001
    numpy_pickle_utils, "_validate_fileobject_and_memmap"
):
    # A joblib whose reader is no longer Python's would not ask our find_class.
    package = f"a joblib that safehold knows (found {joblib.__version__})"
    raise MissingExtra(package, "joblib")
