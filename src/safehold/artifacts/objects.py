"""NumPy's files with arrays of objects, which hold pickles: what `numpy.save` and `savez` write."""

from __future__ import annotations

from typing import Any

from safehold.artifacts.codecs import Buffer, Reading
from safehold.artifacts.codecs import pickle as pickle_codec
from safehold.artifacts.codecs.members import Members
from safehold.errors import DecodeError

_MAGIC = b"\x93NUMPY"
_SUFFIX = ".npy"
_HEAD = 12  # magic, version and the length of the header


def pickle_in_array(data: Buffer) -> memoryview:
    """Return the pickle that a npy file of objects is behind its header; empty if it is none.

    NumPy's format: magic, version, length of the header, header, and then a pickle of the array.
    """
    view = memoryview(data)
    head = bytes(view[:_HEAD])
    size = 2 if head[6:7] == b"\x01" else 4
    start = 8 + size + int.from_bytes(head[8 : 8 + size], "little")
    is_of_objects = head.startswith(_MAGIC) and b"|O" in bytes(view[8 + size : start])
    return view[start:] if is_of_objects else view[:0]


def decode_archive(data: Buffer, reading: Reading) -> dict[str, Any]:
    """Return the arrays of an npz file, those of objects loaded with the allow-list.

    Raises:
        DecodeError, LimitExceeded, TypeNotAllowed, MissingExtra
    """
    from safehold.artifacts.codecs import npy  # needs NumPy

    members = Members(memoryview(data), reading)
    arrays = {}
    for member in members.infos:
        if not member.endswith(_SUFFIX):
            message = f"the member {member[:80]!r} is not an array of its own"
            raise DecodeError(message)
        content = members.read(member)
        stream = pickle_in_array(content)
        arrays[member.removesuffix(_SUFFIX)] = (
            pickle_codec.decode([stream], reading)
            if stream
            else npy.decode([memoryview(content)], reading)
        )
    return arrays
