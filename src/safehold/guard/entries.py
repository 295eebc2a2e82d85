"""The entry points of `pickle`: every way in that CPython has, of both its unpicklers.

Module attributes are replaced; the C type's own ``load`` is, too, so that a subclass or a
reference from before is seen; what is left, `_pickle.loads` taken from the module before the guard
was on, is left to the audit hook alone.
"""

from __future__ import annotations

import _pickle
import copyreg
import io
import sys
from _thread import get_ident

from safehold.guard import channels, containment, creating, files, minted
from safehold.guard.channels import codes
from safehold.guard.grants import CHANNEL, HANDED, MINTED, OWN, UNTRUSTED, Grant, live, live_grant
from safehold.guard.minted import known, tag
from safehold.guard.native import native
from safehold.magic import MAGIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType, ModuleType
    from typing import Any, Final

    from safehold.guard.gate import Gate

_raw_load: Final = _pickle.load
_raw_loads: Final = _pickle.loads
_raw_dump: Final = _pickle.dump
_raw_dumps: Final = _pickle.dumps
_raw_pickler_dump: Final = _pickle.Pickler.dump
_frame_at: Final = sys._getframe  # noqa: SLF001
_end: Final = live.pop  # to look it up in an imported name makes an object, which needs memory

_cache: Any = copyreg._extension_cache  # type: ignore[attr-defined]  # noqa: SLF001
# The dictionary that the C loader looks into; Python code gets another one.
_C_CACHE: Final[dict[int, Any]] = _cache
_SPARE: Final = creating.SPARE
gate: Gate
# Set by the adapter: loads what reaches attributes, see unpicklers.
load_minted: Any = None


def caller(depth: int) -> FrameType | None:
    """Return a frame, None where C called in without one: from a new thread, or at exit."""
    try:
        return _frame_at(depth + 1)
    except ValueError:
        return None


def _forget_codes() -> None:
    try:
        _C_CACHE.clear()
    finally:
        _SPARE.clear()


