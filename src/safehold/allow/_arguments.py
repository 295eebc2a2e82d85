"""Rules for callables that are harmless with the arguments real dumps give them, and only then.

The scanner asks these rules with arguments that it worked out without running anything: literals
are themselves; a name is any object with the attributes ``module`` and ``name``; a literal whose
value was not kept has an attribute ``kind`` ("int", "list"); the result of a call has an
attribute ``maker``. Anything else equals nothing.
"""

from __future__ import annotations

import _codecs
import functools
from collections.abc import Callable
from typing import Any

# The argument rules; a missing one means that the preset's `called` decides.
Rule = Callable[[tuple[Any, ...]], bool]

# Names under which CPython's pickler asks for latin-1; other codecs decompress or transform.
_LATIN1 = frozenset({"latin1", "latin-1"})
_SINGLETONS = (None, NotImplemented, Ellipsis)
_SINGLETON_NAMES = {
    (module, name)
    for module in ("builtins", "__builtin__")
    for name in ("NotImplemented", "Ellipsis")
}
# Histogram gradient boosting keeps `partial(check_array, ...)` for its categories.
_PARTIAL_OF = ("sklearn.utils.validation", "check_array")
_LONGEST_NUMBER = 4300  # digits; CPython's own limit for int(text)
_BIT_GENERATOR = ("numpy.random._pickle", "__bit_generator_ctor")


def any_arguments(_: tuple[Any, ...]) -> bool:
    """The rule of a callable that is harmless whatever it is given."""
    return True


def no_arguments(args: tuple[Any, ...]) -> bool:
    """The rule of a class that no dump calls with arguments."""
    return not args


def no_call(_: tuple[Any, ...]) -> bool:
    """The rule of a function that no dump calls."""
    return False


def named(value: object) -> tuple[str, str] | None:
    """Return module and qualified name of a class, a function or the scanner's stand-in."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        module, name = getattr(value, "module", None), getattr(value, "name", None)
    return (module, name) if isinstance(module, str) and isinstance(name, str) else None


def _latin1(args: tuple[Any, ...]) -> bool:
    return (
        len(args) == 2
        and isinstance(args[0], str)
        and isinstance(args[1], str)
        and args[1] in _LATIN1
    )


def _content(args: tuple[Any, ...]) -> bool:
    """``bytearray(10**11)`` is a memory bomb; real dumps give the content."""
    if len(args) == 2:
        return _latin1(args)
    return all(isinstance(arg, bytes | bytearray) or _is_encoded(arg) for arg in args)


def _is_encoded(value: object) -> bool:
    """Protocols below 3 spell bytes as a call of ``_codecs.encode``, which has its own rule."""
    return named(getattr(value, "maker", None)) == ("_codecs", "encode")


def _is_literal(value: object, *kinds: type) -> bool:
    """Whether a value is of a plain type, by itself or by what the scanner knows of it."""
    return type(value) in kinds or getattr(value, "kind", None) in {kind.__name__ for kind in kinds}


def _number(args: tuple[Any, ...]) -> bool:
    """``int(Decimal("1e99999999"))`` computes for hours; real dumps give a literal."""
    return all(
        _is_literal(arg, int, float, bool) or (isinstance(arg, str) and len(arg) <= _LONGEST_NUMBER)
        for arg in args
    )


def _fraction(args: tuple[Any, ...]) -> bool:
    """``Fraction("1e99999999")`` computes for hours; real dumps write digits and a slash."""
    if len(args) == 1 and isinstance(args[0], str):
        return _number(args) and "e" not in args[0].lower()
    return all(_is_literal(arg, int) for arg in args)


def _items(args: tuple[Any, ...]) -> bool:
    """``set(IPv4Network("0.0.0.0/0"))`` fills the memory; real dumps give a container."""
    if not args or len(args) > 2 or not _is_literal(args[0], list, tuple, dict, set, frozenset):
        return not args
    return len(args) == 1 or args[1] is None or _is_literal(args[1], int)


def _typed_items(args: tuple[Any, ...]) -> bool:
    return len(args) == 2 and isinstance(args[0], str) and _items(args[1:])


def _singleton(args: tuple[Any, ...]) -> bool:
    if len(args) != 1:
        return False
    return any(args[0] is one for one in _SINGLETONS) or named(args[0]) in _SINGLETON_NAMES


def _empty(args: tuple[Any, ...]) -> bool:
    """An array is made empty and gets its shape with its state, which is checked there."""
    return len(args) == 3 and type(args[1]) is tuple and args[1] in {(0,), (1,)}


def _scalar(args: tuple[Any, ...]) -> bool:
    """``scalar(dtype)`` alone allocates what the type says."""
    return len(args) == 2


def _masked(args: tuple[Any, ...]) -> bool:
    return len(args) == 4 and type(args[2]) is tuple and args[2] in {(0,), ()}


def _generator(args: tuple[Any, ...]) -> bool:
    """The second argument is called with the first."""
    return len(args) == 1 or (len(args) == 2 and named(args[1]) == _BIT_GENERATOR)


def _bit_generator(args: tuple[Any, ...]) -> bool:
    """Up to numpy 1.24 a name, then a class, which is called."""
    if len(args) != 1 or isinstance(args[0], str):
        return len(args) == 1
    found = named(args[0])
    return found is not None and found[0].startswith("numpy.random.")


def _partial(args: tuple[Any, ...]) -> bool:
    return len(args) == 1 and named(args[0]) == _PARTIAL_OF


RULES: dict[tuple[str, str], Rule] = {
    ("_codecs", "encode"): _latin1,
    ("builtins", "type"): _singleton,
    ("builtins", "bytes"): _content,
    ("builtins", "bytearray"): _content,
    ("builtins", "int"): _number,
    ("builtins", "float"): _number,
    ("builtins", "complex"): _number,
    ("builtins", "set"): _items,
    ("builtins", "frozenset"): _items,
    ("collections", "Counter"): _items,
    ("collections", "OrderedDict"): _items,
    ("collections", "deque"): _items,
    ("array", "array"): _typed_items,
    ("fractions", "Fraction"): _fraction,
    _BIT_GENERATOR: _bit_generator,
    ("numpy.random._pickle", "__generator_ctor"): _generator,
    ("numpy.random._pickle", "__randomstate_ctor"): _generator,
    ("functools", "partial"): _partial,
    ("numpy.core.multiarray", "_reconstruct"): _empty,
    ("numpy._core.multiarray", "_reconstruct"): _empty,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.ma.core", "_mareconstruct"): _masked,
}


def takes_keywords(module: str, qualname: str) -> bool:
    """Whether real dumps make instances of a class with keywords.

    Results of scipy's tests do: named tuples with more fields than items, whose ``__new__`` takes
    the names of these fields and no other.
    """
    return module.startswith("scipy.stats.") and qualname.endswith("Result")


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
    if not any(value is one for one in _SINGLETONS):
        message = "type() is allowed for None, NotImplemented and Ellipsis only"
        raise ValueError(message)
    return type(value)


def partial_of(*args: Any) -> functools.partial[Any]:
    """Stand in for ``functools.partial``, for the one function that models keep in it.

    Raises:
        ValueError: another function.
    """
    if not _partial(args):
        message = f"functools.partial is allowed of {'.'.join(_PARTIAL_OF)} only"
        raise ValueError(message)
    return functools.partial(args[0])


# What the unpickler gets instead of the named callable.
STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): encode_latin1,
    ("builtins", "type"): type_of,
    ("functools", "partial"): partial_of,
}
