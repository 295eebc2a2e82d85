"""Channels between a process and its own relatives: multiprocessing, loky, billiard.

What arrives there was sent by code of this very program, and names what it likes. A channel is
known by the exact code object that reads it, of the module as it was imported, and by what its
descriptor is: an anonymous pipe, a pair of sockets without a name, or a socket in the file system
whose two ends have proved to each other that they have this process's authentication key. A name,
a file name or a caller's claim is no evidence, and neither is a reader further up the stack: a
signal handler may run in the middle of it.
"""

from __future__ import annotations

import os
import stat
import sys

from safehold.guard.grants import OWN, UNTRUSTED, Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any, Final

    Check = Callable[[FrameType], bool]
    Inode = tuple[int, int]


_METHOD: Final[Any] = type(os.environ.get)
_readers: Final[dict[int, tuple[CodeType, dict[str, Any], Check]]] = {}
_passed: Final[dict[int, CodeType]] = {}
_relays: Final[dict[int, CodeType]] = {}
codes: Final[set[int]] = set()
"""Ids of the code of all these, for who wants to know at once that a frame is none."""
_connections: Final[dict[type, dict[str, Any]]] = {}
"""Connection class -> the methods with which it reads."""
_METHODS: Final = tuple("recv recv_bytes _recv_bytes _recv _read fileno __getattribute__".split())


def add_reader(function: Any, check: Check, code: CodeType | None = None) -> None:
    """Register a reader: a function, or code within it, with the globals of its module.

    `check` says whether a frame of it reads a channel.
    """
    code = function.__code__ if code is None else code
    _readers[id(code)] = code, function.__globals__, check
    codes.add(id(code))


def add_relayed(function: Any) -> None:
    """Register what loads, later, byte strings that came within messages of a channel."""
    _relays[id(function.__code__)] = function.__code__
    codes.add(id(function.__code__))


def loads_relayed(frame: FrameType | None) -> bool:
    """Say whether a frame is of what loads such byte strings."""
    return frame is not None and id(frame.f_code) in _relays


def expect_boot() -> None:
    """Hear that this may be a worker of loky, which reads its task at the level of a module."""
    codes.add(0)


def add_passed(code: CodeType) -> None:
    """Register code that stands between a reader and the loader and does nothing else."""
    _passed[id(code)] = code
    codes.add(id(code))


def add_connection(kind: type) -> None:
    """Register a class of connections, with its methods as they are now."""
    _connections[kind] = {name: getattr(kind, name, None) for name in _METHODS}


def is_channel(frame: FrameType | None) -> bool:
    """Say whether the frame that loads is a reader of a channel."""
    # By identity: an equal code object may belong to another function with other globals.
    while frame is not None and id(frame.f_code) in _passed:
        frame = frame.f_back
    if frame is None:
        return False
    found = _readers.get(id(frame.f_code))
    if found is not None:
        return frame.f_globals is found[1] and found[2](frame)
    return frame.f_code.co_name == "<module>" and _is_loky_boot(frame)


def local_connection(name: str) -> Check:
    """Return a check of the connection that a local variable holds."""
    return lambda frame: is_private(frame.f_locals.get(name))


def local_file(name: str) -> Check:
    """Return a check of the file that a local variable holds."""
    return lambda frame: is_private_file(frame.f_locals.get(name))


def reads_queue(frame: FrameType) -> bool:
    """Say whether a frame of ``get`` reads the queue's own connection and nothing else."""
    queue = frame.f_locals.get("self")
    reader = getattr(queue, "_reader", None)
    read = getattr(queue, "_recv_bytes", None)  # set per queue; SimpleQueue has none
    if read is not None and not (
        type(read) is _METHOD
        and read.__self__ is reader
        and read.__func__ is _connections.get(type(reader), {}).get("recv_bytes")
    ):
        return False
    return is_private(reader)


