"""Rules for callables that are harmless with the arguments real dumps give them, and only then."""

from __future__ import annotations

import _codecs
from collections.abc import Callable
from typing import Any

Rule = Callable[[tuple[Any, ...]], bool]

# Names under which CPython's pickler asks for latin-1; other codecs decompress or transform.
_LATIN1 = frozenset({"latin1", "latin-1"})
_SINGLETONS = (None, NotImplemented, Ellipsis)


def _latin1(args: tuple[Any, ...]) -> bool:
    return len(args) == 2 and isinstance(args[0], str) and _is_latin1(args[1])


def _is_latin1(name: object) -> bool:
    return isinstance(name, str) and name in _LATIN1


def _bytes(args: tuple[Any, ...]) -> bool:
    """``bytearray(10**11)`` is a memory bomb; real dumps give the content."""
    if len(args) < 2:
        return all(isinstance(arg, bytes | bytearray | memoryview) for arg in args)
    return _latin1(args)


def _singleton(args: tuple[Any, ...]) -> bool:
    return len(args) == 1 and any(args[0] is one for one in _SINGLETONS)


def _empty_array(args: tuple[Any, ...]) -> bool:
    """The array is made empty and gets its shape with its state."""
    return len(args) == 3 and args[1] == (0,) and type(args[1]) is tuple


RULES: dict[tuple[str, str], Rule] = {
    ("_codecs", "encode"): _latin1,
    ("builtins", "type"): _singleton,
    ("builtins", "bytes"): _bytes,
    ("builtins", "bytearray"): _bytes,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
}


def encode_latin1(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, for the one codec that pickles use.

    Raises:
        ValueError: another codec, or not text.
    """
    if not _latin1((text, encoding)):
        message = f"_codecs.encode is allowed with latin1 only, not {encoding!r}"
        raise ValueError(message)
    return _codecs.encode(text, "latin-1")


def type_of(value: object) -> type:
    """Stand in for ``type``, for the three singletons whose class has no importable name.

    Raises:
        ValueError: any other value.
    """
    if not _singleton((value,)):
        message = "type() is allowed for None, NotImplemented and Ellipsis only"
        raise ValueError(message)
    return type(value)


# What the unpickler gets instead of the named callable.
STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): encode_latin1,
    ("builtins", "type"): type_of,
}
