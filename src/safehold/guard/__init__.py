"""The guard: no deserializer of this process turns bytes into code unless the policy says so.

    safehold run -- python app.py          # or, as the first thing that a program does:
    safehold.guard.install(hold)

It stays for the life of the process and goes along to the Python processes that it starts. What
it decides by is where the bytes come from:

=================  =================================================================
untrusted          plain data; nothing at all if the policy says ``strict``
sealed, verified   what the zone allows, and it is contained while it loads
pickled here       any class but those that `safehold.dangers` names, contained as well
own channel        anything: the pipes between a program and its own child processes
=================  =================================================================

The threat model page says what this does not protect.
"""

from __future__ import annotations

import sys

from safehold.guard import forking, hook, importing
from safehold.guard.adapters.interpreters import check_others
from safehold.guard.gate import Gate
from safehold.guard.starting import environment, keep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    _F = TypeVar("_F", bound=Callable[..., Any])

    from safehold.context import Context
    from safehold.guard.gate import Mode

_installed: Gate | None = None


def install(hold: Context) -> None:
    """Turn the guard on for the life of this process, under a Context, and for its children.

    Call it before the program imports what it loads with: a reference to `pickle.loads` that was
    taken before is held to plain data, whatever it is given.

    Raises:
        ConfigError: it is on already, under another policy. Under the same, as in a child process
            that runs the program's main module once more, nothing happens. Blocked: there are
            sub-interpreters already; the guard stays on nevertheless.
    """
    strict = hold.policy.guard.strict
    import os

    environ = dict(os.environ)
    if hold.policy.path is not None:
        mode = hold.policy.mode
        environ = environment(environ, str(hold.policy.path), mode, strict=strict)
    gate = install_with(hold.policy.mode, lambda: hold, strict=strict, environ=environ)
    if gate is None:
        return
    if gate.hold is not hold and gate.hold.policy != hold.policy:
        from safehold.errors import ConfigError

        message = "the guard is on already; it stays as it was turned on first"
        raise ConfigError(message)
    if hold.policy.path is not None:
        keep(environ)
        os.environ.update(environ)


def install_with(
    mode: Mode, load: Callable[[], Context], *, strict: bool = False, environ: Mapping[str, str]
) -> Gate | None:
    """Turn the guard on with a Context that is made when it is first needed; None in mode off.

    `environ`: the variables that the process started with.

    Raises:
        ConfigError: this Python is built without its global lock. Blocked: it has interpreters
            already that the guard would not hold.
    """
    global _installed  # noqa: PLW0603  (one for the process)
    if _installed is not None:
        return _installed
    if mode == "off":
        return None
    if "t" in getattr(sys, "abiflags", ""):
        from safehold.errors import ConfigError

        message = "the guard needs a Python with its global lock, and this one is free-threaded"
        raise ConfigError(message)
    gate = Gate(mode, load, strict=strict, environ=environ)
    importing.install(gate)  # first: the hook asks an adapter about each marshalled module
    hook.install(gate)
    forking.install()
    _installed = gate
    check_others(gate)
    return gate


def is_installed() -> bool:
    """Say whether the guard is on in this process."""
    return _installed is not None


def requires(zone: str) -> Callable[[_F], _F]:
    """Let a function be called only by code that the policy trusts to load artifacts.

    The caller is known by its code object, which must equal a part of the source file that it
    names, and that file must be listed in the policy's ``[code] trusted``.

    Raises:
        Blocked: when the function is called by other code. ConfigError: the guard is not on, or
            the policy has no such zone.
    """

    def decorate(function: _F) -> _F:
        import functools

        from safehold.guard.callers import check_caller

        @functools.wraps(function)
        def checked(*args: Any, **options: Any) -> Any:
            check_caller(_installed, sys._getframe(1), zone, function)  # noqa: SLF001
            return function(*args, **options)

        return checked  # type: ignore[return-value]

    return decorate
