"""Arrays of a sealed file that are read in part: rows are verified when they are indexed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from safehold.artifacts.codecs import Reading
from safehold.artifacts.codecs.pickle import Segment, Unpickler, load_checked
from safehold.errors import DecodeError, MissingExtra, TypeNotAllowed

try:
    import numpy as np
except ImportError as error:
    package = "numpy"
    raise MissingExtra(package, "numpy") from error


class Part(Protocol):
    """The bytes of a segment, verified where they are touched."""

    def __len__(self) -> int: ...
    def __getitem__(self, item: slice, /) -> memoryview: ...


_FROM_BUFFER = {("numpy._core.numeric", "_frombuffer"), ("numpy.core.numeric", "_frombuffer")}


class LazyArray:
    """An array in a sealed file. An index reads and verifies the rows that it names.

    Rows are those of the first axis. An array in Fortran order is read whole, and so is one with
    an index of other things than int and slice. What comes back cannot be written to; copy it to
    change it.
    """

    def __init__(
        self,
        segment: Part,
        dtype: Any,
        shape: Any,
        order: str,
    ) -> None:
        """Nothing is read. Raises DecodeError when the parts do not fit together."""
        fits = (
            isinstance(dtype, np.dtype)
            and not dtype.hasobject
            and isinstance(shape, tuple)
            and all(type(length) is int and length >= 0 for length in shape)
            and order in ("C", "F")
            and math.prod(shape) * dtype.itemsize == len(segment)
        )
        if not fits:
            message = "an array does not fit its segment"
            raise DecodeError(message)
        self._segment = segment
        self._order = order
        self.dtype = dtype
        self.shape: tuple[int, ...] = shape
        self.ndim = len(shape)
        self.nbytes = len(segment)

    def __len__(self) -> int:
        if not self.shape:
            message = "an array without a dimension has no length"
            raise TypeError(message)
        return self.shape[0]

    def __getitem__(self, item: Any) -> Any:
        """Return what numpy would; raises Tampered, and IndexError as numpy does."""
        parts = item if isinstance(item, tuple) else (item,)
        plain = all(type(part) in (int, slice) for part in parts)
        if not (plain and parts and self.shape and self._order == "C"):
            return self._whole()[item]
        first, count = parts[0], self.shape[0]
        pick: int | slice = 0
        if isinstance(first, slice):
            touched = range(count)[first]
            pick = slice(None, None, touched.step)
        else:
            touched = range(range(count)[first], count)[:1]  # raises IndexError
        low, high = (min(touched), max(touched) + 1) if touched else (0, 0)
        row = self.nbytes // count if count else 0
        rows = self._view(self._segment[low * row : high * row], (high - low, *self.shape[1:]))
        return rows[(pick, *parts[1:])]

    def _whole(self) -> Any:
        return self._view(self._segment[:], self.shape)

    def _view(self, data: memoryview, shape: tuple[int, ...]) -> Any:
        if not math.prod(shape) * self.dtype.itemsize:
            return np.empty(shape, self.dtype)
        return np.frombuffer(data, self.dtype).reshape(shape, order=self._order)  # type: ignore[call-overload]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """Read it all, for numpy's functions."""
        whole = self._whole()
        return np.array(whole, dtype) if copy or dtype is not None else whole


class _Place(bytes):
    """Stands for an out-of-band buffer while the stream is read."""

    segment: Part


class _Unpickler(Unpickler):
    """Resolves names of numpy alone, and makes lazy arrays in place of arrays."""

    def __init__(self, stream: memoryview, segments: Sequence[Part], reading: Reading) -> None:
        self.stream = Segment(stream)
        self.places = []
        for segment in segments:
            place = _Place()
            place.segment = segment
            self.places.append(place)
        super().__init__(self.stream, reading.allow, buffers=self.places)
        self._from_allowed = reading.allow.resolve

    def find_class(self, module_name: str, global_name: str, /) -> Callable[..., Any]:
        if (module_name, global_name) in _FROM_BUFFER:
            return self._lazy
        if module_name.partition(".")[0] != "numpy":
            name = f"{module_name}.{global_name}"
            message = f"the artifact names {name}, not arrays alone; load it instead"
            raise TypeNotAllowed(message, name=name)
        found: Callable[..., Any] = self._from_allowed(module_name, global_name)
        return found

    def _lazy(self, buffer: Any, dtype: Any, shape: Any, order: Any) -> Any:
        if isinstance(buffer, _Place):
            self.places = [place for place in self.places if place is not buffer]
            return LazyArray(buffer.segment, dtype, shape, order)
        return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


def lazy_value(stream: memoryview, segments: Sequence[Part], reading: Reading) -> Any:
    """Decode a verified stream with its out-of-band buffers as lazy arrays.

    Raises:
        DecodeError, TypeNotAllowed, Tampered
    """
    unpickler = _Unpickler(stream, segments, reading)
    value = load_checked(unpickler.load)
    if unpickler.places or unpickler.stream.at != len(stream):
        message = "the artifact holds more than arrays; load it instead"
        raise DecodeError(message)
    return value
