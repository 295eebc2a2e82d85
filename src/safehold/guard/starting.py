"""How a process that was started under the guard turns it on, and hands it to its children."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from typing import Final

    from safehold.context import Context

POLICY: Final = "SAFEHOLD_POLICY"
MODE: Final = "SAFEHOLD_GUARD"
"""Variables of a guarded process: its policy's path, and the mode."""
_STRICT: Final = "strict"
MODES: Final = ("off", "monitor", "enforce")
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


def _prepend(environ: MutableMapping[str, str]) -> None:
    entries = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if DIRECTORY not in entries:
        environ["PYTHONPATH"] = os.pathsep.join([DIRECTORY, *entries])


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

    def load() -> Context:
        from safehold.context import Context

        return Context.load(policy)

    from safehold.guard import install_with

    install_with(mode, load, strict=bool(strict))  # type: ignore[arg-type]
