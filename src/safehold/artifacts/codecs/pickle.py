"""The `pickle` codec: protocol 5 with out-of-band buffers, loaded with an allow-list.

Sealed plain pickles of any protocol load too. The allow-list is the second barrier: the
first is that nothing reaches this file before its seal was verified.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import pickletools
import struct
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from safehold.allow import AllowList
from safehold.artifacts.codecs import Encoded, Reading
from safehold.errors import DecodeError, EncodeError

_T = TypeVar("_T")


_COPIED = 2**16


class Segment:
    """Verified bytes as the file of an unpickler, which reads them where they are."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.at = 0

    def peek(self, _size: int = 0) -> memoryview:
        """Return all that is left. The C unpickler takes it as its buffer, without a copy."""
        return self._data[self.at :]

    def tell(self) -> int:
        """Return the position."""
        return self.at

    def read(self, size: int) -> memoryview:
        """Return the next bytes; called with what was consumed of a peek."""
        start, self.at = self.at, min(self.at + size, len(self._data))
        return self._data[start : self.at]

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as the C unpickler does for large bytearrays."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self) -> bytes:
        """Return the next line, for a stream that is cut inside its first one."""
        left = bytes(self.peek())
        end = left.find(b"\n") + 1
        return bytes(self.read(end or len(left)))


class Unpickler(pickle.Unpickler):
    """An Unpickler that resolves only what an allow-list permits."""

    asks_allow_list = True  # which the guard asks

    def __init__(
        self, file: Any, allow: AllowList, *, buffers: Iterable[Any] | None = None, **options: Any
    ) -> None:
        """`options` are those of `pickle.Unpickler`."""
        super().__init__(file, buffers=buffers, **options)
        self._resolve: Callable[[str, str], Any] = allow.resolve

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Resolve a name component by component. Raises TypeNotAllowed."""
        return self._resolve(module_name, global_name)


def encode(value: object, depth: int) -> Encoded:  # noqa: ARG001  (C recursion limit applies)
    """Pickle `value`; contiguous arrays become segments of their own."""
    buffers: list[pickle.PickleBuffer] = []
    stream = dump_checked(lambda: pickle.dumps(value, protocol=5, buffer_callback=buffers.append))
    return Encoded([stream, *(buffer.raw() for buffer in buffers)])


def encode_plain(value: object, depth: int) -> Encoded:  # noqa: ARG001  (as above)
    """Pickle `value` into one stream, as `pickle.dump` does."""
    return Encoded([dump_checked(lambda: pickle.dumps(value))], raw=True)


def dump_checked(dump: Callable[[], _T]) -> _T:
    """Pickle, turning the errors of a value that cannot be into EncodeError."""
    try:
        return dump()
    except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as error:
        message = f"the value cannot be pickled: {error}"
        raise EncodeError(message) from error


def decode(segments: Sequence[memoryview], reading: Reading) -> object:
    """Unpickle verified segments: the stream, then its out-of-band buffers."""
    data, options = segments[0], {"buffers": segments[1:], **reading.options}
    # A copy of few bytes costs less than to call back for each read.
    stream = io.BytesIO(data) if len(data) <= _COPIED else Segment(data)
    value = load_checked(Unpickler(stream, reading.allow, **options).load)
    if stream.tell() != len(data):
        message = "the sealed file holds more than one pickle; seal it with: safehold seal"
        raise DecodeError(message)
    return value


# What a malformed stream, or a constructor that is given its values, raises.
_INVALID = (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError,
            RecursionError, TypeError, ValueError, struct.error)  # fmt: skip


def load_checked(load: Callable[[], Any], *more: type[Exception]) -> Any:
    """Load, turning the many errors of a malformed stream into DecodeError."""
    expected: tuple[type[Exception], ...] = (*_INVALID, *more)
    if copyreg._extension_cache:  # type: ignore[attr-defined]  # noqa: SLF001
        # What an extension code meant before would be used without asking find_class.
        copyreg.clear_extension_cache()
    try:
        return load()
    except ImportError:
        raise  # libraries that are not installed
    except pickle.UnpicklingError as error:
        if type(error) is not pickle.UnpicklingError:
            raise  # refusals of the allow-list, and a service's own
        raise _decode_error(error) from error
    except expected as error:
        raise _decode_error(error) from error


def _decode_error(error: Exception) -> DecodeError:
    return DecodeError(f"the sealed pickle cannot be decoded: {type(error).__name__}: {error}")


def split_pickles(data: bytes) -> list[bytes]:
    """Cut a file that several dumps were written to into its pickles.

    What does not parse stays in the last part, where the scanner reports it.
    """
    stream = io.BytesIO(data)
    parts = []
    start = 0
    while start < len(data):
        try:
            with warnings.catch_warnings():
                # pickletools warns of escapes in what it takes for a text.
                warnings.simplefilter("ignore", DeprecationWarning)
                for _ in pickletools.genops(stream):
                    pass
        except (ValueError, IndexError, KeyError):
            stream.seek(0, io.SEEK_END)
        parts.append(data[start : stream.tell()])
        start = stream.tell()
    return parts or [data]
