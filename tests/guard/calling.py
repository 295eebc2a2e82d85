"""What comes of calling the things that bytes may name, with arguments that an attacker chooses.

Each is called in a child process with texts that name things, with objects whose attributes can be
called, and with listed classes. A result is one step further if it is a module, something that can
be called and is neither listed nor of a listed class, or anything that the table names.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Verdict = Callable[[Any], bool]
_PATIENCE = 60  # seconds for one call, for a machine with much else to do
_ATTRIBUTES = """__new__ __init__ __setstate__ __reduce__ __array__ __module__ __qualname__ module
    name holidays dtype shape fit append extend""".split()
# Events that tell of a call that acts on the system, or runs text.
_ACTS = ("os.", "subprocess.", "socket.", "shutil.", "sqlite3.", "urllib.", "exec")
_READS = frozenset({"os.listdir", "os.scandir", "os.walk"})


def given() -> None:
    """Be what an attacker gives: that this was called says nothing, as it was named before."""


def _arguments(canary: str) -> list[tuple[Any, ...]]:
    hostile = types.SimpleNamespace(**dict.fromkeys(_ATTRIBUTES, given))
    texts = ["posix.system", "posix:system", "posix", canary, "__import__('os').mkdir('x')", "(2)O"]
    return [(), *((text,) for text in texts), (given,), (hostile,), ([canary],), (object,),
            ("posix", "system"), (hostile, (0,), b"b"), (given, ("x",)), (object, hostile, None),
            (0, None, f"dateutil/{canary}"), (given, given, (0,), b"b")]  # fmt: skip


def call_all(todo: list[tuple[str, Any]], is_danger: Verdict) -> dict[str, list[str]]:
    """Call each thing; return the results that go further, what acted, and what ended the child."""
    listed = {id(one) for _, one in todo}
    kinds = {id(one) for _, one in todo if isinstance(one, type)}
    shared = mmap.mmap(-1, 8)
    reading, writing = os.pipe()
    crashed, at = [], 0
    lines = bytearray()
    os.set_blocking(reading, False)
    while at < len(todo):
        shared[:] = struct.pack("q", at)
        child = os.fork()
        if not child:
            _child(todo, at, shared, writing, (listed, kinds, is_danger))
        _, status = os.waitpid(child, 0)
        while chunk := _read(reading):
            lines += chunk
        (at,) = struct.unpack("q", shared[:])
        if status:
            crashed.append(todo[at][0])
        at += 1
    found = lines.decode("utf-8", "replace").splitlines()
    return {
        "results": [line[2:] for line in found if line.startswith("r ")],
        "acted": [line[2:] for line in found if line.startswith("a ")],
        "crashed": crashed,
    }


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return b""


def _child(
    todo: list[tuple[str, Any]], start: int, shared: mmap.mmap, out: int, known: tuple[Any, ...]
) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    canary = f"{os.getcwd()}/canary"
    calling = [""]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if calling[0] and _acts(event, args, canary):
            os.write(out, f"a {calling[0]} {event}\n".encode()[:400])
            raise PermissionError(event)

    sys.addaudithook(hook)
    arguments = _arguments(canary)
    for at in range(start, len(todo)):
        path, one = todo[at]
        shared[:] = struct.pack("q", at)
        signal.alarm(_PATIENCE)
        for args in arguments:
            calling[0] = path
            try:
                result = one(*args)
            except BaseException:  # noqa: BLE001, S112  (most take no such arguments)
                continue
            finally:
                calling[0] = ""
            for part in _parts(result):
                if not any(part is arg for arg in args) and _goes_further(part, *known):
                    os.write(out, f"r {path} {type(part).__qualname__}\n".encode()[:400])
    os._exit(0)


def _acts(event: str, args: tuple[Any, ...], canary: str) -> bool:
    """Say whether an event acts, or reads what the attacker names."""
    if event == "open":
        return (isinstance(args[1], str) and any(x in args[1] for x in "wax+")) or canary in str(
            args
        )
    if event == "import":
        return False
    if event == "exec":  # a module that the library itself imports late
        return not os.path.isfile(args[0].co_filename)
    if event.startswith("ctypes."):  # threadpoolctl asks the libraries that are loaded
        return canary in str(args)
    return event.startswith(_ACTS) and event not in _READS


def _parts(result: Any, depth: int = 2) -> Iterator[Any]:
    yield result
    inner: Iterable[Any] = ()
    if isinstance(result, (list, tuple)):
        inner = result[:20]
    elif isinstance(result, dict):
        inner = list(result.values())[:20]
    for part in inner if depth else ():
        yield from _parts(part, depth - 1)


def _goes_further(part: Any, listed: set[int], kinds: set[int], is_danger: Verdict) -> bool:
    if isinstance(part, (types.ModuleType, types.FrameType, types.CodeType)):
        return True
    if not callable(part) or part is given or id(part) in listed:
        return False
    return is_danger(part) or id(type(part)) not in kinds
