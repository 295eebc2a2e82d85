"""`multiprocessing`: which code reads a channel, and which connections are proved to be private."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from safehold.guard import channels
from safehold.guard.gate import Gate


def apply(module: ModuleType, gate: Gate) -> None:  # noqa: ARG001
    """Register the readers of one of its modules."""
    part = module.__name__.rpartition(".")[2]
    _PARTS[part](module)


def _connection(module: Any) -> None:
    channels.add_nested(module._ConnectionBase.recv.__code__, _local("self"))  # noqa: SLF001
    for name in ("answer_challenge", "deliver_challenge"):
        setattr(module, name, _proving(getattr(module, name), name))


def _queues(module: Any) -> None:
    channels.add_nested(module.Queue.get.__code__, _reader)
    channels.add_nested(module.SimpleQueue.get.__code__, _reader)


def _spawn(module: Any) -> None:
    channels.add_direct(module._main.__code__, _local("from_parent"))  # noqa: SLF001


_PARTS: dict[str, Callable[[Any], None]] = {
    "connection": _connection, "queues": _queues, "spawn": _spawn,
}  # fmt: skip


def _local(name: str) -> Callable[[FrameType], Any]:
    def find(frame: FrameType) -> Any:
        return frame.f_locals.get(name)

    return find


def _reader(frame: FrameType) -> Any:
    return getattr(frame.f_locals.get("self"), "_reader", None)


def _proving(original: Callable[[Any, bytes], None], step: str) -> Callable[[Any, bytes], None]:
    """Note who has proved to have this process's key, in both directions."""

    def challenge(connection: Any, authkey: bytes, *args: Any, **options: Any) -> None:
        original(connection, authkey, *args, **options)
        channels.prove(connection, authkey, step)

    return challenge
