"""The unpickler types: of C, of Python, and the classes that derive from them.

While one loads, the object is of a class of ours, which answers the loader's questions for
``find_class`` and ``persistent_load`` with a judge around what the program has there at that
moment. The Python unpickler also judges what is called, at each opcode that calls.
"""

from __future__ import annotations

import _pickle
import gc
import io
import sys

from safehold.guard import channels, entries, files, minted
from safehold.guard.entries import caller, under, under_message
from safehold.guard.grants import (
    CHANNEL,
    HANDED,
    MINTED,
    OWN,
    UNTRUSTED,
    VERIFIED,
    Grant,
    live_grant,
)
from safehold.guard.native import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType, ModuleType
    from typing import Any, Final

TYPE: Final = _pickle.Unpickler
_LOAD: Final = TYPE.load
_own_of_type: dict[str, Any] = gc.get_referents(TYPE.__dict__)[0]
# Up to 3.12 the loader takes it when it is made; later it is an attribute that it asks for.
PERSISTENT: Final = _own_of_type.get("persistent_load") if sys.version_info < (3, 13) else None
_MEMO: Final = _own_of_type["memo"]
_CLASS: Final = object.__dict__["__class__"]
_judging: Any = {}


def current(frame: FrameType | None) -> Grant:
    """Return the grant that applies to what is named or called now."""
    outer = live_grant()
    if outer is not None and outer is not OWN:
        return outer
    return CHANNEL if channels.is_channel(frame) else UNTRUSTED


def _judge_find(original: Any) -> Callable[[Any, Any], Any]:
    def find_class(module: Any, name: Any, /) -> Any:
        found = original(module, name)
        frame = caller(1)
        grant = current(frame)
        entries.gate.check_object(found, module, name, grant, frame)
        return instead(found) if grant is MINTED else found

    return find_class


def instead(found: Any) -> Any:
    """Return the stand-in for what reaches attributes by name, see reaching; else the thing."""
    if getattr(found, "__module__", None) not in _REACHING:
        return found
    from safehold.guard.reaching import stand_in

    return stand_in(found)


_REACHING: Final = ("builtins", "operator", "_operator", "dill._dill")


def load_minted(file: Any, options: dict[str, Any]) -> Any:
    """Load bytes of this process's own making that reach attributes by name."""
    found = load_judged(entries.Unpickler(file, **options), _LOAD, MINTED)
    if live_grant() not in (None, OWN):  # the load that this one is a part of may call it
        return found
    reaching = sys.modules.get("safehold.guard.reaching")
    return found if reaching is None else reaching.given_out(found)


def _judge_persistent(original: Any) -> Callable[[Any], Any]:
    def persistent_load(pid: Any, /) -> Any:
        found = original(pid)
        if callable(found):
            frame = caller(1)
            entries.gate.check_object(found, None, None, current(frame), frame)
        return found

    return persistent_load


_FUNCTION: Any = type(caller)
JUDGES: Final = {"find_class": _judge_find, "persistent_load": _judge_persistent}


def _judging_class(kind: type) -> type:
    """Return a class like `kind` that answers with judges; made once."""
    global _judging  # noqa: PLW0603  (weak only once there is something in it)
    if not _judging:
        from weakref import WeakKeyDictionary

        _judging = WeakKeyDictionary()
    known: type | None = _judging.get(kind)
    if known is None:
        ask: Any = kind.__getattribute__

        def __getattribute__(self: Any, name: str) -> Any:  # noqa: N807
            found = ask(self, name)
            judge = JUDGES.get(name)
            return found if judge is None else judge(found)

        space = {"__slots__": (), "__getattribute__": __getattribute__,
                 "__module__": kind.__module__, "__qualname__": kind.__qualname__,
                 "safehold_judges": True}  # fmt: skip
        known = type.__new__(type(kind), kind.__name__, (kind,), space)
        _judging[kind] = known
    return known


def judge_persistent_of(unpickler: Any) -> None:
    """Judge what an unpickler's ``persistent_load`` returns, where it has taken that already."""
    held: Any = PERSISTENT
    try:
        persistent = held.__get__(unpickler)
    except AttributeError:
        return
    held.__set__(unpickler, _judge_persistent(persistent))


