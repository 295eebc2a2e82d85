"""The `npz` codec: named NumPy arrays in a zip archive, as `numpy.savez` writes them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from safehold.artifacts.codecs import Encoded, Reading
from safehold.artifacts.codecs import npy as npy_codec
from safehold.artifacts.codecs.members import Members
from safehold.errors import DecodeError, EncodeError

_SUFFIX = ".npy"


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
        self._members = Members(data, reading)
        self._names: dict[str, str] = {}
        for member in self._members.infos:
            name = member.removesuffix(_SUFFIX)
            if name == member:
                message = f"the member {member[:80]!r} is not an array of its own"
                raise DecodeError(message)
            self._names[name] = member

    def __getitem__(self, name: str) -> Any:
        """Unpack and decode one array. Raises KeyError, DecodeError."""
        data = self._members.read(self._names[name])
        return npy_codec.decode([memoryview(data)], self._reading)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
