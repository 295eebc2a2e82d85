"""Stand-ins for everything a pickle can name, and the loaders of CPython that get them.

Names come out as the loader itself maps and splits them: its own ``find_class`` runs, with an
``__import__`` that makes an empty module for it. A stub takes every use that an opcode can make
of it and does nothing but say so once.
"""

from __future__ import annotations

import _pickle
import builtins
import codecs
import copyreg
import pickle
import sys
from collections.abc import Callable
from itertools import repeat
from typing import Any, ClassVar, Final, Protocol

# The pure Python loader decodes UNICODE by this name, which is looked for in a file.
codecs.lookup("raw-unicode-escape")

# A hostile file can hold a name every few bytes; a class takes a kilobyte.
_MOST_CLASSES: Final = 10_000

_FORMS: Final = frozenset(
    ("copyreg", name) for name in ("_reconstructor", "__newobj__", "__newobj_ex__")
)
_DTYPE: Final = ("numpy", "dtype")


class Log(Protocol):
    """Where stubs say what happens to them."""

    def named(self, module: str, name: str) -> None:
        """A name was looked up."""

    def used(self, kind: str, said: tuple[str, str], args: tuple[Any, ...]) -> None:
        """A stub was called, instantiated or given a state."""


class _Meta(type):
    """Stubs are classes, since NEWOBJ takes nothing else; what they make are classes again."""

    said: tuple[str, str]
    log: Log
    made: _Meta
    # Of numpy's dtypes, the text that says how many bytes an item has.
    code: str | None

    def __call__(cls, *args: Any, **_: Any) -> Any:
        cls.log.used("called", cls.said, args)
        # What these make is of their first argument's kind, which joblib's reader must know.
        if cls.said in _FORMS and args and type(args[0]) is _Meta:
            return args[0].made
        if cls.said == _DTYPE and args and type(args[0]) is str:
            made = _Meta("Stub", (cls.made,), {})
            made.made, made.code = made, args[0]
            return made
        return cls.made

    def __setitem__(cls, key: Any, value: Any) -> None:
        """Take an item, as a dict does."""


def result(name: str) -> str:
    """Return the name of what a name makes."""
    return name + "()"


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _new(cls: _Meta, *args: Any, **_: Any) -> Any:
    cls.log.used("instantiated", cls.said, args)
    return cls.made


def _built(cls: Any, /, *args: Any) -> None:
    cls.log.used("built", cls.said, args)


class Stubs:
    """One stub per name, all with one log."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._known: dict[tuple[str, str], _Meta] = {}
        # What a persistent id stands for, and what names beyond the limit do.
        self.other = self._class(("", ""))

    def get(self, module: str, name: str) -> Any:
        """Return the stub of a name."""
        key = (module, name)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_CLASSES:
                return self.other
            found = self._known[key] = self._class(key)
        return found

    def _class(self, said: tuple[str, str]) -> _Meta:
        made = self._bare((said[0], result(said[1])))
        made.made = made
        found = self._bare(said)
        found.made = made
        return found

    def _bare(self, said: tuple[str, str]) -> _Meta:
        # The pickle's own names could be no names of classes.
        space = {
            "__new__": _new,
            "__setstate__": classmethod(_built),
            "add": _nothing,
            "append": _nothing,
            "extend": _nothing,
            "said": said,
            "code": None,
            "log": self.log,
        }
        return _Meta("Stub", (), space)


class _Path:
    """A module, or what hangs below it: remembers how it was reached."""

    __slots__ = ("_names",)

    def __init__(self, names: tuple[str, ...]) -> None:
        object.__setattr__(self, "_names", names)

    def __getattribute__(self, name: str) -> _Path:
        # Also the names that every object has.
        return _Path((*object.__getattribute__(self, "_names"), name))

    def __bool__(self) -> bool:
        return False


class _Imports:
    """Stands for ``__import__``: what a loader asks for is there, and empty, for one look-up."""

    def __init__(self) -> None:
        self.module: str | None = None
        self._kept: Any = None

    def __call__(self, name: str, *_: Any, **__: Any) -> Any:
        if self.module is not None:
            raise ImportError("a second module for one name")
        self.module = name
        self._kept = sys.modules.get(name)
        sys.modules[name] = _Path(())  # type: ignore[assignment]
        return None

    def undo(self) -> None:
        """Take the empty module away."""
        if self.module is None:
            return
        if self._kept is None:
            del sys.modules[self.module]
        else:
            sys.modules[self.module] = self._kept
        self.module = self._kept = None


IMPORTS: Final = _Imports()


def forbid_imports() -> None:
    """Let nothing be imported any more, and no code stand for a name."""
    registry: Any = copyreg
    for table in ("_extension_registry", "_inverted_registry", "_extension_cache"):
        getattr(registry, table).clear()
    builtins.__import__ = IMPORTS


def _find(look_up: Callable[[str, str], Any], stubs: Stubs, module: str, name: str) -> Any:
    try:
        found = look_up(module, name)
        names = object.__getattribute__(found, "_names")
        mapped = IMPORTS.module or ""
    except BaseException:
        # Such as a name inside a function, which the loader refuses.
        stubs.log.named(module, name)
        raise
    finally:
        IMPORTS.undo()
    dotted = ".".join(names)
    stubs.log.named(mapped, dotted)
    return stubs.get(mapped, dotted)


class Unpickler(_pickle.Unpickler):
    """The C loader, with stubs for every global and an id for every persistent one."""

    def __init__(self, file: Any, stubs: Stubs, encoding: str = "latin1") -> None:
        super().__init__(file, encoding=encoding, buffers=repeat(b""))
        self._stubs = stubs

    def find_class(self, module: str, name: str) -> Any:
        """Return the stub of a name."""
        return _find(super().find_class, self._stubs, module, name)

    def persistent_load(self, _: Any) -> Any:
        """Return the one stub that has no name."""
        return self._stubs.other


Jump = Callable[[tuple[str, str], Any], bool]


# joblib builds on the private class, which no stub describes.
_PurePython: Any = vars(pickle)["_Unpickler"]


class ArrayReader(_PurePython):  # type: ignore[misc]  # see above
    """The pure Python loader as joblib builds on it: arrays stand in the file after a BUILD.

    ``jump`` is called after each state that something made by a name was given, with both; it
    returns whether an array was read instead.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_PurePython.dispatch)

    def __init__(self, file: Any, stubs: Stubs, jump: Jump) -> None:
        super().__init__(file)
        self._stubs = stubs
        self._jump = jump

    def find_class(self, module: str, name: str) -> Any:
        """Return the stub of a name."""
        return _find(super().find_class, self._stubs, module, name)

    def load_build(self) -> None:
        """Give a state, and read an array if that is what it was for."""
        state = self.stack[-1]
        super().load_build()
        top = self.stack[-1]
        if type(top) is _Meta and self._jump(top.said, state):
            self.stack[-1] = self._stubs.other

    dispatch[ord("b")] = load_build
