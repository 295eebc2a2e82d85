"""Channels between a process and its own children: multiprocessing, loky, billiard.

What arrives there was sent by code of this very program, and names what it likes. A channel is
known by the exact code object that reads it, of the module as it was imported, and by what its
descriptor is: an anonymous pipe, a pair of sockets without a name, or a socket in the file system
whose two ends have proved to each other that they have this process's authentication key. A name,
a file name or a caller's claim is no evidence.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from safehold.guard.grants import OWN, UNTRUSTED, Held

Descriptor = Callable[[FrameType], Any]

_NESTED: Final[dict[int, tuple[CodeType, Descriptor]]] = {}
"""Readers that run nothing but the unpickle: what loads within it is of the channel, too."""
_DIRECT: Final[dict[int, tuple[CodeType, Descriptor]]] = {}
"""Readers that go on to run the program: only what they load themselves is of the channel."""

_proved: Final[dict[int, tuple[Any, frozenset[str]]]] = {}
"""id -> weak reference to a connection, and the steps of authentication it has passed."""
_STEPS: Final = frozenset({"answer_challenge", "deliver_challenge"})


def prove(connection: Any, authkey: bytes, step: str) -> None:
    """Note that a connection passed a step of authentication with this process's own key."""
    import weakref

    process = sys.modules.get("multiprocessing.process")
    if process is None or authkey != process.current_process().authkey:
        return
    key = id(connection)
    before = _proved.get(key)
    steps = before[1] if before is not None and before[0]() is connection else frozenset()
    reference = weakref.ref(connection, lambda _: _proved.pop(key, None))
    _proved[key] = reference, steps | {step}


def _is_proved(connection: Any) -> bool:
    found = _proved.get(id(connection))
    return found is not None and found[0]() is connection and found[1] == _STEPS


def add_nested(code: CodeType, descriptor: Descriptor) -> None:
    """Register a reader by its code; `descriptor` finds its connection in a frame of it."""
    _NESTED[id(code)] = code, descriptor


def add_direct(code: CodeType, descriptor: Descriptor) -> None:
    """Register a reader that runs other code as well."""
    _DIRECT[id(code)] = code, descriptor


def is_channel(frame: FrameType | None) -> bool:
    """Say whether the frame that loads reads a channel, or was called by one that does."""
    if frame is None:
        return False
    # By identity: an equal code object may belong to another function with other globals.
    found = _DIRECT.get(id(frame.f_code))
    if found is not None and is_private(found[1](frame)):
        return True
    if frame.f_code.co_name == "<module>" and _is_loky_boot(frame):
        return True
    while frame is not None and _NESTED:
        found = _NESTED.get(id(frame.f_code))
        if found is not None:
            return is_private(found[1](frame))
        frame = frame.f_back
    return False


_LOKY: Final = ("loky.backend.popen_loky_posix", "joblib.externals.loky.backend.popen_loky_posix")


def _is_loky_boot(frame: FrameType) -> bool:
    """Say whether a frame is the program of a loky worker, which reads its task from a pipe.

    It runs as ``python -m``, so its code is nobody's attribute: it must be what the module's
    source file holds, of the module that an import would find.
    """
    spec = frame.f_globals.get("__spec__")
    name = getattr(spec, "name", None)
    if name not in _LOKY or frame.f_globals is not vars(sys.modules["__main__"]):
        return False
    from safehold.guard.attest import is_genuine

    with Held(OWN):
        from importlib.util import find_spec

        found = find_spec(name)
    if found is None or found.origin != frame.f_code.co_filename or not is_genuine(frame):
        return False
    return is_private(frame.f_globals.get("from_parent"))


def is_private(connection: Any) -> bool:
    """Say whether nobody but this process and its relatives can write to a connection."""
    if connection is None:
        return False
    try:
        fd = connection if isinstance(connection, int) else connection.fileno()
        mode = os.fstat(fd).st_mode
        if stat.S_ISFIFO(mode):
            return os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:[")
        if not stat.S_ISSOCK(mode):
            return False
        return _is_private_socket(fd, connection)
    except (OSError, AttributeError, ValueError):
        return False


def _is_private_socket(fd: int, connection: Any) -> bool:
    import socket

    with socket.socket(fileno=os.dup(fd)) as end:
        if end.family != getattr(socket, "AF_UNIX", None):
            return False
        if not end.getsockname() and not end.getpeername():
            return True
    return _is_proved(connection)


def check_extension(gate: Any, module: Any, name: Any, frame: FrameType | None) -> None:
    """Refuse a name that would stay in the extension cache, where no event tells of it again."""
    registry = getattr(sys.modules.get("copyreg"), "_extension_registry", {})
    if (module, name) in registry:
        gate.check_name(module, name, UNTRUSTED, frame)
