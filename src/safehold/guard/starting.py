"""How a process that was started under the guard turns it on, and hands it to its children."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
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
    _prepend(changed)
    return changed


def carried(environ: Mapping[Any, Any] | None) -> Mapping[Any, Any] | None:
    """Return the environment of a child with what turns the guard on in it; None: this one's."""
    if environ is None or MODE not in os.environ or POLICY not in os.environ:
        return environ  # the guard was turned on by the program itself, for itself
    as_bytes = any(isinstance(name, bytes) for name in environ)
    changed = {os.fsdecode(name): os.fsdecode(value) for name, value in environ.items()}
    changed[POLICY], changed[MODE] = os.environ[POLICY], os.environ[MODE]
    _prepend(changed)
    if as_bytes:
        return {os.fsencode(name): os.fsencode(value) for name, value in changed.items()}
    return changed


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

    def load() -> Context:
        from safehold.context import Context

        return Context.load(policy, environ=known)

    from safehold.guard import install_with

    install_with(mode, load, strict=bool(strict))  # type: ignore[arg-type]
