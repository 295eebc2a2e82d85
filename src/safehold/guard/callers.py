"""Who may load: code that the policy trusts, known by what it is and not by what it says."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

from safehold.artifacts.callers import relative_file
from safehold.artifacts.rules import UNTRUSTED_CALLER
from safehold.errors import ConfigError
from safehold.guard.attest import is_genuine
from safehold.guard.gate import Gate
from safehold.guard.grants import OWN, UNTRUSTED, Held


def check_caller(
    gate: Gate | None, frame: FrameType, zone: str, function: Callable[..., Any]
) -> None:
    """Refuse a call by code that is not trusted. Raises as `safehold.guard.requires`."""
    if gate is None:
        message = f"{function.__qualname__} requires the guard, which is not on: safehold run"
        raise ConfigError(message)
    with Held(OWN):
        gate.hold.policy.zone_named(zone)
        policy, root = gate.hold.policy, gate.hold.root.path
        listed = policy.is_trusted(relative_file(frame.f_code.co_filename, root))
    if listed and is_genuine(frame):
        return
    message = (
        f"{frame.f_code.co_filename} is not trusted to call {function.__qualname__} for zone "
        f"{zone!r}; add it to trusted in the policy's [code] table if it should be"
    )
    gate.refuse(message, UNTRUSTED, frame, zone=zone, rule=UNTRUSTED_CALLER.id, action="call")
