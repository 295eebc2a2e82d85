"""The `pickle` module's interface over sealed artifacts.

Where an artifact may be pickled, in an internal zone, it is sealed and loaded with the
zone's allow-list; in an external zone the same calls store plain data. `load` and `dump`
take a path as well as a handle. ``protocol`` is accepted and not used: what is stored is
always protocol 5.

Not covered: out-of-band buffers that a caller asks for with ``buffer_callback`` travel
outside the seal.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable
from typing import IO, Any

from safehold.allow import AllowList
from safehold.artifacts.codecs import Encoded, Reading, codec_named
from safehold.artifacts.codecs import pickle as pickle_codec
from safehold.artifacts.container import Sealed
from safehold.compat import active_store
from safehold.compat.sealing import PREFER, Sealing

__all__ = tuple(pickle.__all__)
# Constants and errors; what reads or writes is defined below.
_PASSED = frozenset(__all__) | {"bytes_types", "compatible_formats", "decode_long",
                                "encode_long", "format_version", "whichmodule"}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _PASSED:
        return getattr(pickle, name)
    message = f"safehold.compat.pickle does not offer {name!r}"
    raise AttributeError(message)


def dump(
    obj: object,
    file: Any,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
) -> None:
    """Seal `obj` into a path or a binary handle. Raises as `safehold.Store.dump`."""
    encode = _encoder(obj, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback)
    if isinstance(file, str | os.PathLike):
        active_store().dump(obj, file, prefer=PREFER, encode=encode)
    else:
        active_store().dump_to(obj, file, prefer=PREFER, encode=encode)


def dumps(
    obj: object,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
) -> bytes:
    """Seal `obj` into bytes of the policy's memory zone. Raises as `safehold.Store.dumps`."""
    encode = _encoder(obj, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback)
    return active_store().dumps(obj, prefer=PREFER, encode=encode)


def load(
    file: Any,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = (),
) -> Any:
    """Verify and load the next object of a path or handle. Raises as `safehold.Store.load`."""
    options = _options(fix_imports, encoding, errors, buffers)
    if isinstance(file, str | os.PathLike):
        return active_store().load(file, options=options)
    return active_store().load_from(file, options=options)


def loads(
    data: Any,
    /,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = (),
) -> Any:
    """Verify and load bytes that `dumps` made. Raises as `safehold.Store.loads`."""
    return active_store().loads(data, options=_options(fix_imports, encoding, errors, buffers))


def _encoder(
    obj: object,
    protocol: int | None,
    *,
    fix_imports: bool,
    buffer_callback: Callable[[pickle.PickleBuffer], Any] | None,
) -> Callable[[], Encoded] | None:
    """Return how to encode when the caller takes the buffers himself; None: as the codec does."""
    if buffer_callback is None:
        return None

    def encode() -> Encoded:
        data = pickle.dumps(obj, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback)
        return Encoded([data])

    return encode


def _options(
    fix_imports: bool,
    encoding: str,
    errors: str,
    buffers: Iterable[Any] | None,
) -> dict[str, Any]:
    options: dict[str, Any] = {"fix_imports": fix_imports, "encoding": encoding, "errors": errors}
    if buffers:
        options["buffers"] = buffers
    return options


class Pickler(Sealing, pickle.Pickler):
    """`pickle.Pickler` whose every `dump` is one sealed container.

    ``persistent_id``, ``reducer_override`` and ``dispatch_table`` work where the zone keeps
    pickles. The memo does not reach from one `dump` to the next.
    """

    def __init__(
        self,
        file: Any,
        protocol: int | None = None,
        fix_imports: bool = True,
        buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
    ) -> None:
        """As `pickle.Pickler`."""
        super().__init__(file, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback)


class Unpickler(pickle.Unpickler):
    """`pickle.Unpickler` whose every `load` verifies one sealed container first.

    A subclass that overrides ``find_class`` calls ``super().find_class`` to stay within the
    allow-list; the bytes it sees are authentic in any case.
    """

    def __init__(
        self,
        file: IO[bytes],
        *,
        fix_imports: bool = True,
        encoding: str = "ASCII",
        errors: str = "strict",
        buffers: Iterable[Any] | None = (),
    ) -> None:
        """As `pickle.Unpickler`."""
        self._file = file
        self._options = _options(fix_imports, encoding, errors, buffers)
        self._allow = AllowList.of()

    def load(self) -> Any:
        """Verify and load the next object. Raises as `safehold.Store.load_from`."""
        return active_store().load_from(self._file, options=self._options, decode=self._decode)

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Resolve a name by the zone's allow-list. Raises TypeNotAllowed."""
        return self._allow.resolve(module_name, global_name)

    def _decode(self, sealed: Sealed, reading: Reading) -> Any:
        if sealed.header.codec != PREFER:
            return codec_named(sealed.header.codec).decode(sealed.segments, reading)
        self._allow = reading.allow
        options = {"buffers": sealed.segments[1:], **reading.options}
        stream = pickle_codec.Segment(sealed.segments[0])
        return pickle_codec.load_checked(_Inner(self, stream, **options).load)


class _Inner(pickle.Unpickler):
    """Reads one container for an `Unpickler`, and asks it for classes and persistent objects.

    One for each container: CPython's unpickler must not be initialised twice; with a
    ``persistent_load`` of a subclass it then crashes (seen in 3.11).
    """

    asks_allow_list = True

    def __init__(self, outer: Unpickler, file: Any, **options: Any) -> None:
        super().__init__(file, **options)
        self._outer = outer

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        return self._outer.find_class(module_name, global_name)

    def persistent_load(self, pid: Any) -> Any:
        look_up = getattr(self._outer, "persistent_load", None)
        if look_up is None:
            message = "a persistent id, and no persistent_load to look it up"
            raise pickle.UnpicklingError(message)
        return look_up(pid)
