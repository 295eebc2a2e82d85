"""Reads the streams of one file as loaders do, and writes down what the stubs saw."""

from __future__ import annotations

import io
import json
import math
import os
import re
from collections.abc import Iterator
from typing import Any, Final

from .stubs import ArrayReader, Stubs, Unpickler, result

_BUFFER: Final = 2**16
_MOST_NAMES: Final = 2**16
_MOST_USES: Final = 20_000
_LONGEST: Final = 4096
_SHAPE: Final = 4
# numpy's short names of types: a letter and the bytes of an item, or characters.
_ITEM: Final = re.compile(r"[<>|=]?([biufcSUVmM])([0-9]{1,9})")
# Said where there is no memory left to make a text.
_NO_MEMORY: Final = b'["end", "memory", 0, "MemoryError"]\n'


class Window(io.RawIOBase):
    """A part of a file as a file of its own; its descriptor's position stays where it is."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._size = size
        self._pos = 0

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def seekable(self) -> bool:
        """Return that it is."""
        return True

    def seek(self, position: int, whence: int = 0) -> int:
        """Move to a position."""
        base = (0, self._pos, self._size)[whence]
        self._pos = base + position
        return self._pos

    def tell(self) -> int:
        """Return the position."""
        return self._pos

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the part goes."""
        left = min(len(buffer), max(0, self._size - self._pos))
        if left == 0:
            return 0
        view = memoryview(buffer)[:left]
        read = os.preadv(self._descriptor, [view], self._offset + self._pos)
        self._pos += read
        return read


class Record:
    """Lines of JSON on a pipe: each name and each use once per stream."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._names: set[tuple[str, str]] = set()
        self._uses: set[tuple[str, tuple[str, str]]] = set()

    def say(self, *words: Any) -> None:
        """Write one line."""
        left = memoryview(json.dumps(words).encode() + b"\n")
        while left:
            left = left[os.write(self._pipe, left) :]

    def begin(self, reader: str, start: int) -> None:
        """Say that a stream begins."""
        self._names.clear()
        self._uses.clear()
        self.say("stream", reader, start)

    def end(self, how: str, stop: int, why: str) -> None:
        """Say how a stream ended."""
        try:
            self.say("end", how, stop, why[:200])
        except MemoryError:
            os.write(self._pipe, _NO_MEMORY)

    def named(self, module: str, name: str) -> None:
        """Say a name."""
        key = (module, name)
        if key not in self._names and len(self._names) < _MOST_NAMES:
            self._names.add(key)
            self.say("name", module[:_LONGEST], name[:_LONGEST])

    def used(self, kind: str, said: tuple[str, str], args: tuple[Any, ...]) -> None:
        """Say how something was used, and the kinds of its first arguments."""
        key = (kind, said)
        if key not in self._uses and len(self._uses) < _MOST_USES:
            self._uses.add(key)
            shape = [type(arg).__name__ for arg in args[:_SHAPE]]
            self.say(kind, said[0][:_LONGEST], said[1][:_LONGEST], shape, len(args))


def read(job: dict[str, Any], descriptor: int, record: Record) -> None:
    """Read a file in the ways that the job asks for."""
    window = Window(descriptor, job["offset"], job["size"])
    with io.BufferedReader(window, _BUFFER) as file:
        if job["arrays"] is not None:
            _read_arrays(job, file, record)
            return
        stubs = Stubs(record)
        if job["starts"] is not None:
            _read_at(job["starts"], file, record, stubs)
            return
        began = _read_fresh("latin1", job, file, record, stubs)
        if job["bytes"]:
            _read_fresh("bytes", job, file, record, stubs)
        if began > 1:
            _read_kept(job, file, record, stubs)


def _read_fresh(encoding: str, job: dict[str, Any], file: Any, record: Record, stubs: Stubs) -> int:
    """Read stream after stream with a loader each; return how many began."""
    for count in range(job["streams"]):
        start = file.seek(0) if count == 0 else file.tell()
        if start >= job["size"]:
            return count
        record.begin(encoding, start)
        if not _load(Unpickler(file, stubs, encoding), file, record):
            return count + 1
    return int(job["streams"])


def _read_at(starts: list[int], file: Any, record: Record, stubs: Stubs) -> None:
    """Read a stream at each of these places; what stands between them is none."""
    for start in starts:
        file.seek(start)
        record.begin("latin1", start)
        _load(Unpickler(file, stubs), file, record)


def _read_kept(job: dict[str, Any], file: Any, record: Record, stubs: Stubs) -> None:
    """Read stream after stream with one loader, which keeps its memo."""
    file.seek(0)
    loader = Unpickler(file, stubs)
    for _ in range(job["streams"]):
        start = file.tell()
        if start >= job["size"]:
            return
        record.begin("kept", start)
        if not _load(loader, file, record):
            return


class _Lost(Exception):
    """An array stands where the other reader saw none, or the other way round."""


def _read_arrays(job: dict[str, Any], file: Any, record: Record) -> None:
    """Read one stream as joblib does, stepping over array bytes as the job says."""
    stubs = Stubs(record)
    wrappers = {(module, result(name)) for module, name in job["wrappers"]}
    steps: Iterator[list[int] | None] = iter(job["arrays"])

    def jump(said: tuple[str, str], state: Any) -> bool:
        if said not in wrappers:
            return False
        step = next(steps, [-1, -1])
        if step is None:
            return True
        before, after = step
        if file.tell() != before:
            raise _Lost(f"an array at {file.tell()}")
        if after < 0:
            Unpickler(file, stubs, "ASCII").load()
            return True
        expected = _after(state, file)
        if expected is not None and expected != after:
            raise _Lost(f"an array ends at {expected}")
        file.seek(after)
        return True

    record.begin("joblib", 0)
    if _load(ArrayReader(file, stubs, jump), file, record) and next(steps, 0) != 0:
        record.say("arrays", "fewer")


def _after(state: Any, file: Any) -> int | None:
    """Return where an array ends for joblib; None for one that is told in another way."""
    if type(state) is not dict:
        return None
    shape, code = state.get("shape"), getattr(state.get("dtype"), "code", None)
    if type(shape) is not tuple or not all(type(length) is int for length in shape):
        return None
    size = _ITEM.fullmatch(code or "")
    if size is None:
        return None
    width = int(size[2]) * (4 if size[1] == "U" else 1)
    position = int(file.tell()) + math.prod(shape) * width
    if state.get("numpy_array_alignment_bytes") is not None:
        position += 1 + file.read(1)[0]
    return position


def _load(loader: Any, file: Any, record: Record) -> bool:
    """Read one stream to its end; False if it does not end well."""
    try:
        loader.load()
    except MemoryError:
        record.end("memory", 0, "MemoryError")
        return False
    except Exception as error:  # noqa: BLE001  whatever a loader raises ends its stream
        how = "lost" if isinstance(error, _Lost) else "broken"
        record.end(how, file.tell(), f"{type(error).__name__}: {error}")
        return False
    record.end("stop", file.tell(), "")
    return True
