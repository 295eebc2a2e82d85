"""Symbolic values on the stack of the pickle machine.

Small literals stand for themselves (None, bool, int, str, bytes, tuple); everything else is one
of the classes here. Nothing is ever compared, hashed or printed as a whole: a few bytes of pickle
can name the same tuple a billion times.
"""

from __future__ import annotations

from typing import Any, Final

# What is read: in memory, or mapped from a file.
Data = bytes | memoryview

# A container remembers this many items: enough for argument checks and wrapper states.
KEPT_ITEMS: Final = 64


class Opaque:
    """A value of a known kind whose content was not kept."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


INTEGER: Final = Opaque("int")
FLOAT: Final = Opaque("float")
UNKNOWN: Final = Opaque("unknown")


class Blob:
    """Text or bytes left where they are in the file."""

    __slots__ = ("kind", "start", "stop")

    def __init__(self, kind: str, start: int, stop: int) -> None:
        self.kind = kind
        self.start = start
        self.stop = stop


class Global:
    """Something the pickle names.

    ``guarded``: it may be called with some arguments, and do nothing else (``getattr``).
    """

    __slots__ = ("guarded", "module", "name", "protocol")

    def __init__(self, module: str, name: str, protocol: int, *, guarded: bool = False) -> None:
        self.module = module
        self.name = name
        self.protocol = protocol
        self.guarded = guarded

    @property
    def dotted(self) -> str:
        """Module and name, as findings show them."""
        return f"{self.module}.{self.name}"


class Made:
    """The result of calling or instantiating ``maker``; ``state`` is what BUILD gave it last.

    ``keyed``: it was given items with keys.
    """

    __slots__ = ("args", "built", "keyed", "maker", "state")

    def __init__(self, maker: Any, args: Any) -> None:
        self.maker = maker
        self.args = args
        self.state: Any = None
        self.built = 0
        self.keyed = False


class Box:
    """A list, dict, set or frozenset made by opcodes."""

    __slots__ = ("fixed", "items", "kind", "odd", "whole")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.items: list[Any] | dict[str, Any] | None = None
        # False once an item was left out.
        self.whole = True
        # Whether a key, kept or not, is a special name or is made while loading.
        self.odd = False
        # Whether something that was checked holds on to it, so that it must not change.
        self.fixed = False

    def append(self, item: Any) -> None:
        """Add an item of a list or set, unless there are enough."""
        if self.items is None:
            self.items = []
        if isinstance(self.items, list) and len(self.items) < KEPT_ITEMS:
            self.items.append(item)
        else:
            self.whole = False

    def put(self, key: Any, value: Any) -> None:
        """Set an item of a dict; only text keys are kept."""
        if not self.odd:
            self.odd = is_odd_key(key)
        if self.items is None:
            self.items = {}
        if (
            type(key) is str
            and isinstance(self.items, dict)
            and (len(self.items) < KEPT_ITEMS or key in self.items)
        ):
            self.items[key] = value
        else:
            self.whole = False

    def get(self, key: str) -> Any:
        """Return what a dict holds under a text key, or None."""
        return self.items.get(key) if isinstance(self.items, dict) else None


def is_odd_key(key: Any) -> bool:
    """Whether a key is a name such as ``__setstate__``, or may turn out to be one."""
    if type(key) is str:
        return key.startswith("__") and key.endswith("__")
    return isinstance(key, Made | Opaque) and key is not INTEGER and key is not FLOAT


class Run:
    """Several literals in a row, left unparsed until one of them is needed."""

    __slots__ = ("start", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop


_SHOWN = 160
_SHOWN_DEPTH = 4


def show(value: Any, depth: int = 0) -> str:
    """Return a short text for evidence; bounded in length and depth."""
    if isinstance(value, Global):
        return value.dotted
    if isinstance(value, Made):
        return call_text(value.maker, value.args, depth)
    if isinstance(value, Opaque | Blob):
        return f"<{value.kind}>"
    if isinstance(value, Box):
        return _show_box(value, depth)
    if isinstance(value, tuple):
        return _show_tuple(value, depth)
    if isinstance(value, str | bytes):
        return repr(value[:80])
    if isinstance(value, int) and value.bit_length() > 128:
        return "<int>"
    return repr(value) if value is None or isinstance(value, int | float) else "<...>"


def call_text(maker: Any, args: Any, depth: int = 0) -> str:
    """Return ``module.name(arguments)``, shortened."""
    if depth >= _SHOWN_DEPTH:
        return "<...>"
    if isinstance(args, tuple):
        inner = ", ".join(show(arg, depth + 1) for arg in args[:4])
    else:
        inner = "*" + show(args, depth + 1)
    return f"{show(maker, depth + 1)}({inner})"[:_SHOWN]


def _show_tuple(value: tuple[Any, ...], depth: int) -> str:
    if depth >= _SHOWN_DEPTH:
        return "<...>"
    return ("(" + ", ".join(show(item, depth + 1) for item in value[:4]) + ")")[:_SHOWN]


def _show_box(value: Box, depth: int) -> str:
    if depth >= _SHOWN_DEPTH or not value.items:
        return f"<{value.kind}>"
    if isinstance(value.items, dict):
        pairs = list(value.items.items())[:4]
        inner = ", ".join(f"{key[:40]!r}: {show(item, depth + 1)}" for key, item in pairs)
        return ("{" + inner + "}")[:_SHOWN]
    return ("[" + ", ".join(show(item, depth + 1) for item in value.items[:4]) + "]")[:_SHOWN]


# Nested deeper or wider than this, an argument is passed on as unknown.
_GIVEN_DEPTH = 3


def argument(value: Any, depth: int = 0) -> Any:
    """Return a value as the allow list's argument checks expect it: plain where it is known."""
    if isinstance(value, Blob):
        return "" if value.kind in {"str", "text"} else b""
    if isinstance(value, tuple):
        if depth >= _GIVEN_DEPTH or len(value) > KEPT_ITEMS:
            return UNKNOWN
        return tuple(argument(item, depth + 1) for item in value)
    if value is INTEGER or value is FLOAT:
        return 0 if value is INTEGER else 0.0
    if isinstance(value, Made) and _is_encoded(value):
        return b""
    return value


def _is_encoded(value: Made) -> bool:
    """Whether this is how protocols below 3 spell bytes; the call itself is judged elsewhere."""
    maker = value.maker
    return isinstance(maker, Global) and (maker.module, maker.name) == ("_codecs", "encode")


def weighs_more(value: Any, most: int) -> bool:
    """Whether hashing a tuple would visit more than ``most`` items; shared ones count each time."""
    seen = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        seen += 1
        if seen > most:
            return True
        if type(item) is tuple:
            if len(item) > most:
                return True
            waiting.extend(item)
    return False