def is_private(connection: Any) -> bool:
    """Say whether nobody but this process and its relatives can write to a connection."""
    methods = _connections.get(type(connection))
    if methods is None or not _methods_of(connection, methods):
        return False
    if not _is_born(connection) and not _is_proved(connection):
        return False
    try:
        fd = connection.fileno()
        mode = os.fstat(fd).st_mode
    except (OSError, ValueError):
        return False
    if stat.S_ISFIFO(mode):
        return _is_anonymous(fd)
    return stat.S_ISSOCK(mode) and (_is_pair(fd) or _is_proved(connection))


def _methods_of(connection: Any, methods: dict[str, Any]) -> bool:
    kind, own = type(connection), getattr(connection, "__dict__", {})
    return all(
        getattr(kind, name, None) is method and name not in own for name, method in methods.items()
    )


class Heard:
    """A stream of a channel, of which is kept what was read."""

    def __init__(self, file: Any) -> None:
        self.message = bytearray()
        self._read, self._readline = file.read, file.readline

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._read(size)
        self.message += data
        return data

    def readline(self) -> bytes:
        data: bytes = self._readline()
        self.message += data
        return data


_born: Final[dict[int, tuple[Any, Inode]]] = {}
"""id -> weak reference to a connection that the library made for itself or got through another,
and what its descriptor stands for: another may be put into its place."""


def born(connection: Any) -> None:
    """Note a connection that no stranger's descriptor was put into."""
    import weakref

    inode = _inode(connection)
    if inode is not None:
        key = id(connection)
        _born[key] = weakref.ref(connection, lambda _: _born.pop(key, None)), inode


def _is_born(connection: Any) -> bool:
    found = _born.get(id(connection))
    return found is not None and found[0]() is connection and found[1] == _inode(connection)


def _inode(connection: Any) -> Inode | None:
    try:
        status = os.fstat(connection.fileno())
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def is_private_file(file: Any) -> bool:
    """Say whether a file is the reading end of an anonymous pipe, read as the io module does."""
    import io

    if type(file) is not io.BufferedReader or type(file.raw) is not io.FileIO:
        return False
    try:
        fd = file.fileno()
        return stat.S_ISFIFO(os.fstat(fd).st_mode) and _is_anonymous(fd)
    except (OSError, ValueError):
        return False


def _is_anonymous(fd: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:[")
    except OSError:
        return False


def _is_pair(fd: int) -> bool:
    import socket

    try:
        with socket.socket(fileno=os.dup(fd)) as end:
            if end.family != getattr(socket, "AF_UNIX", None):
                return False
            return not end.getsockname() and not end.getpeername()
    except OSError:
        return False


_proved: Final[dict[int, tuple[Any, Inode | None, frozenset[str]]]] = {}
"""id -> weak reference to a connection, what its descriptor stands for, and the steps of
authentication it has passed."""
_STEPS: Final = frozenset({"answer_challenge", "deliver_challenge"})


def prove(connection: Any, authkey: bytes, step: str) -> None:
    """Note that a connection passed a step of authentication with this process's own key."""
    import socket
    import weakref

    process = sys.modules.get("multiprocessing.process")
    if process is None or authkey != process.current_process().authkey:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as end:
        if end.family != getattr(socket, "AF_UNIX", None):
            return  # what goes over a network can be changed after the proof
    key, inode = id(connection), _inode(connection)
    before = _proved.get(key)
    steps: frozenset[str] = frozenset()
    if before is not None and before[0]() is connection and before[1] == inode:
        steps = before[2]
    reference = weakref.ref(connection, lambda _: _proved.pop(key, None))
    _proved[key] = reference, inode, steps | {step}


def _is_proved(connection: Any) -> bool:
    found = _proved.get(id(connection))
    return (
        found is not None
        and found[0]() is connection
        and found[1] == _inode(connection)
        and found[2] == _STEPS
    )


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
    return is_private_file(frame.f_globals.get("from_parent"))


def check_extension(gate: Any, module: Any, name: Any, frame: FrameType | None) -> None:
    """Refuse a name that would stay in the extension cache, where no event tells of it again."""
    registry = getattr(sys.modules.get("copyreg"), "_extension_registry", {})
    if (module, name) in registry:
        gate.check_name(module, name, UNTRUSTED, frame)
