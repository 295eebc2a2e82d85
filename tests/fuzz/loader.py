"""CPython's own loaders with stand-ins for every global: what they look up, make and return.

Runs by itself under any Python from 3.11 on, as the child of the fuzzer: batches of streams come
in, a list of events for each goes out. Nothing is imported or called by name of a stream.
"""

from __future__ import annotations

import copyreg
import io
import marshal
import pickle
import resource
import struct
import sys
from typing import Any, Final

ENCODINGS: Final = ("ASCII", "latin-1", "bytes")
EXTENSIONS: Final = (1, 2, 300, 70_000)
MOST_STREAMS: Final = 3
_DEEPEST: Final = 3
# A byte of a STRING that is not ASCII: the machine keeps it as it is, a loader decodes it.
_FOLDED: Final = {0xDC00 + byte: byte for byte in range(128, 256)}
_MEMORY: Final = 4 * 2**30

_events: list[Any] = []
_persistent: list[Any] = []
_kinds: dict[tuple[str, str], type] = {}


class _Meta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        _events.append(("call", cls.__name__, shown(args)))
        return object.__new__(cls)

    def __setitem__(cls, key: Any, value: Any) -> None:
        pass


class Stub(metaclass=_Meta):
    """Takes every call, state and item, and says so."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = object.__new__(cls)
        _events.append(("new", cls.__name__, shown(args)))
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _events.append(("call", "<made>", shown(args)))
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __setstate__(*args: Any) -> None:
        _events.append(("state", shown(args[-1])))

    def append(*args: Any) -> None:
        pass

    extend = add = append


def shown(value: Any, depth: int = 0) -> Any:
    """Return a value in a form that the machine's can be compared with; None is any value."""
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return (kind.__name__,) if kind is float else ("is", str(value))
    if kind is int:
        return ("int", str(value) if value.bit_length() <= 128 else None)
    if kind is str or kind is bytes:
        return _shown_text(value)
    if kind is tuple or kind is list:
        if depth >= _DEEPEST or len(value) > 16:
            return None
        return (kind.__name__, *(shown(item, depth + 1) for item in value))
    if kind in (dict, set, frozenset, bytearray):
        return (kind.__name__,)
    if isinstance(value, _Meta):
        return ("global", value.__name__)
    return ("made",) if isinstance(value, Stub) else None


def _shown_text(value: Any) -> Any:
    # The machine has no encoding of its own for STRING, so both count as one kind.
    return (
        ("text", str(value, "latin-1") if type(value) is bytes else value)
        if (len(value) < 64 and value.isascii())
        else ("text", None)
    )


def folded(text: str) -> str:
    """Return a name as latin-1 would have it."""
    return text if text.isascii() else text.translate(_FOLDED)


def dotted(module: str, name: str) -> str:
    """Return the name of a stand-in."""
    text = folded(f"{module}.{name}").encode("ascii", "backslashreplace").decode()
    return text.replace("\0", "\\0")


def _stub(module: str, name: str) -> type:
    found = _kinds.get((module, name))
    if found is None:
        if len(_kinds) > 20_000:
            _kinds.clear()
        found = _kinds[module, name] = _Meta(dotted(module, name), (Stub,), {})
    return found


class _Parts:
    """What the C and the Python loader are given in place of globals and persistent objects."""

    def find_class(self, module: str, name: str) -> Any:
        _events.append(("find", folded(module), folded(name)))
        return _stub(module, name)

    def persistent_load(self, pid: Any) -> Any:
        _persistent.append(shown(pid))
        return object.__new__(Stub)


class CLoader(_Parts, pickle.Unpickler):
    """The one that nearly all programs use."""


class PythonLoader(_Parts, pickle._Unpickler):  # type: ignore[name-defined,misc]
    """The one that joblib builds on."""


def load(data: bytes, *, python: bool = False) -> list[tuple[Any, ...]]:
    """Return for each stream in a row: events, offset after it, what it returns, the error,
    how many persistent ids."""
    copyreg._extension_cache.clear()  # type: ignore[attr-defined]
    file: Any = io.BytesIO(data)
    if len(data) % 2 and not python:
        file = io.BufferedReader(file)  # has peek(), so the C loader reads ahead
    base = PythonLoader if python else CLoader
    loader = base(file, encoding=ENCODINGS[len(data) % 3], buffers=iter([b"ab"] * 3))
    found: list[tuple[Any, ...]] = []
    for _ in range(MOST_STREAMS):
        _events.clear()
        _persistent.clear()
        try:
            top = loader.load()
        except Exception as error:  # noqa: BLE001  hostile streams raise anything
            found.append((tuple(_events), None, None, type(error).__name__, len(_persistent)))
            break
        stop = file.tell()
        found.append((tuple(_events), stop, shown(top), "", len(_persistent)))
        if stop >= len(data):
            break
    return found


def register() -> None:
    """Give a few codes of the extension registry a name."""
    for code in EXTENSIONS:
        copyreg.add_extension("extension", str(code), code)


def serve(source: Any, target: Any) -> None:
    """Answer batches: a length, then marshalled (python, data) pairs; the same way back."""
    register()
    while head := source.read(4):
        batch = marshal.loads(source.read(struct.unpack("<I", head)[0]))  # noqa: S302  our parent
        answer = marshal.dumps([load(data, python=python) for python, data in batch], 2)
        target.write(struct.pack("<I", len(answer)) + answer)
        target.flush()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    sys.setrecursionlimit(3000)
    serve(sys.stdin.buffer, sys.stdout.buffer)