def under(grant: Grant, load: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a loader with a grant held; afterwards no extension code is known any more."""
    thread = get_ident()
    before = live.get(thread)
    if _C_CACHE or _SPARE:
        _forget_codes()
    # From here on nothing fails but the load, not even by a signal: what ends a grant needs neither
    # memory nor a frame.
    live[thread] = grant
    try:
        return load(*args, **options)
    finally:
        try:
            if before is None or before is OWN:  # what is left of OWN was left by an interrupt
                _end(thread, None)
            else:
                live[thread] = before
        finally:
            try:
                _C_CACHE.clear()
            finally:
                _SPARE.clear()


containment.BEGINNINGS[id(under.__code__)] = under


_messages: Final[dict[int, Any]] = {}
"""Thread id -> what the channel's message holds that this thread is in the middle of."""


def under_message(message: Any, load: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Load a message of a channel; pickles within its own bytes count as parts of it.

    `message`: its bytes, or a buffer that grows as they are read.
    """
    thread = get_ident()
    before = _messages.get(thread)
    _messages[thread] = message
    try:
        return under(CHANNEL, load, *args, **options)
    finally:
        if before is None:
            _messages.pop(thread, None)
        else:
            _messages[thread] = before


def is_within(data: bytes) -> bool:
    """Say whether bytes are a part of the message that this thread is in the middle of.

    Anything else that is loaded meanwhile, by a class's ``__setstate__`` or by a signal's handler,
    came from somewhere else.
    """
    thread = get_ident()
    return live.get(thread) is CHANNEL and data in _messages.get(thread, b"")


def grant_of_bytes(data: bytes, frame: FrameType | None) -> Grant:
    """Return what bytes in memory may name. Raises Blocked where the policy is strict."""
    if minted.is_minted(data):
        return MINTED
    if is_within(data):
        return CHANNEL
    if channels.loads_relayed(frame) and minted.is_relayed(data):
        return CHANNEL
    if channels.is_channel(frame):
        minted.relay(data)
        return CHANNEL
    if gate.strict:
        gate.check_strict(UNTRUSTED, frame)
    return UNTRUSTED


def grant_of_file(file: Any, frame: FrameType | None) -> Grant:
    """Return what the next pickle of a file may name. Raises Blocked where it must be sealed."""
    if type(file) is io.BytesIO:
        if minted.is_minted_next(file):
            return MINTED
        return grant_of_bytes(minted.rest_of(file), frame)
    if channels.is_channel(frame):
        return CHANNEL
    grant = files.grant_of_plain(gate, file, frame)
    if gate.strict:
        gate.check_strict(grant, frame)
    return grant


def loads(data: Any, /, **options: Any) -> Any:
    """As `pickle.loads`, within the policy. Raises Blocked."""
    thread = get_ident()
    if options or type(data) is not bytes or thread in live or data.startswith(MAGIC):
        return _loads_any(data, caller(1), **options)
    if _C_CACHE or _SPARE:
        _forget_codes()
    key = tag(data)
    looked = known.get(key)
    if looked is not None:
        if looked < 0 or (looked == 0 and minted.look_at(data, key)):
            return _loads_any(data, caller(1))
        live[thread] = MINTED
        try:
            return _raw_loads(data)
        finally:
            try:
                _end(thread, None)
            finally:
                if _C_CACHE or _SPARE:
                    _forget_codes()
    # Asking for a frame is an audit event itself, so only where somebody may read a channel.
    if codes or gate.strict:
        return _loads_any(data, caller(1))
    # Without a grant the hook holds what is named to plain data, and nothing else can be called.
    return _raw_loads(data)


containment.BEGINNINGS[id(loads.__code__)] = loads


def _begin(data: bytes) -> Any:
    # For the entry point in C: by its frame, containment knows where the unpickle began.
    return _raw_loads(data)


containment.BEGINNINGS[id(_begin.__code__)] = _begin


def _loads_any(
    data: Any,
    frame: FrameType | None,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = (),
) -> Any:
    outer = live_grant()
    options: dict[str, Any] = {"fix_imports": fix_imports, "encoding": encoding, "errors": errors}
    if outer is HANDED:
        return _raw_loads(data, buffers=buffers, **options)
    private = data if type(data) is bytes else bytes(memoryview(data))
    if private.startswith(MAGIC):
        return files.load_sealed_bytes(gate, private, {"buffers": buffers, **options})
    grant = grant_of_bytes(private, frame)
    if buffers:
        buffers = _judged(buffers, grant, frame)
    if grant is MINTED and minted.reaches(private):
        return load_minted(io.BytesIO(private), {"buffers": buffers, **options})
    if grant is CHANNEL:
        return under_message(private, _raw_loads, private, buffers=buffers, **options)
    return under(grant, _raw_loads, private, buffers=buffers, **options)


def load(
    file: Any,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = (),
) -> Any:
    """As `pickle.load`, within the policy. Raises Blocked; NotSealed in an internal zone."""
    options: dict[str, Any] = {"fix_imports": fix_imports, "encoding": encoding, "errors": errors}
    if live_grant() is HANDED:
        return _raw_load(file, buffers=buffers, **options)
    frame = caller(1)
    if files.is_verified_next(gate, file):
        return files.load_sealed(gate, file, {"buffers": buffers, **options})
    grant = grant_of_file(file, frame)
    if buffers:
        buffers = _judged(buffers, grant, frame)
    if grant is MINTED:
        return load_minted(file, {"buffers": buffers, **options})
    if grant is CHANNEL:
        return _load_message(file, buffers=buffers, **options)
    return under(grant, _raw_load, file, buffers=buffers, **options)


def _load_message(file: Any, **options: Any) -> Any:
    if type(file) is io.BytesIO:
        return under_message(minted.rest_of(file), _raw_load, file, **options)
    heard = channels.Heard(file)
    return under_message(heard.message, _raw_load, heard, **options)


def _judged(buffers: Iterable[Any], grant: Grant, frame: FrameType | None) -> Iterator[Any]:
    """Give buffers out one by one; what can be called is judged, as the stream may call it."""
    for buffer in buffers:
        if callable(buffer):
            gate.check_object(buffer, None, None, grant, frame)
        yield buffer


def dumps(
    obj: object,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: Callable[[Any], Any] | None = None,
) -> bytes:
    """As `pickle.dumps`; the bytes are known again when they are loaded in this process."""
    if fix_imports and buffer_callback is None:  # two arguments by position are faster
        data = _raw_dumps(obj, protocol)
    else:
        data = _raw_dumps(obj, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback)
    key = tag(data)
    if key not in known:
        known[key] = 0
        if len(known) > minted.MOST:
            minted.forget()
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
    dump_to(
        file,
        caller(1),
        lambda: _raw_dump(obj, file, protocol, **options),
        lambda: _raw_dumps(obj, protocol, **options),
        obj,
    )


def dump_to(
    file: Any,
    frame: FrameType | None,
    write: Callable[[], Any],
    encoded: Callable[[], bytes] | None,
    obj: object,
) -> None:
    """Write a pickle by `write`, or seal what `encoded` gives where the file's zone wants that."""
    outer = live_grant()
    if type(file) is io.BytesIO:
        start = file.tell()
        write()
        minted.remember_written(file, start)
    elif (outer is not None and outer.unrestricted) or not files.dump_sealed(
        gate, file, frame, obj, encoded
    ):
        write()


class Unpickler(_pickle.Unpickler):
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
        if buffers:
            buffers = _judged(buffers, UNTRUSTED, caller(1))
        super().__init__(
            file, fix_imports=fix_imports, encoding=encoding, errors=errors, buffers=buffers
        )
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
        dump_to(file, caller(1), lambda: _raw_pickler_dump(self, obj), None, obj)


for _entry in (load, loads, dump, dumps, Unpickler, Pickler):
    # They are pickled by name themselves, and read elsewhere.
    _entry.__module__ = "_pickle"

_REPLACED: Final[dict[str, Any]] = {
    "load": load,
    "loads": loads,
    "dump": dump,
    "dumps": dumps,
    "Unpickler": Unpickler,
    "Pickler": Pickler,
}


def replace_in(module: ModuleType) -> None:
    """Put the entry points in the place of a module's own."""
    for name, value in _REPLACED.items():
        setattr(module, name, value)


def install(module: ModuleType, the_gate: Gate) -> None:
    """Replace the entry points of the C module."""
    global gate  # noqa: PLW0603  (one process, one gate)
    gate = the_gate
    copyreg._extension_cache = creating.NOTHING  # type: ignore[attr-defined]  # noqa: SLF001
    _C_CACHE.clear()
    if minted.in_c and _REPLACED["loads"] is loads:  # in C, asks those here where it has to
        _REPLACED["loads"], _REPLACED["dumps"] = _in_c()
    replace_in(module)


def _in_c() -> Any:
    return native.entries(
        _raw_loads, _raw_dumps, loads, _begin, known, live, MINTED, codes, _C_CACHE, _SPARE, MAGIC,
        strict=gate.strict,
    )  # fmt: skip
