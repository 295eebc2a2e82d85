"""The `npz` codec: named NumPy arrays in a zip archive, as `numpy.savez` writes them.

What the members unpack to is bounded before the first is unpacked: by the policy's limits,
and by what the directory says, since a member that unpacks to more than it says is cut there
and fails its checksum.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from safehold.artifacts.codecs import Encoded, Reading
from safehold.artifacts.codecs import npy as npy_codec
from safehold.errors import DecodeError, EncodeError, LimitExceeded

_SUFFIX = ".npy"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_INVALID = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError,
            RuntimeError, LookupError, OverflowError)  # fmt: skip


def encode(value: object, depth: int) -> Encoded:  # noqa: ARG001  (arrays have no depth)
    """Encode a dict of text to array. Raises EncodeError naming the key."""
    return packed(value, zipfile.ZIP_STORED)


def packed(value: object, method: int) -> Encoded:
    """Encode with a method of `zipfile`. Raises EncodeError."""
    if type(value) is not dict:
        message = f"npz holds a dict of arrays, not a {type(value).__qualname__}"
        raise EncodeError(message)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, array in value.items():
            _add(archive, name, array)
    return Encoded([out.getbuffer()], npy_codec.LIBS)


def _add(archive: zipfile.ZipFile, name: Any, array: object) -> None:
    if type(name) is not str or not _is_plain(name):
        message = f"npz cannot hold the key {name!r}"[:200]
        raise EncodeError(message)
    try:
        pieces = npy_codec.pieces(array)
    except EncodeError as error:
        message = f"value[{name!r}]: {error}"
        raise EncodeError(message) from error
    with archive.open(name + _SUFFIX, "w", force_zip64=True) as member:
        for piece in pieces:
            member.write(piece)


def _is_plain(name: str) -> bool:
    """Say whether a zip directory gives the name back as it is."""
    try:
        long = len(name.encode()) > 60_000
    except UnicodeEncodeError:
        return False
    return not long and "\0" not in name and "\\" not in name


def decode(segments: Sequence[memoryview], reading: Reading) -> object:
    """Return the dict of arrays. Raises DecodeError, LimitExceeded."""
    return dict(Archive(segments[0], reading).items())


class Archive(Mapping[str, Any]):
    """The arrays of verified bytes by name, each unpacked when it is asked for."""

    def __init__(self, data: memoryview, reading: Reading) -> None:
        """Read and check the directory. Raises DecodeError, LimitExceeded."""
        self._reading = reading
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _INVALID as error:
            message = f"not a zip archive: {error}"
            raise DecodeError(message) from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename.removesuffix(_SUFFIX)
            strange = info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED
            if strange or name == info.filename or name in self._members:
                message = f"the member {info.filename[:80]!r} is not an array of its own"
                raise DecodeError(message)
            self._members[name] = info
        self._check_limits(len(data))

    def _check_limits(self, size: int) -> None:
        limits = self._reading.limits
        if len(self._members) > limits.members:
            message = f"the archive has {len(self._members)} members, the limit is {limits.members}"
            raise LimitExceeded(message)
        whole = sum(info.file_size for info in self._members.values())
        most = self._reading.budget(size)
        if whole > most:
            message = f"the archive unpacks to {whole} bytes, the limit for it is {most}"
            raise LimitExceeded(message)

    def __getitem__(self, name: str) -> Any:
        """Unpack and decode one array. Raises KeyError, DecodeError."""
        info = self._members[name]
        try:
            with self._zip.open(info) as member:
                # With a size: `read()` would unpack all there is before it cuts.
                data = bytearray(member.read(info.file_size))
        except _INVALID as error:
            message = f"the member {info.filename[:80]!r} cannot be unpacked: {error}"
            raise DecodeError(message) from error
        return npy_codec.decode([memoryview(data)], self._reading)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)
