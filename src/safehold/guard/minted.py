"""What this process pickled itself, known again by a keyed hash of its bytes.

CPython's hash of bytes is SipHash under a key that each process draws; where the key is not a
secret, as ``PYTHONHASHSEED`` sets it, BLAKE2b under a key of our own takes its place. A few ten
thousand of the latest are remembered: bytes that were forgotten are untrusted, no more.
"""

from __future__ import annotations

import io
import os
import sys

from safehold.guard.native import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

MOST: Final = 1 << 16


def _keyed() -> Callable[[bytes], Any]:
    seed = os.environ.get("PYTHONHASHSEED", "random")
    if sys.flags.hash_randomization and (seed == "random" or sys.flags.ignore_environment):
        return hash
    from _blake2 import blake2b

    key = os.urandom(32)
    return lambda data: blake2b(data, key=key, digest_size=16).digest()


tag: Final = _keyed()
in_c: Final = native is not None and tag is hash
known: Final[Any] = native.Tags(MOST) if in_c else {}
"""Tag -> 0; once the bytes were looked at, 1, or -1 if they reach attributes by name.

A dictionary, or the same in C, which forgets by itself.
"""


def remember(data: bytes) -> None:
    """Remember bytes as of this process's own making."""
    key = tag(data)
    if key not in known:
        known[key] = 0
    if len(known) > MOST:
        forget()


def forget() -> None:
    """Forget the oldest."""
    # Another thread may do the same at this moment; each forgets one or none.
    for oldest in known:
        known.pop(oldest, None)
        return


_REACHING: Final = (
    b"getattr", b"setattr", b"delattr", b"attrgetter", b"methodcaller", b"_import_module",
    b"_get_attr",
)  # fmt: skip


def reaches(data: bytes) -> bool:
    """Say whether a pickle may name what reaches attributes by name, see reaching."""
    return any(name in data for name in _REACHING)


def look_at(data: bytes, key: Any) -> bool:
    """As reaches, and remember the answer for bytes of this tag."""
    found = reaches(data)
    known[key] = -1 if found else 1
    return found


def is_minted(data: bytes) -> bool:
    """Say whether this process made these bytes by pickling, lately."""
    return len(known) > 0 and tag(data) in known


def remember_written(file: io.BytesIO, start: int) -> None:
    """Remember what was pickled into a buffer from an offset to where it stands now."""
    with file.getbuffer() as view:
        remember(bytes(view[start : file.tell()]))
        if start or file.tell() < len(view):
            _lengths[file.tell() - start] = None
    while len(_lengths) > _MOST_LENGTHS:
        _lengths.pop(next(iter(_lengths)), None)


_lengths: Final[dict[int, None]] = {}
_MOST_LENGTHS: Final = 64


def rest_of(file: io.BytesIO) -> bytes:
    """Return what a buffer holds from where it stands."""
    with file.getbuffer() as view:
        return bytes(view[file.tell() :])


def is_minted_next(file: io.BytesIO) -> bool:
    """Say whether what a buffer holds next, to its end or for a known length, was minted."""
    rest = rest_of(file)
    if is_minted(rest):
        return True
    return any(length < len(rest) and is_minted(rest[:length]) for length in tuple(_lengths))


# Pickles within what came through a channel: tasks that a library pickles apart and loads later.
relayed: Final[dict[Any, None]] = {}
_STARTS: Final = (b"\x80\x04\x95", b"\x80\x05\x95", b"\x80\x02", b"\x80\x03")
_SIZES: Final = ((b"B", 4), (b"\x8e", 8), (b"C", 1), (b"\x96", 8))


def relay(data: bytes) -> None:
    """Remember the pickles that a message of a channel has within its byte strings."""
    for start in _STARTS:
        at = data.find(start, 1)
        while at > 0:
            inner = _bytes_at(data, at)
            if inner:
                relayed[tag(inner)] = None
            at = data.find(start, at + 1)
    while len(relayed) > MOST:
        relayed.pop(next(iter(relayed)), None)


def _bytes_at(data: bytes, at: int) -> bytes:
    """Return the byte string of the message that begins at an offset, if one does."""
    for opcode, width in _SIZES:
        head = at - width
        if head > 0 and data[head - 1 : head] == opcode:
            size = int.from_bytes(data[head:at], "little")
            if 0 < size <= len(data) - at:
                return data[at : at + size]
    return b""


def is_relayed(data: bytes) -> bool:
    """Say whether the bytes came as a part of a message of a channel."""
    return bool(relayed) and tag(data) in relayed
