"""What a policy may ask for that nobody named: one that was found in a checkout."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from safehold.errors import ConfigError

if TYPE_CHECKING:
    from safehold.policy import Policy


def check_found(policy: Policy) -> None:
    """Refuse a policy that runs commands, or reads or writes beyond its root.

    A checkout may be a stranger's, and hardening it must not do what its policy says on the way.

    Raises:
        ConfigError: it must be named with ``--policy`` to be followed.
    """
    for key in (policy.key, *policy.previous, *([policy.local] if policy.local else [])):
        scheme, _, place = key.source.partition(":")
        if scheme == "cmd":
            raise _refused(policy, f"key {key.id!r} comes from a command")
        if scheme == "file" and not _is_below(policy, place):
            raise _refused(policy, f"key {key.id!r} comes from a file outside the tree")
        if scheme not in ("env", "file"):
            raise _refused(policy, f"key {key.id!r} comes from {scheme}:, which is not in the tree")
    if not _is_below(policy, policy.revoked.file):
        raise _refused(policy, "its revocation list lies outside the tree")
    if policy.recording.witness:
        raise _refused(policy, "checkpoints of the trail would go to a witness that it names")
    places = (("trail", policy.trail), ("marks", policy.marks), ("list", policy.unsealed))
    for name, place in places:
        if not _is_below(policy, place):
            raise _refused(policy, f"the {name} would be written outside the tree")


def _is_below(policy: Policy, place: str) -> bool:
    if place.startswith("~"):
        return False
    real = (policy.root / place).resolve()
    return real.is_relative_to(policy.root)


def _refused(policy: Policy, what: str) -> ConfigError:
    file = shlex.quote(str(policy.path))
    return ConfigError(
        f"{policy.path} was found in the tree, and {what}; if it is your own policy, name it: "
        f"--policy {file}"
    )
