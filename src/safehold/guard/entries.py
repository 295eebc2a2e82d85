"""The entry points of `pickle`: every way in that CPython has, of both its unpicklers.

Module attributes are replaced; the C type's own ``load`` is, too, so that a subclass or a
reference from before is seen; what is left, `_pickle.loads` taken from the module before the guard
was on, is left to the audit hook alone.
"""

from __future__ import annotations

import _pickle
import copyreg
import gc
import io
import sys
from _thread import get_ident
from collections.abc import Callable, Iterable
from types import FrameType, ModuleType
from typing import Any, Final

from safehold.guard import channels, containment, files, minted
from safehold.guard.gate import Gate
from safehold.guard.grants import CHANNEL, MINTED, UNTRUSTED, VERIFIED, Grant, live
from safehold.magic import MAGIC

_RAW_TYPE: Final = _pickle.Unpickler
_RAW_LOAD: Final = _RAW_TYPE.load
_RAW_FIND: Final = _RAW_TYPE.find_class
_raw_load: Final = _pickle.load
_raw_loads: Final = _pickle.loads
_raw_dump: Final = _pickle.dump
_raw_dumps: Final = _pickle.dumps
_frame: Final = sys._getframe  # noqa: SLF001
# The dictionary that the C loader looks into; Python code gets another one.
_C_CACHE: Final[dict[int, Any]] = copyreg._extension_cache  # type: ignore[attr-defined]  # noqa: SLF001

_gate: Gate


