"""How a process that was started under the guard turns it on, and hands it to its children."""

from __future__ import annotations

import os
import sys

from safehold.guard.grants import OWN, Held
from safehold.guard.recording import LENT, PYTHON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from typing import Any, Final

    from safehold.context import Context

POLICY: Final = "SAFEHOLD_POLICY"
MODE: Final = "SAFEHOLD_GUARD"
"""Variables of a guarded process: its policy's path, and the mode."""
_STRICT: Final = "strict"
MODES: Final = ("off", "monitor", "enforce")
_HOME: Final = __file__.rpartition(f"{os.sep}safehold{os.sep}")[0]
DIRECTORY: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot")


def environment(
    environ: Mapping[str, str], policy: str, mode: str, *, strict: bool
) -> dict[str, str]:
    """Return the environment of a program that is to be guarded."""
    changed = dict(environ)
    changed[POLICY] = os.path.abspath(policy)
    changed[MODE] = f"{mode} {_STRICT}" if strict else mode
    changed[PYTHON] = sys.executable
    _prepend(changed)
    return changed


_kept: Final[dict[str, str]] = {}
"""The environment that the guard was turned on with."""


def keep(environ: Mapping[str, str]) -> None:
    """Keep the environment that a process was started with for its children."""
    _kept.update(environ)


def carried(environ: Mapping[Any, Any] | None, lend: Callable[[], str]) -> Mapping[Any, Any] | None:
    """Return the environment of a child with what turns the guard on in it; None: this one's.

    `lend` gives the key for the trail of a child that this process's variables are kept from.
    """
    if MODE not in _kept or (environ is None and _is_whole(os.environ)):
        return environ  # it has them, or the guard is for this process alone
    given: Mapping[Any, Any] = os.environ if environ is None else environ
    as_bytes = any(isinstance(name, bytes) for name in given)
    changed = {os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}
    changed[POLICY], changed[MODE] = _kept[POLICY], _kept[MODE]
    if PYTHON in _kept:
        changed[PYTHON] = _kept[PYTHON]
    if LENT not in changed and any(name not in changed for name in _kept):
        changed[LENT] = lend()
    _prepend(changed)
    if as_bytes:
        return {os.fsencode(name): os.fsencode(value) for name, value in changed.items()}
    return changed


def _is_whole(environ: Mapping[str, str]) -> bool:
    """Say whether a child that gets this environment is guarded, and has the same variables."""
    first = environ.get("PYTHONPATH", "").partition(os.pathsep)[0]
    same = all(environ.get(name) == _kept[name] for name in (POLICY, MODE))
    return same and first == DIRECTORY and all(name in environ for name in _kept)


def put_back(lend: Callable[[], str]) -> None:
    """Let children that inherit this process's variables, as a shell's do, be guarded.

    The program may have emptied or changed them, and goes on seeing them as it left them.
    """
    changed = carried(None, lend)
    if changed is not None:
        with Held(OWN):
            for name in (POLICY, MODE, PYTHON, LENT, "PYTHONPATH"):
                if name in changed:
                    os.putenv(name, changed[name])


def _prepend(environ: MutableMapping[str, str]) -> None:
    entries = environ.get("PYTHONPATH", "").split(os.pathsep)
    rest = [entry for entry in entries if entry and entry != DIRECTORY]
    if _HOME not in rest and not _HOME.endswith("site-packages"):
        rest.append(_HOME)  # a checkout that is not installed
    environ["PYTHONPATH"] = os.pathsep.join([DIRECTORY, *rest])


def start(environ: MutableMapping[str, str]) -> None:
    """Turn the guard on as the environment says; it must name a policy and a mode.

    Raises:
        ConfigError
    """
    policy, (mode, _, strict) = environ.get(POLICY, ""), environ.get(MODE, "").partition(" ")
    if strict not in ("", _STRICT) or mode not in MODES or not policy:
        from safehold.errors import ConfigError

        message = f"{MODE} must be one of {', '.join(MODES)}, and {POLICY} name the policy"
        raise ConfigError(message)

    known = dict(environ)  # a program may empty its environment before a key is needed
    keep(known)

    def load() -> Context:
        from safehold.context import Context

        return Context.load(policy, environ=known)

    from safehold.guard import install_with

    install_with(mode, load, strict=bool(strict), environ=known)  # type: ignore[arg-type]