def load_judged(unpickler: Any, load: Callable[[Any], Any], grant: Grant) -> Any:
    """Load with a grant held, and with judges around what the program has in the loader."""
    kind = type(unpickler)
    if grant is CHANNEL:
        return under_message(_message_of(unpickler), load, unpickler)
    if kind is TYPE or grant.unrestricted or "safehold_judges" in kind.__dict__:
        return under(grant, load, unpickler)
    if PERSISTENT is not None and isinstance(unpickler, TYPE):
        judge_persistent_of(unpickler)
    try:
        judging = _judging_class(kind)
    except Exception as error:  # what cannot be judged is not loaded
        name = f"{kind.__module__}.{kind.__qualname__}"
        entries.gate.refuse_undecided(error, grant, caller(1), name)
        raise
    _CLASS.__set__(unpickler, judging)
    try:
        return under(grant, load, unpickler)
    finally:
        _CLASS.__set__(unpickler, kind)


def _message_of(unpickler: Any) -> bytes:
    """Return the bytes of the message that an unpickler reads; of a stream, they are not known."""
    file = getattr(unpickler, "__dict__", {}).get("_safehold_file")
    return minted.rest_of(file) if type(file) is io.BytesIO else b""


def _load_of_type(self: Any) -> Any:
    """Take the place of ``_pickle.Unpickler.load``: also of its subclasses and of captured ones."""
    outer = live_grant()
    if outer is HANDED or (outer is not None and _asks_allow_list(self, outer)):
        return _LOAD(self)
    frame = caller(1)
    file = getattr(self, "__dict__", {}).get("_safehold_file")
    if file is None:
        # Made before the guard was on, or past its class: it may remember what nobody judged.
        _judge_memo(_MEMO.__get__(self).copy().values())
        grant = CHANNEL if channels.is_channel(frame) else UNTRUSTED
        entries.gate.check_strict(grant, frame)
    elif files.is_verified_next(entries.gate, file):
        return files.load_sealed(entries.gate, file, {})
    else:
        grant = entries.grant_of_file(file, frame)
    return load_judged(self, _LOAD, grant)


def _asks_allow_list(unpickler: Any, outer: Grant) -> bool:
    """Say whether this is an unpickler of verified artifacts, which asks the zone's allow-list."""
    return outer is VERIFIED and getattr(type(unpickler), "asks_allow_list", False)


def _set_memo(self: Any, memo: Any) -> None:
    _judge_memo(memo.values() if isinstance(memo, dict) else memo.copy().values())
    _MEMO.__set__(self, memo)


def _judge_memo(values: Iterable[Any]) -> None:
    frame = caller(2)
    for value in list(values):
        if isinstance(value, tuple) and len(value) == 2:
            value = value[1]  # noqa: PLW2901  (as the proxy of another unpickler has them)
        if callable(value):
            entries.gate.check_object(value, None, None, current(frame), frame)


def _new_subclass(cls: Any, /, **options: Any) -> None:
    """Judge what a new subclass's own ``find_class`` returns, whoever calls which ``load``."""
    judge_own(cls)
    super(TYPE, cls).__init_subclass__(**options)


def judge_own(cls: type) -> None:
    """Judge what a class's own ``find_class`` returns."""
    original: Any = cls.__dict__.get("find_class")
    if type(original) is not _FUNCTION or hasattr(original, "safehold"):
        return

    def find_class(self: Any, module: Any, name: Any) -> Any:
        found = original(self, module, name)
        frame = caller(1)
        grant = current(frame)
        if not _asks_allow_list(self, grant):
            entries.gate.check_object(found, module, name, grant, frame)
        return found

    find_class.safehold = original  # type: ignore[attr-defined]
    find_class.__doc__ = original.__doc__
    cls.find_class = find_class  # type: ignore[attr-defined]


def below(kind: type) -> list[type]:
    """Return the classes that derive from one."""
    found: list[type] = []
    waiting = [kind]
    while waiting:
        below: list[type] = type.__subclasses__(waiting.pop())
        found += below
        waiting += below
    return found


def install() -> None:
    """Change the C type and the classes that derive from it."""
    _own_of_type["load"] = _load_of_type
    _own_of_type["memo"] = property(_MEMO.__get__, _set_memo)
    _own_of_type["__init_subclass__"] = classmethod(_new_subclass)
    forget_lookups(TYPE)
    if TYPE.load is not _load_of_type:
        message = "the entry point of _pickle.Unpickler could not be replaced"
        raise RuntimeError(message)
    for kind in below(TYPE):
        judge_own(kind)


