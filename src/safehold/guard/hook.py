"""The audit hook (PEP 578): unremovable, and the last to be asked whoever loads.

It sees each ``pickle.find_class`` of CPython's own unpicklers, also through references that were
taken before the guard was on, and while an unpickle is live each event that acts on the system.
An exception of the hook ends the operation, so whatever fails in here refuses.
"""

from __future__ import annotations

import sys
from _thread import get_ident

from safehold.guard import creating, importing
from safehold.guard.adapters import interpreters
from safehold.guard.adapters.marshal import check_event
from safehold.guard.grants import MINTED, OWN, UNTRUSTED, Held, live
from safehold.guard.native import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from safehold.guard.gate import Gate
    from safehold.guard.grants import Grant

    Handler = Callable[[tuple[Any, ...]], None]


_CODE = type((lambda: None).__code__)
_ROOM = 100  # frames, to refuse in where a program has used up its stack
# Methods that only the unpickler in Python has all of; those that derive from it have a few.
_OPCODES = {"find_class", "load_reduce", "load_build", "load_stop"}


def install(gate: Gate) -> None:
    """Add the hook to this process, for good."""
    contained = _contained(gate)
    handlers = _handlers(gate, contained)
    exhausted = _exhausted(gate)

    # Everything stands in the defaults: at the interpreter's end modules are emptied, and this
    # goes on being called.
    def hook(
        event: str,
        args: tuple[Any, ...],
        _handlers: dict[str, Handler] = handlers,
        _live: dict[int, Any] = live,
        _ident: Callable[[], int] = get_ident,
        _contained: Callable[..., None] = contained,
        _limit: Callable[[], int] = sys.getrecursionlimit,
        _set_limit: Callable[[int], None] = sys.setrecursionlimit,
        _exhausted: Callable[..., None] = exhausted,
    ) -> None:
        if event in _handlers:
            try:
                _handlers[event](args)
            except RecursionError as error:
                before = _limit()
                _set_limit(before + _ROOM)
                try:
                    _exhausted(event, args, error)
                finally:
                    _set_limit(before)
        elif _live:
            grant = _live.get(_ident())
            if grant is not None and grant.contained:
                _contained(event, args, grant)

    if native is None:
        sys.addaudithook(hook)
    else:
        native.add_hook(
            hook,
            lambda event: interpreters.refuse_within(gate, event),
            tuple(handlers),
            live,
            gate.known_plain,
            gate.known_minted,
            MINTED,
            sys.modules,
            strict=gate.strict,
            refuses=gate.mode != "monitor",
        )


def _exhausted(gate: Gate) -> Callable[[str, tuple[Any, ...], RecursionError], None]:
    """Return what refuses a name where the stack ended before anybody was asked about it."""
    frame_of = sys._getframe  # noqa: SLF001

    def exhausted(event: str, args: tuple[Any, ...], error: RecursionError) -> None:
        if event == "pickle.find_class":
            grant = live.get(get_ident(), UNTRUSTED)
            gate.refuse_undecided(error, grant, _frame(frame_of), f"{args[0]}.{args[1]}")
        else:
            raise error

    return exhausted


def _contained(gate: Gate) -> Callable[[str, tuple[Any, ...], Grant], None]:
    """Return what asks `containment`, which is loaded when there is something to contain."""
    check: Callable[..., None] | None = None

    def contained(event: str, args: tuple[Any, ...], grant: Grant) -> None:
        nonlocal check
        if check is None:
            with Held(OWN):
                from safehold.guard.containment import checker

                check = checker(gate)
        check(event, args, grant)

    return contained


def _handlers(
    gate: Gate, check: Callable[[str, tuple[Any, ...], Grant], None]
) -> dict[str, Handler]:
    frame_of = sys._getframe  # noqa: SLF001

    def new_interpreter(_: tuple[Any, ...]) -> None:
        interpreters.refuse(gate, _frame(frame_of))

    def execute(args: tuple[Any, ...]) -> None:
        for part in getattr(args[0], "co_consts", ()):
            if type(part) is not _CODE or "load_stop" not in part.co_names:
                continue
            if {*part.co_names} >= _OPCODES and get_ident() not in importing.adapting:
                gate.refuse(
                    f"{args[0].co_filename} is a copy of pickle's unpickler, which asks nobody",
                    UNTRUSTED,
                    _frame(frame_of),
                    part.co_name,
                    action="import",
                )
        contained("exec", args)

    def marshal_loads(args: tuple[Any, ...]) -> None:
        check_event(gate, args, _frame(frame_of))

    def limit(args: tuple[Any, ...]) -> None:
        """Prepare for little memory or few descriptors while there are enough."""
        contained("resource.setrlimit", args)
        limits = sys.modules["resource"]
        before = limits.getrlimit(args[-2])[0]
        soft = args[-1][0] if args[-1] else before
        if soft != limits.RLIM_INFINITY and (before == limits.RLIM_INFINITY or soft < before):
            gate.arm()
        if args[-2] == limits.RLIMIT_FSIZE and args[-1] and args[-1][1] != limits.RLIM_INFINITY:
            gate.recording.stand_by()

    def contained(event: str, args: tuple[Any, ...]) -> None:
        grant = live.get(get_ident())
        if grant is not None and grant.contained:
            check(event, args, grant)

    return {
        "pickle.find_class": _name_handler(gate),
        "cpython.PyInterpreterState_New": new_interpreter,
        "exec": execute,
        "import": _import_handler(gate, contained),
        "marshal.loads": marshal_loads,
        "marshal.load": marshal_loads,
        "resource.setrlimit": limit,
        "resource.prlimit": limit,
    }


def _import_handler(gate: Gate, contained: Callable[[str, tuple[Any, ...]], None]) -> Handler:
    frame_of = sys._getframe  # noqa: SLF001

    def import_module(args: tuple[Any, ...]) -> None:
        if creating.is_another(args):
            creating.refuse_another(gate, args[0], _frame(frame_of))
        contained("import", args)

    return import_module


def _name_handler(gate: Gate) -> Handler:
    frame_of = sys._getframe  # noqa: SLF001
    plain, minted, modules = gate.known_plain, gate.known_minted, sys.modules

    def find_class(args: tuple[Any, ...]) -> None:
        if args in plain and not gate.strict:
            return
        grant = live.get(get_ident())
        if grant is MINTED and args in minted:
            module = modules.get(args[0])
            if module is not None and vars(module).get(args[1]) is minted[args]:
                return
        if grant is None or grant is OWN:
            undecided(args)
        elif not grant.unrestricted:
            gate.check_name(args[0], args[1], grant, _frame(frame_of))

    def undecided(args: tuple[Any, ...]) -> None:
        """Nobody asked the guard first: a reference from before, or a copy of pickle.py."""
        frame = _frame(frame_of, 1)
        try:
            with Held(OWN):
                from safehold.guard import channels
            if channels.is_channel(frame):
                channels.check_extension(gate, args[0], args[1], frame)
                return
        except Exception as error:  # a decision that failed is a refusal
            if hasattr(error, "rule"):
                raise
            gate.refuse_undecided(error, UNTRUSTED, frame, f"{args[0]}.{args[1]}")
            return
        gate.check_strict(UNTRUSTED, frame)
        gate.check_name(args[0], args[1], UNTRUSTED, frame)

    return find_class


def _frame(frame_of: Callable[[int], FrameType], more: int = 0) -> FrameType | None:
    """Return the frame in which the event happened, None where there is no Python code.

    Behind this one are those of a handler and of the hook.
    """
    try:
        return frame_of(3 + more)
    except ValueError:
        return None
