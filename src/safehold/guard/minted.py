"""What this process pickled itself, known again by a keyed hash of its bytes.

CPython's hash of bytes is SipHash under a key that each process draws; where the key is not a
secret, as ``PYTHONHASHSEED`` sets it, BLAKE2b under a key of our own takes its place. A few ten
thousand of the latest are remembered: bytes that were forgotten are untrusted, no more.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, Final

_MOST: Final = 1 << 16


def _keyed() -> Callable[[bytes], Any]:
    seed = os.environ.get("PYTHONHASHSEED", "random")
    if sys.flags.hash_randomization and (seed == "random" or sys.flags.ignore_environment):
        return hash
    from _blake2 import blake2b

    key = os.urandom(32)
    return lambda data: blake2b(data, key=key, digest_size=16).digest()


_tag: Final = _keyed()
_known: Final[dict[Any, int]] = {}


def remember(data: bytes) -> None:
    """Remember bytes as of this process's own making."""
    _known[_tag(data)] = len(data)
    if len(_known) > _MOST:
        _forget()


def _forget() -> None:
    # Another thread may do the same at this moment; each forgets one or none.
    for oldest in _known:
        _known.pop(oldest, None)
        return


def is_minted(data: bytes) -> bool:
    """Say whether this process made these bytes by pickling, lately."""
    return bool(_known) and _known.get(_tag(data)) == len(data)


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


def is_minted_next(file: io.BytesIO) -> bool:
    """Say whether what a buffer holds next, to its end or for a known length, was minted."""
    start = file.tell()
    with file.getbuffer() as view:
        rest = bytes(view[start:])
    if is_minted(rest):
        return True
    return any(length < len(rest) and is_minted(rest[:length]) for length in tuple(_lengths))
