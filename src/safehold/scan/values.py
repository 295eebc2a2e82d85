"""Symbolic values on the stack of the pickle machine.

Small literals stand for themselves (None, bool, int, str, bytes, tuple); everything else is one
of the classes here. Nothing is ever compared, hashed or printed as a whole: a few bytes of pickle
can name the same tuple a billion times.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from safehold.scan.budget import Budget
from safehold.scan.runs import Patterns

# What is read: in memory, or mapped from a file.
Data = bytes | memoryview

# A container remembers this many items: enough for argument checks and wrapper states.
KEPT_ITEMS: Final = 64
# Items of a dict may wait so long for a run before them to be read.
_MOST_WAITING: Final = 1000


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


class Reader(Protocol):
    """What reads runs: the machine that made them."""

    data: Data
    budget: Budget

    def ended(self, why: str, /) -> object:
        """Note that a limit ended the reading."""

    def unfold(self, run: Run, /) -> None:
        """Set the values of a run, after those before it that the memo depends on."""

    def replay(self, run: Run, /) -> None:
        """Set the values of a run."""


class Run:
    """Several values in a row, left unparsed until one of them is needed; see runs.py.

    ``pairs``: they are an even number, and none of the first of two is a tuple. ``owner`` is
    the box that they were put into.
    """

    __slots__ = ("forms", "owner", "pairs", "reader", "start", "stop", "unset", "values")

    def __init__(
        self, reader: Reader, forms: Patterns, start: int, stop: int, *, pairs: bool
    ) -> None:
        self.reader = reader
        self.forms = forms
        self.start = start
        self.stop = stop
        self.pairs = pairs
        self.owner: Box | None = None
        # Indexes that it does not set, as far as that was looked at.
        self.unset: set[int] = set()
        self.values: list[Any] | None = None

    def unfolded(self) -> list[Any]:
        """Return the values, read now if they were not before."""
        if self.values is None:
            self.reader.unfold(self)
        return self.values or []


class Box:
    """A list, dict, set or frozenset made by opcodes."""

    __slots__ = ("_items", "_odd", "_waiting", "_whole", "fixed", "kind")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: list[Any] | dict[str, Any] | None = None
        self._whole = True
        self._odd = False
        # Whether something that was checked holds on to it, so that it must not change.
        self.fixed = False
        # What was added since a run that is still unread, in order; keys and values in turn.
        self._waiting: list[Any] | None = None

    @property
    def items(self) -> list[Any] | dict[str, Any] | None:
        """The first items of a list or set, the values of the first text keys of a dict."""
        self._settle_all()
        return self._items

    @property
    def whole(self) -> bool:
        """False once an item was left out."""
        self._settle_all()
        return self._whole

    @property
    def odd(self) -> bool:
        """Whether a key, kept or not, is a special name or is made while loading."""
        self._settle_all()
        return self._odd

    def get(self, key: str) -> Any:
        """Return what a dict holds under a text key, or None."""
        return self.items.get(key) if isinstance(self.items, dict) else None

    def add(self, items: list[Any]) -> None:
        """Add items of a list or set; keys and values in turn of a dict."""
        if not self._waiting and Run not in map(type, items):
            self._add_now(items)
            return
        if self.kind != "dict":
            # Each is one item at least, so that whatever comes later is left out.
            items = items[: KEPT_ITEMS + 1 - len(self._waiting or ())]
        for item in items:
            if type(item) is Run:
                item.owner = self
        self._waiting = self._waiting or []
        self._waiting += items
        self.settle()
        if self._waiting and len(self._waiting) > _MOST_WAITING:
            self._settle_all()

    def keep(self, items: list[Any]) -> None:
        """Add items as they are, none of them a run, and look at them when they are asked for."""
        if self._waiting is None:
            self._waiting = items
        else:
            self._waiting += items

    def settle(self) -> None:
        """Take what was waiting for a run, up to the next one that is unread."""
        waiting = self._waiting or []
        ready: list[Any] = []
        taken = 0
        for item in waiting:
            if type(item) is not Run:
                ready.append(item)
            elif item.values is None:
                break
            else:
                ready += item.values
            taken += 1
        self._waiting = waiting[taken:] or None
        if ready:
            self._add_now(ready)

    def _settle_all(self) -> None:
        if self._waiting:
            for item in self._waiting.copy():
                if type(item) is Run:
                    item.unfolded()
            self.settle()

    def _add_now(self, items: list[Any]) -> None:
        if self.kind == "dict":
            for place in range(0, len(items), 2):
                self._put(items[place], items[place + 1])
            return
        if self._items is None:
            self._items = []
        if isinstance(self._items, list):
            room = KEPT_ITEMS - len(self._items)
            self._items += items[:room]
            if len(items) > room:
                self._whole = False

    def _put(self, key: Any, value: Any) -> None:
        if not self._odd:
            self._odd = is_odd_key(key)
        if self._items is None:
            self._items = {}
        if (
            type(key) is str
            and isinstance(self._items, dict)
            and (len(self._items) < KEPT_ITEMS or key in self._items)
        ):
            self._items[key] = value
        else:
            self._whole = False


def is_odd_key(key: Any) -> bool:
    """Whether a key is a name such as ``__setstate__``, or may turn out to be one."""
    if type(key) is str:
        return key.startswith("__") and key.endswith("__")
    return isinstance(key, Made | Opaque) and key is not INTEGER and key is not FLOAT


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
_AS_THEY_ARE = frozenset({int, str, bytes, bool, type(None), Global, Box})


def argument(value: Any, depth: int = 0) -> Any:
    """Return a value as the allow list's argument checks expect it: plain where it is known."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is tuple:
        if depth >= _GIVEN_DEPTH or len(value) > KEPT_ITEMS:
            return UNKNOWN
        return tuple([argument(item, depth + 1) for item in value])
    if kind is Blob:
        return "" if value.kind in {"str", "text"} else b""
    if value is INTEGER or value is FLOAT:
        return 0 if value is INTEGER else 0.0
    if kind is Made and _is_encoded(value):
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