def under(grant: Grant, load: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a loader with a grant held; afterwards no extension code is known any more."""
    thread = get_ident()
    before = live.get(thread)
    live[thread] = grant
    if _C_CACHE:
        _C_CACHE.clear()
    try:
        return load(*args, **options)
    finally:
        if _C_CACHE:
            _C_CACHE.clear()
        if before is None:
            live.pop(thread, None)
        else:
            live[thread] = before


containment.BEGINNINGS[id(under.__code__)] = under


def grant_of_bytes(data: bytes, frame: FrameType | None) -> Grant:
    """Return what bytes in memory may name."""
    if minted.is_minted(data):
        return MINTED
    return CHANNEL if channels.is_channel(frame) else UNTRUSTED


def loads(
    data: Any,
    /,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = (),
) -> Any:
    """As `pickle.loads`, within the policy. Raises Blocked."""
    outer = live.get(get_ident())
    options: dict[str, Any] = {"fix_imports": fix_imports, "encoding": encoding, "errors": errors,
               "buffers": buffers}  # fmt: skip
    if outer is not None and outer.unrestricted:
        return _raw_loads(data, **options)
    private = data if type(data) is bytes else bytes(memoryview(data))
    if private.startswith(MAGIC):
        return files.load_sealed_bytes(_gate, private, options)
    frame = _frame(1)
    grant = grant_of_bytes(private, frame)
    _gate.check_strict(grant, frame)
    return under(grant, _raw_loads, private, **options)


def load(
    file: Any,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = (),
) -> Any:
    """As `pickle.load`, within the policy. Raises Blocked; NotSealed in an internal zone."""
    options: dict[str, Any] = {"fix_imports": fix_imports, "encoding": encoding, "errors": errors,
               "buffers": buffers}  # fmt: skip
    outer = live.get(get_ident())
    if outer is not None and outer.unrestricted:
        return _raw_load(file, **options)
    frame = _frame(1)
    if files.is_sealed_next(file):
        return files.load_sealed(_gate, file, options)
    grant = grant_of_file(file, frame)
    _gate.check_strict(grant, frame)
    return under(grant, _raw_load, file, **options)


def grant_of_file(file: Any, frame: FrameType | None) -> Grant:
    """Return what the next pickle of a file may name. Raises Blocked where it must be sealed."""
    if type(file) is io.BytesIO:
        if minted.is_minted_next(file):
            return MINTED
        return CHANNEL if channels.is_channel(frame) else UNTRUSTED
    if channels.is_channel(frame):
        return CHANNEL
    return files.grant_of_plain(_gate, file, frame)


def dumps(
    obj: object,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: Callable[[Any], Any] | None = None,
) -> bytes:
    """As `pickle.dumps`; the bytes are known again when they are loaded in this process."""
    data = _raw_dumps(obj, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback)
    minted.remember(data)
    return data


def dump(
    obj: object,
    file: Any,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: Callable[[Any], Any] | None = None,
) -> None:
    """As `pickle.dump`, within the policy: sealed in an internal zone, refused elsewhere."""
    options: dict[str, Any] = {"fix_imports": fix_imports, "buffer_callback": buffer_callback}
    _dump_to(file, _frame(1), lambda: _raw_dump(obj, file, protocol, **options),
             lambda: _raw_dumps(obj, protocol, **options), obj)  # fmt: skip


def _dump_to(
    file: Any,
    frame: FrameType | None,
    write: Callable[[], Any],
    encoded: Callable[[], bytes] | None,
    obj: object,
) -> None:
    outer = live.get(get_ident())
    if type(file) is io.BytesIO:
        start = file.tell()
        write()
        minted.remember_written(file, start)
    elif (outer is not None and outer.unrestricted) or not files.dump_sealed(
        _gate, file, frame, obj, encoded
    ):
        write()


class Unpickler(_RAW_TYPE):  # type: ignore[misc,valid-type]
    """As `pickle.Unpickler`; the file tells where the bytes come from."""

    def __init__(
        self,
        file: Any,
        *,
        fix_imports: bool = True,
        encoding: str = "ASCII",
        errors: str = "strict",
        buffers: Iterable[Any] | None = (),
    ) -> None:
        """As `pickle.Unpickler`."""
        super().__init__(file, fix_imports=fix_imports, encoding=encoding, errors=errors,
                         buffers=buffers)  # fmt: skip
        self._safehold_file = file


class Pickler(_pickle.Pickler):
    """As `pickle.Pickler`."""

    def __init__(
        self,
        file: Any,
        protocol: int | None = None,
        fix_imports: bool = True,  # noqa: FBT001, FBT002  (as pickle has it)
        buffer_callback: Callable[[Any], Any] | None = None,
    ) -> None:
        """As `pickle.Pickler`."""
        super().__init__(file, protocol, fix_imports, buffer_callback)
        self._safehold_file = file

    def dump(self, obj: Any, /) -> None:
        """As `pickle.Pickler.dump`, within the policy."""
        file = getattr(self, "_safehold_file", None)
        _dump_to(file, _frame(1), lambda: _raw_pickler_dump(self, obj), None, obj)


_raw_pickler_dump: Final = _pickle.Pickler.dump
for _entry in (load, loads, dump, dumps, Unpickler, Pickler):
    # They are pickled by name themselves, and read elsewhere.
    _entry.__module__ = "_pickle"


def _load_of_type(self: Any) -> Any:
    """Take the place of ``_pickle.Unpickler.load``: also of its subclasses and of captured ones."""
    outer = live.get(get_ident())
    if outer is not None and (outer.unrestricted or _resolves_itself(self, outer)):
        return _RAW_LOAD(self)
    file = getattr(self, "_safehold_file", None)
    frame = _frame(1)
    if file is None:
        grant = CHANNEL if channels.is_channel(frame) else UNTRUSTED
    elif files.is_sealed_next(file):
        return files.load_sealed(_gate, file, {})
    else:
        grant = grant_of_file(file, frame)
    _gate.check_strict(grant, frame)
    with _Judged(self, _RAW_FIND, grant, frame):
        return under(grant, _RAW_LOAD, self)


def _load_of_python(self: Any) -> Any:
    """Take the place of ``pickle._Unpickler.load``."""
    outer = live.get(get_ident())
    if outer is not None and (outer.unrestricted or _resolves_itself(self, outer)):
        return _python_load(self)
    file = getattr(getattr(self, "_file_read", None), "__self__", None)
    frame = _frame(1)
    if file is not None and files.is_sealed_next(file):
        return files.load_sealed(_gate, file, {})
    grant = UNTRUSTED if file is None else grant_of_file(file, frame)
    _gate.check_strict(grant, frame)
    with _Judged(self, _python_find, grant, frame):
        return under(grant, _python_load, self)


def _resolves_itself(unpickler: Any, outer: Grant) -> bool:
    """Say whether this is an unpickler of verified artifacts, which asks the zone's allow-list."""
    return outer is VERIFIED and getattr(type(unpickler), "asks_allow_list", False)


class _Judged:
    """While an unpickle is live, judges what somebody's own ``find_class`` returns.

    The C loader asks for the attribute at each name, so the object itself gets one; where it has
    no dictionary, its class does.
    """

    __slots__ = ("_before", "_target")

    def __init__(self, unpickler: Any, plain: Any, grant: Grant, frame: FrameType | None) -> None:
        self._target: Any = None
        own = getattr(unpickler, "__dict__", {})
        if grant.unrestricted or (
            "find_class" not in own and getattr(type(unpickler), "find_class", None) is plain
        ):
            return
        original = unpickler.find_class

        def find_class(module: Any, name: Any, /) -> Any:
            found = original(module, name)
            _gate.check_object(found, module, name, grant, frame)
            return found

        self._target = unpickler if hasattr(unpickler, "__dict__") else type(unpickler)
        self._before = vars(self._target).get("find_class", self)
        if self._target is unpickler:
            self._target.find_class = find_class
        else:
            self._target.find_class = staticmethod(find_class)

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        if self._target is None:
            return
        if self._before is self:
            del self._target.find_class
        else:
            self._target.find_class = self._before


_python_load: Any = None
_python_find: Any = None


def install(module: ModuleType, gate: Gate) -> None:
    """Replace the entry points of the C module."""
    global _gate  # noqa: PLW0603  (one process, one gate)
    _gate = gate
    copyreg._extension_cache = {}  # type: ignore[attr-defined]  # noqa: SLF001
    _C_CACHE.clear()
    slots = gc.get_referents(_RAW_TYPE.__dict__)[0]
    slots["load"] = _load_of_type
    _forget_lookups(_RAW_TYPE)
    if _RAW_TYPE.load is not _load_of_type:
        message = "the entry point of _pickle.Unpickler could not be replaced"
        raise RuntimeError(message)
    _replace_in(module)


def apply(module: ModuleType) -> None:
    """Replace the entry points of `pickle`, or of a module that is a copy of it."""
    global _python_load, _python_find
    _replace_in(module)
    python = module._Unpickler  # noqa: SLF001
    if python.load is not _load_of_python:
        _python_load, _python_find = python.load, python.find_class
        python.load = _load_of_python
    pickler = module._Pickler  # noqa: SLF001
    if not getattr(pickler.dump, "safehold", False):
        pickler.dump = _dump_of(pickler.dump)
    module._extension_cache = copyreg._extension_cache  # type: ignore[attr-defined]  # noqa: SLF001


def _dump_of(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def dump(self: Any, obj: Any) -> None:
        file = getattr(getattr(self, "_file_write", None), "__self__", None)
        _dump_to(file, _frame(1), lambda: original(self, obj), None, obj)

    dump.safehold = True  # type: ignore[attr-defined]
    return dump


def _replace_in(module: ModuleType) -> None:
    for name, value in _REPLACED.items():
        setattr(module, name, value)


_REPLACED: Final[dict[str, Any]] = {
    "load": load, "loads": loads, "dump": dump, "dumps": dumps,
    "Unpickler": Unpickler, "Pickler": Pickler,
}  # fmt: skip


def _forget_lookups(kind: type) -> None:
    """Make the interpreter look the attributes of a type up anew."""
    if "pickle" not in sys.modules:
        sys._clear_type_cache()  # noqa: SLF001  (nothing has been specialised for the type yet)
        return
    try:
        import ctypes

        ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
    except (ImportError, AttributeError):
        sys._clear_type_cache()  # noqa: SLF001
