"""multiprocessing and billiard: which code reads a channel, and who has proved to be a relative."""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import CodeType, FrameType, ModuleType
from typing import Any

from safehold.guard import channels, entries
from safehold.guard.gate import Gate
from safehold.guard.grants import CHANNEL, live_grant


def apply(module: ModuleType, gate: Gate) -> None:  # noqa: ARG001
    """Register the readers of one of the modules."""
    _PARTS[module.__name__.rpartition(".")[2]](module)


def _connection(module: Any) -> None:
    channels.add_connection(module.Connection)
    makers = {id(getattr(module, name).__code__) for name in _MAKERS if hasattr(module, name)}
    base = module._ConnectionBase  # noqa: SLF001
    raw = base.__init__

    def start(self: Any, *args: Any, **options: Any) -> None:
        raw(self, *args, **options)
        outer, frame = live_grant(), entries.caller(1)
        if outer is CHANNEL or (frame is not None and id(frame.f_code) in makers):
            channels.born(self)

    base.__init__ = start
    for made in gc.get_objects():
        if type(made) is module.Connection:
            channels.born(made)  # the guard came later, and cannot know better
    channels.add_reader(module._ConnectionBase.recv, channels.local_connection("self"))  # noqa: SLF001
    for name in ("answer_challenge", "deliver_challenge"):
        setattr(module, name, _proving(getattr(module, name), name))


def _queues(module: Any) -> None:
    for name in ("Queue", "SimpleQueue", "_SimpleQueue"):
        kind = getattr(module, name, None)
        if kind is not None:
            channels.add_reader(kind.get, channels.reads_queue)


def _spawn(module: Any) -> None:
    channels.add_reader(module._main, channels.local_file("from_parent"))  # noqa: SLF001


def _reduction(module: Any) -> None:
    """Put the entry point where the class keeps one from before the guard was on."""
    pickler = module.ForkingPickler
    if "loads" in vars(pickler) and not hasattr(pickler.loads, "__func__"):
        pickler.loads = entries.loads
    for name in ("loadbuf", "loads"):
        code = getattr(getattr(pickler, name, None), "__code__", None)
        if code is not None and code is not entries.loads.__code__:
            channels.add_passed(code)


def _common(module: Any) -> None:
    channels.add_passed(module.pickle_loads.__code__)


def _pool(module: Any) -> None:
    """Billiard's workers read in a function that is made for each of them."""
    make = module.Worker._make_recv_method  # noqa: SLF001
    for code in _nested(make.__code__):
        channels.add_reader(make, _reads_payload, code)


def _reads_payload(frame: FrameType) -> bool:
    queue = getattr(frame.f_locals.get("get_payload"), "__self__", None)
    return channels.is_private(getattr(queue, "_reader", None) or queue)


def _nested(code: CodeType) -> list[CodeType]:
    return [part for part in code.co_consts if isinstance(part, CodeType)]


_MAKERS = ("Pipe",)

_PARTS: dict[str, Callable[[Any], None]] = {
    "common": _common,
    "connection": _connection,
    "pool": _pool,
    "queues": _queues,
    "reduction": _reduction,
    "spawn": _spawn,
}


def _proving(original: Callable[..., None], step: str) -> Callable[..., None]:
    """Note who has proved to have this process's key, in both directions."""

    def challenge(connection: Any, authkey: bytes, *args: Any, **options: Any) -> None:
        original(connection, authkey, *args, **options)
        channels.prove(connection, authkey, step)

    return challenge