def forget_lookups(kind: type) -> None:
    """Make the interpreter look the attributes of a type up anew."""
    if native is not None:
        native.type_modified(kind)
        return
    if "loads" not in vars(sys.modules.get("pickle", sys)):
        sys._clear_type_cache()  # noqa: SLF001  (no code has been specialised for it yet)
        return
    try:
        import ctypes

        ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
    except (ImportError, AttributeError):
        sys._clear_type_cache()  # noqa: SLF001


# The unpickler in Python

# Opcode -> where what it calls or changes is on the stack.
_REDUCE, _NEWOBJ, _NEWOBJ_EX, _OBJ, _BUILD = b"R\x81\x92ob"
_CALLS: Final = {_REDUCE: -2, _NEWOBJ: -2, _NEWOBJ_EX: -3, _OBJ: 0, _BUILD: -2}


def adapt(module: Any) -> None:
    """Replace the entry points of `pickle`, or of a module that is a copy of it."""
    kind = module._Unpickler  # noqa: SLF001
    if not hasattr(kind.load, "safehold"):
        kind.load = _python_load(_set_aside(kind.load))
        for code, position in _CALLS.items():
            if code not in kind.dispatch:
                continue  # of a later protocol than the copy knows
            kind.dispatch[code] = _judged_call(kind.dispatch[code], position)
    pickler = module._Pickler  # noqa: SLF001
    if not hasattr(pickler.dump, "safehold"):
        pickler.dump = _python_dump(pickler.dump)


def _set_aside(load: Any) -> Any:
    """Return another function with the code of one, which now calls the method of its name.

    The program may have taken it, together with a table of opcodes that nobody has changed.
    """
    aside = type(load)(load.__code__, load.__globals__, load.__name__, load.__defaults__,
                       load.__closure__)  # fmt: skip
    aside.__qualname__, aside.__doc__ = load.__qualname__, load.__doc__
    load.__code__ = _again.__code__
    return aside


def _again(self: Any) -> Any:
    return _Unpickler.load(self)  # type: ignore[name-defined]  # noqa: F821  (of that module)


def _judged_call(original: Any, position: int) -> Any:
    def judged(self: Any) -> None:
        grant = live_grant()
        if grant is None or not (grant.unrestricted or _asks_allow_list(self, grant)):
            frame = caller(1)
            grant = current(frame)
            if not grant.unrestricted:
                _judge_call(self, position, grant, frame)
        original(self)

    judged.safehold = original  # type: ignore[attr-defined]
    return judged


def _judge_call(unpickler: Any, position: int, grant: Grant, frame: FrameType | None) -> None:
    stack = unpickler.stack
    if len(stack) > (position if position >= 0 else ~position):
        target = stack[position]
        if callable(target):
            entries.gate.check_object(target, None, None, grant, frame)


def _python_load(original: Any) -> Any:
    def load(self: Any) -> Any:
        outer = live_grant()
        if outer is HANDED or (outer is not None and _asks_allow_list(self, outer)):
            return original(self)
        frame = caller(1)
        file = getattr(getattr(self, "_file_read", None), "__self__", None)
        if file is None:
            grant = CHANNEL if channels.is_channel(frame) else UNTRUSTED
            entries.gate.check_strict(grant, frame)
        elif files.is_verified_next(entries.gate, file):
            return files.load_sealed(entries.gate, file, {})
        else:
            grant = entries.grant_of_file(file, frame)
        return _with_judged_dispatch(self, original, grant)

    load.safehold = original  # type: ignore[attr-defined]
    return load


def _with_judged_dispatch(unpickler: Any, original: Any, grant: Grant) -> Any:
    """Load with the dispatch table of a subclass judged as well."""
    table = unpickler.dispatch
    judged = {
        code: _judged_call(table[code], position)
        for code, position in _CALLS.items()
        if code in table and not hasattr(table[code], "safehold")
    }
    if not judged:
        return load_judged(unpickler, original, grant)
    space = vars(unpickler)
    before = space.get("dispatch", table)
    space["dispatch"] = {**table, **judged}
    try:
        return load_judged(unpickler, original, grant)
    finally:
        if before is table:
            space.pop("dispatch", None)
        else:
            space["dispatch"] = before


def _python_dump(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def dump(self: Any, obj: Any) -> None:
        file = getattr(getattr(self, "_file_write", None), "__self__", None)
        entries.dump_to(file, caller(1), lambda: original(self, obj), None, obj)

    dump.safehold = original  # type: ignore[attr-defined]
    return dump


def adapt_pickle(module: ModuleType) -> None:
    """Replace the entry points of the module `pickle`."""
    entries.replace_in(module)
    adapt(module)
